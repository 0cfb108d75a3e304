"""Which revision of a Helm release a rollback goes to by itself."""

from datetime import timedelta

import pytest

from activities.common.errors import Refused
from activities.kubernetes.states import Revision
from activities.records.deployments import Deployment, Deployments
from activities.releases.helm import HelmRelease
from tests.workflows.deployment.histories import history
from tests.workflows.deployment_states import NOW, state
from workflows.deployment.rollback_target import pin
from workflows.shared.releases import Releases


def releases(tag: str) -> Releases:
    runs = Revision(number=9, images=[f"api:{tag}"], created_at=NOW, pod_template_hash="h")
    return Releases(state(runs))


@pytest.mark.parametrize(
    ("lines", "to"),
    [
        (("good", "good"), 1),
        (("good", "good", "good"), 2),
        (("good", "failed", "good"), 1),
        (("good", "good", "good", "2"), 1),
        (("good", "good", "1", "good"), 3),
        (("good", "good", "1", "2"), 3),
        (("good", "good", "1", "good", "3"), None),
        (("good", "good", "1"), None),
        (("good", "good", "1", "3"), None),
    ],
)
def test_it_is_the_newest_that_was_good_and_not_left(lines: tuple[str, ...], to: int | None) -> None:
    found = history(*lines)
    if to is None:
        with pytest.raises(Refused, match="was left before"):
            pin(releases("v1"), found, revision=None, helm_revision=None)
    else:
        target = pin(releases("v1"), found, revision=None, helm_revision=None)
        assert (target.to_revision, target.by_helm, target.chosen) == (to, True, True)


@pytest.mark.parametrize(
    ("value", "images", "by_helm"),
    [
        ("v2", ["api:v2"], True),
        ("v2", ["mesh/proxy:1.9", "api:v2"], True),  # a sidecar, which changed too
        ("v2@sha256:" + "a" * 64, ["api:v2@sha256:" + "a" * 64], True),
        ("registry.example:5000/api:v2", ["registry.example:5000/api:v2"], True),
        ("v2", ["api:v1"], False),  # somebody has undone it beside Helm
        ("", ["api:v2"], False),
    ],
)
def test_helm_goes_back_where_what_runs_is_its_release(value: str, images: list[str], *, by_helm: bool) -> None:
    containers = {str(place): image for place, image in enumerate(images)}
    former = {name: f"{image.partition(':v')[0].replace('1.9', '1.8')}:v0" for name, image in containers.items()}
    runs = [
        Revision(number=n, images=[*of.values()], containers=of, created_at=NOW, pod_template_hash=f"h{n}")
        for n, of in ((8, former), (9, containers))
    ]
    helm = history("good", "good")
    helm.tag = value
    target = pin(Releases(state(*runs)), helm, revision=None, helm_revision=None)
    assert target.by_helm == by_helm
    if by_helm:
        assert (target.from_version, str(helm)) == ("v2", "api revision 2 superseded (v2)")
    before = pin(Releases(state(*runs)), helm, revision=None, helm_revision=None, by_one_name=False)
    assert before.by_helm == (by_helm and value == "v2" and len(images) == 1)


def test_what_was_gone_back_to_may_be_gone_from_the_history() -> None:
    with pytest.raises(Refused, match="no earlier good revision to go back to: 2"):
        pin(releases("v1"), history("good", "1", first=2), revision=None, helm_revision=None)


def test_a_revision_that_is_named_is_taken_though_it_was_left() -> None:
    target = pin(releases("v1"), history("good", "good", "1"), revision=None, helm_revision=2)
    assert (target.to_revision, target.chosen) == (2, False)


def runs(*versions: str) -> HelmRelease:
    """One line a revision: what it runs, or the number that a rollback went back to; `v2+` is another configuration."""
    revisions = history(*(one if one.isdecimal() else "good" for one in versions)).revisions
    for number, version in enumerate(versions):
        what = versions[int(version) - 1] if version.isdecimal() else version
        revisions[number].contents, revisions[number].versions = what, [what.rstrip("+")]
    last = revisions[-1].versions[0]
    return HelmRelease(release="api", namespace="shop", revisions=revisions, tag=last)


@pytest.mark.parametrize(
    ("versions", "blamed", "to"),
    [
        (("v1", "v2", "v2"), [], 1),  # the pipeline ran twice
        (("v1", "v2", "v2+"), [], 2),  # a change of configuration is a release
        (("v1", "v2", "v2", "v2"), [], 1),
        (("v1", "v2", "v1"), [], None),  # gone back to by releasing it again
        (("v1", "v2", "v1", "v2"), [], 3),
        (("v0", "v1", "v2", "v1"), [], 1),
        (("v1", "v2", "v3"), ["v2"], 1),  # the records know it is bad
        (("v1", "v2", "v2+", "v3"), ["v2"], 3),  # one of two, nobody knows which
        (("v1", "v2"), ["v2"], 1),
        (("v1", "v2", "1", "v3"), ["v2"], 3),
    ],
)
def test_what_runs_the_same_is_the_same_release(versions: tuple[str, ...], blamed: list[str], to: int | None) -> None:
    found = runs(*versions)
    records = [Deployment(version=one, status="rolled_back", deployer="ada", started_at=NOW) for one in blamed]
    known = Releases(releases(found.tag).state, Deployments(items=records))
    if to is None:
        with pytest.raises(Refused, match="was left before"):
            pin(known, found, revision=None, helm_revision=None)
    else:
        assert pin(known, found, revision=None, helm_revision=None).to_revision == to


def test_what_is_known_of_a_version_says_nothing_of_another_configuration_of_it() -> None:
    """A run has seen v2 complete; what somebody changed under that tag was in force for five minutes."""
    found = runs("v1", "v2", "v2+", "v3")
    for one, ago in zip(found.revisions, (4000, 400, 7, 2), strict=True):
        one.updated_at = NOW - timedelta(minutes=ago)
    complete = [Deployment(version="v2", status="complete", deployer="a", started_at=NOW)]
    known = Releases(releases("v3").state, Deployments(items=complete))
    target = pin(known, found, revision=None, helm_revision=None)
    assert (target.to_revision, len(target.in_doubt)) == (2, 1)


@pytest.mark.parametrize(
    ("minutes", "records", "to", "in_doubt"),
    [
        ((4000, 7, 2), [], 1, ["v2 (Helm revision 2): it was in force for 5 min only"]),
        ((4000, 7, 2), ["v2"], 2, []),
        ((4000, 40, 2), [], 2, []),
        ((12, 7, 2), [], 2, []),
    ],
)
def test_what_helm_had_in_force_for_minutes_is_not_taken_for_good(
    minutes: tuple[int, ...], records: list[str], to: int, in_doubt: list[str]
) -> None:
    found = history(*["good"] * 3)
    for one, ago in zip(found.revisions, minutes, strict=True):
        one.updated_at = NOW - timedelta(minutes=ago)
        one.versions, one.contents = [f"v{one.number}"], f"c{one.number}"
    found.tag = "v3"
    complete = [Deployment(version=version, status="complete", deployer="a", started_at=NOW) for version in records]
    known = Releases(releases("v3").state, Deployments(items=complete))
    target = pin(known, found, revision=None, helm_revision=None)
    assert (target.to_revision, target.in_doubt) == (to, in_doubt)
    named = pin(known, found, revision=None, helm_revision=2)
    assert (named.to_revision, named.in_doubt) == (2, [])
