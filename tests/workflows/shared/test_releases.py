"""What a release is, what it is called, and which one a rollback goes back to."""

from datetime import timedelta
from typing import Any

import pytest

from activities.kubernetes.states import DeploymentState, Pod, Pods, Revision
from activities.records.deployments import Deployment, Deployments
from tests.workflows.deployment_states import NOW, state
from workflows.shared.releases import Releases

APP, PROXY = "registry.example:5000/shop/api", "mesh/proxy"
A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def revision(number: int, image: str, *, template: str = "", **fields: Any) -> Revision:
    """One with a template of its own, where none is given."""
    known = {"images": [image], "containers": {"api": image}, "created_at": NOW, "pod_template_hash": f"h{number}"}
    return Revision(**{**known, "number": number, "template": template or f"t{number}", **fields})


def beside(number: int, proxy: str, image: str, **fields: Any) -> Revision:
    """One with a sidecar, which stands first."""
    containers = {"proxy": f"{PROXY}:{proxy}", "api": image}
    return revision(number, image, images=[*containers.values()], containers=containers, **fields)


def bad(version: str, *, revision: int | None = None, release: str = "", status: str = "rolled_back") -> Deployment:
    return Deployment(
        version=version, status=status, deployer="ada", started_at=NOW, revision=revision, release=release
    )


SITUATIONS: dict[str, tuple[DeploymentState, list[Deployment], int | None]] = {
    "a bad release": (state(revision(1, f"{APP}:v1"), revision(2, f"{APP}:v2")), [], 1),
    "the only one": (state(revision(1, f"{APP}:v1")), [], None),
    "a second alert, after the rollback": (
        state(revision(2, f"{APP}:v2"), revision(3, f"{APP}:v1", earlier=[1])),
        [],
        None,
    ),
    "restarted after the rollback": (
        state(
            revision(2, f"{APP}:v2"),
            revision(3, f"{APP}:v1", template="t1", earlier=[1]),
            revision(4, f"{APP}:v1", template="t1"),
        ),
        [],
        None,
    ),
    "the bad one is released once more": (
        state(revision(3, f"{APP}:v1", earlier=[1]), revision(4, f"{APP}:v2", earlier=[2])),
        [bad("v2")],
        3,
    ),
    "an older one is left to go to": (
        state(revision(1, f"{APP}:v0"), revision(3, f"{APP}:v2"), revision(4, f"{APP}:v1", earlier=[2])),
        [],
        1,
    ),
    "the bad one restarted": (
        state(revision(1, f"{APP}:v1"), revision(2, f"{APP}:v2", template="t"), revision(3, f"{APP}:v2", template="t")),
        [],
        1,
    ),
    "the bad one restarted, its templates unknown": (
        state(
            *(
                revision(n, f"{APP}:{tag}").model_copy(update={"template": ""})
                for n, tag in ((1, "v1"), (2, "v2"), (3, "v2"))
            )
        ),
        [],
        1,
    ),
    "only configuration changed, under one tag": (
        state(revision(1, f"{APP}:v1", template="old"), revision(2, f"{APP}:v1", template="new")),
        [],
        1,
    ),
    "that change is to blame": (
        state(revision(1, f"{APP}:v1"), revision(2, f"{APP}:v1"), revision(3, f"{APP}:v2")),
        [bad("v1", release="t2")],
        1,
    ),
    "all are called latest": (
        state(*(revision(n, f"{APP}:latest").model_copy(update={"template": ""}) for n in (1, 2, 3))),
        [bad("latest", revision=3)],
        2,
    ),
    "all are called latest, and one is known to be bad": (
        state(*(revision(n, f"{APP}:latest") for n in (1, 2, 3))),
        [bad("latest", release="t2")],
        1,
    ),
    "all are called latest, and the one before is known to be bad by its revision": (
        state(*(revision(n, f"{APP}:latest").model_copy(update={"template": ""}) for n in (1, 2, 3))),
        [bad("latest", revision=2)],
        1,
    ),
    "one image may be another under its tag": (
        state(*(beside(n, "latest", f"{APP}:v1").model_copy(update={"template": ""}) for n in (1, 2))),
        [],
        1,
    ),
    "tag and digest": (
        state(revision(1, f"{APP}:v1@{A}"), revision(2, f"{APP}:v2@{B}"), revision(3, f"{APP}:v3@{A}")),
        [bad("v2")],
        1,
    ),
    "digests alone": (
        state(revision(1, f"{APP}@{A}"), revision(2, f"{APP}@{B}"), revision(3, f"{APP}:v3")),
        [bad("b" * 12)],
        1,
    ),
    "a sidecar first": (
        state(beside(1, "1.9", f"{APP}:v1"), beside(2, "1.9", f"{APP}:v2"), beside(3, "1.9", f"{APP}:v3")),
        [bad("v2"), bad("1.9")],
        1,
    ),
    "a sidecar first, which has another version by now": (
        state(beside(1, "1.8", f"{APP}:v1"), beside(2, "1.9", f"{APP}:v2"), beside(3, "1.9", f"{APP}:v3")),
        [bad("v2")],
        1,
    ),
    "two containers of ours, of which one stays behind": (
        state(beside(1, "v1", f"{APP}:v1"), beside(2, "v1", f"{APP}:v2"), beside(3, "v2", f"{APP}:v3")),
        [bad("v1")],
        2,
    ),
    "two of one tag, one of them with another sidecar": (
        state(beside(1, "1.8", f"{APP}:v1"), beside(2, "1.9", f"{APP}:v1"), beside(3, "1.9", f"{APP}:v3")),
        [bad("v1", revision=2)],
        1,
    ),
    "a registry's port and no tag": (
        state(revision(1, "registry:5000/api"), revision(2, "registry:5000/api:v2")),
        [bad("5000/api")],
        1,
    ),
    "failed, and complete at the second try": (
        state(revision(1, f"{APP}:v1"), revision(2, f"{APP}:v2"), revision(3, f"{APP}:v3")),
        [bad("v2", status="complete"), bad("v2", status="failed")],
        2,
    ),
    "all others are to blame": (
        state(revision(1, f"{APP}:v1"), revision(2, f"{APP}:v2"), revision(3, f"{APP}:v3")),
        [bad("v1"), bad("v2", status="failed")],
        None,
    ),
    "it begins again right now": (
        state(revision(1, f"{APP}:v1"), revision(2, f"{APP}:v2"), revision(3, f"{APP}:v3")),
        [bad("v2", status="started"), bad("v2", status="failed")],
        1,
    ),
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_rollback_goes_to_the_newest_release_that_was_not_left_nor_to_blame(situation: str) -> None:
    found, records, number = SITUATIONS[situation]
    good = Releases(found, Deployments(items=records)).last_good
    assert (good.number if good else None) == number


def test_what_was_left_is_known_without_the_records() -> None:
    releases = Releases(state(revision(2, f"{APP}:v2"), revision(3, f"{APP}:v1", earlier=[1])), None)
    assert (releases.last_good, releases.unwanted, releases.returned) == (None, ["v2"], True)


@pytest.mark.parametrize(
    ("revisions", "container", "called"),
    [
        ([revision(1, f"{APP}:v1")], None, "v1"),
        ([revision(1, f"{APP}:v1@{A}")], None, "v1"),
        ([revision(1, f"{APP}@{A}")], None, "a" * 12),
        ([revision(1, "registry:5000/api")], None, "latest"),
        ([beside(1, "1.9", f"{APP}:v1")], None, "1.9, v1"),
        ([beside(1, "1.9", f"{APP}:v1")], "api", "v1"),
        ([beside(1, "1.9", f"{APP}:v1"), beside(2, "1.9", f"{APP}:v2")], None, "v2"),
        ([beside(1, "1.8", f"{APP}:v1"), beside(2, "1.9", f"{APP}:v2")], "api", "v2"),
        ([beside(1, "1.9", f"{APP}:v1"), beside(2, "1.9", f"{APP}:v2")], "renamed", "v2"),
    ],
)
def test_a_release_is_called_by_the_applications_image(
    revisions: list[Revision], container: str | None, called: str
) -> None:
    assert Releases(state(*revisions), container=container).current == called


def test_whoever_releases_names_one_image_of_several() -> None:
    both = Releases(state(beside(1, "1.8", f"{APP}:v1"), beside(2, "1.9", f"{APP}:v2")))
    assert both.current == "1.9, v2"
    assert [both.runs(name) for name in ("1.9, v2", "v2", "1.9", "v1", "")] == [True, True, True, False, False]
    assert not Releases(state(revision(1, f"{APP}:v1"), current=9)).runs("v1")


def test_a_release_that_is_not_known_has_no_name() -> None:
    unknown = Releases(state(revision(1, f"{APP}:v1"), current=9))
    assert (unknown.current, unknown.returned, unknown.was_left(revision(1, f"{APP}:v1"))) == ("unknown", False, False)


def test_a_release_is_as_old_as_its_first_revision() -> None:
    old = revision(1, f"{APP}:v1", created_at=NOW - timedelta(days=9))
    first = revision(2, f"{APP}:v2", template="t", created_at=NOW - timedelta(days=3))
    restarted = revision(3, f"{APP}:v2", template="t")
    assert Releases(state(old, first, restarted)).released_at == NOW - timedelta(days=3)
    assert Releases(state(restarted, first, old)).released_at == NOW - timedelta(days=3), "in whatever order they come"
    assert Releases(state(old)).released_at is None
    again = revision(4, f"{APP}:v2", template="t", earlier=[2], created_at=NOW - timedelta(days=3))
    assert Releases(state(revision(3, f"{APP}:v1", earlier=[1]), again)).released_at == NOW
    assert Releases(state(first, revision(3, f"{APP}:v1", template="t1", earlier=[1]))).released_at is None


def test_what_is_released_anew_from_an_older_one_is_new_though_another_was_left_long_ago() -> None:
    """v1, v2, v3, back to v1, and v2 once more: v3 lies between the two times of v2, and nobody has gone back to it."""
    third = revision(3, f"{APP}:v3")
    first = revision(4, f"{APP}:v1", template="t1", earlier=[1])
    second = revision(5, f"{APP}:v2", template="t2", earlier=[2])
    again = Releases(state(third, first, second))
    assert (again.returned, again.released_at) == (False, NOW)
    assert again.last_good == first
    back = Releases(state(first.model_copy(update={"number": 1, "earlier": []}), third, second))
    assert (back.returned, back.released_at) == (True, None)


# -- good by how long it served ------------------------------------------------------------------------------

MINUTE = timedelta(minutes=1)


def aged(number: int, version: str, minutes: float, **fields: Any) -> Revision:
    return revision(number, f"{APP}:{version}", created_at=NOW - minutes * MINUTE, **fields)


def crashing(revision_hash: str, *, ready: bool = False) -> Pod:
    reason = "" if ready else "CrashLoopBackOff"
    return Pod(
        name=f"{revision_hash}-{reason}",
        phase="Running",
        ready=ready,
        restarts=3,
        reason=reason,
        image="api",
        revision_hash=revision_hash,
        created_at=NOW,
    )


THREE = (aged(1, "v1", 4000), aged(2, "v2", 7), aged(3, "v3", 2))


@pytest.mark.parametrize(
    ("revisions", "records", "to", "in_doubt"),
    [
        (THREE, [], 1, ["v2 (revision 2): it was in force for 5 min only"]),
        (THREE, [bad("v2", status="complete")], 2, []),
        (THREE, [bad("v2", status="started")], 1, ["v2 (revision 2): it was in force for 5 min only"]),
        (THREE, [bad("v2", status="failed")], 1, []),
        ((aged(1, "v1", 4000), aged(2, "v2", 40), aged(3, "v3", 2)), [], 2, []),
        # all of them short: it is the newest, as long as nothing else speaks against it
        ((aged(1, "v1", 12), aged(2, "v2", 7), aged(3, "v3", 2)), [], 2, []),
        ((aged(1, "v1", 7), aged(2, "v2", 2)), [], 1, []),
        # restarts are one release, and make it no shorter
        ((aged(1, "v1", 4000), aged(2, "v2", 60), aged(3, "v2", 3, template="t2"), aged(4, "v3", 2)), [], 3, []),
        # two bad ones
        (
            (aged(1, "v1", 4000), aged(2, "v2", 9), aged(3, "v3", 7), aged(4, "v4", 2)),
            [],
            1,
            ["v3 (revision 3): it was in force for 5 min only", "v2 (revision 2): it was in force for 2 min only"],
        ),
        # gone back to: somebody chose it
        ((aged(2, "v2", 9), aged(3, "v1", 4000, earlier=[1]), aged(4, "v3", 2)), [], 3, []),
    ],
)
def test_what_served_for_minutes_is_not_taken_for_good(
    revisions: tuple[Revision, ...], records: list[Deployment], to: int, in_doubt: list[str]
) -> None:
    found = Releases(state(*revisions), Deployments(items=records))
    assert found.last_good is not None
    assert (found.last_good.number, found.in_doubt) == (to, in_doubt)


def test_what_was_in_force_when_the_outage_began_is_not_good() -> None:
    revisions = (aged(1, "v1", 4000), aged(2, "v2", 600), aged(3, "v3", 2))
    for minutes, to in ((1, 2), (3, 1), (599, 1), (601, 2)):
        found = Releases(state(*revisions), since=NOW - minutes * MINUTE)
        assert found.last_good is not None
        assert found.last_good.number == to, minutes
    (why,) = Releases(state(*revisions), since=NOW - 3 * MINUTE).in_doubt
    assert why == "v2 (revision 2): it was in force when the outage began, at 11:57:00 UTC"
    # The only one there is, is named, and in doubt.
    alone = Releases(state(*revisions[1:]), since=NOW - 3 * MINUTE)
    assert alone.last_good is not None
    assert (alone.last_good.number, len(alone.in_doubt)) == (2, 1)


def test_what_never_became_ready_is_not_good() -> None:
    revisions = (aged(1, "v1", 4000), aged(2, "v2", 600), aged(3, "v3", 2))
    for pods, to in (
        ([crashing("h2"), crashing("h3")], 1),
        ([crashing("h2"), crashing("h2", ready=True)], 2),
        ([crashing("h3")], 2),
    ):
        found = Releases(state(*revisions), pods=Pods(items=pods))
        assert found.last_good is not None
        assert found.last_good.number == to


def test_a_service_may_say_what_proves_a_release() -> None:
    for proven_after, to in ((timedelta(0), 2), (5 * MINUTE, 2), (6 * MINUTE, 1)):
        found = Releases(state(*THREE), proven_after=proven_after)
        assert found.last_good is not None
        assert found.last_good.number == to
