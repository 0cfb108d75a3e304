"""A way back that a person names, and the choice between the Deployment and its Helm release."""

from typing import Any

import pytest

from activities.common.errors import NotFound, Refused
from activities.kubernetes.states import Revision
from activities.releases.helm import HelmRelease
from tests.workflows.deployment.histories import history
from tests.workflows.deployment_states import NOW, state
from workflows.deployment.rollback_target import Target, pin
from workflows.shared.releases import Releases


def releases(*tags: str, current: int = 0, earlier: dict[int, list[int]] | None = None) -> Releases:
    revisions = [
        Revision(
            number=number,
            images=[f"api:{tag}"],
            created_at=NOW,
            pod_template_hash=f"h{number}",
            earlier=(earlier or {}).get(number, []),
        )
        for number, tag in enumerate(tags, start=1)
    ]
    return Releases(state(*revisions, current=current))


def go_back(found: Releases, helm: HelmRelease | None = None, **named: Any) -> Target:
    return pin(found, helm, **{"revision": None, "helm_revision": None, **named})


def test_the_last_good_release_of_a_deployment() -> None:
    target = go_back(releases("v1", "v2", "v3"))
    assert (target.by_helm, target.from_version, target.from_revision, target.to_revision, target.chosen) == (
        False,
        "v3",
        3,
        2,
        True,
    )


def test_a_named_revision_of_a_deployment() -> None:
    target = go_back(releases("v1", "v2", "v3"), revision=1)
    assert (target.by_helm, target.to_revision, target.chosen) == (False, 1, False)


@pytest.mark.parametrize(
    ("found", "revision", "kind", "says"),
    [
        (releases("v1", "v2"), 7, NotFound, "deployment/api has no revision 7; it has: 1, 2"),
        (releases("v1", "v2"), 2, Refused, r"to_revision: 2 is the current revision \(v2\)"),
        (releases("v1"), None, Refused, "deployment/api has no earlier release to go back to$"),
        (
            releases("v2", "v1", current=2, earlier={2: [0]}),
            None,
            Refused,
            "no earlier release to go back to: v2 failed, or was left before. Name one with to_revision",
        ),
    ],
)
def test_what_can_not_be_gone_back_to(found: Releases, revision: int | None, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        go_back(found, revision=revision)


def test_what_helm_released_goes_back_by_helm_and_anything_else_beside_it() -> None:
    helm = history("good", "good")  # its tag is v1
    assert go_back(releases("v0", "v1"), helm).by_helm
    assert not go_back(releases("v1", "v2"), helm).by_helm, "somebody has changed it beside Helm"
    assert not go_back(releases("v0", "v1"), history("good")).by_helm, "Helm has nothing to go back to"
    assert not go_back(releases("v0", "v1"), helm, revision=1).by_helm, "a revision of the Deployment was named"
    assert not go_back(releases("v0", "v1"), None).by_helm


def test_a_named_revision_of_helm() -> None:
    target = go_back(releases("v9", "v8"), history("good", "failed", "good"), helm_revision=2)
    assert (target.by_helm, target.from_version, target.from_revision, target.to_revision, target.chosen) == (
        True,
        "v1",
        3,
        2,
        False,
    )


@pytest.mark.parametrize(
    ("helm", "number", "kind", "says"),
    [
        (None, 1, NotFound, "the service has no Helm release"),
        (history("good").model_copy(update={"revisions": []}), 1, NotFound, "the service has no Helm release"),
        (history("good", "good"), 2, Refused, "helm_revision: 2 is the current revision"),
        (history("good", "good"), 5, NotFound, "release api has no revision 5; it has: 1, 2"),
    ],
)
def test_what_helm_can_not_go_back_to(helm: HelmRelease | None, number: int, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        go_back(releases("v0", "v1"), helm, helm_revision=number)


def test_it_chooses_the_newest_good_one_and_says_which_were_left() -> None:
    chosen = go_back(releases("v0", "v1"), history("good", "good", "failed", "good"))
    assert (chosen.to_revision, chosen.chosen) == (2, True)
    with pytest.raises(Refused, match=r"no earlier good revision to go back to: .*2.* was left before"):
        go_back(releases("v0", "v1"), history("good", "good", "1"))
    with pytest.raises(Refused, match=r"release api has no earlier good revision to go back to$"):
        go_back(releases("v0", "v1"), history("failed", "good"))


def test_what_was_uninstalled_is_not_gone_back_to() -> None:
    helm = history("good", "good")
    gone = helm.revisions[-1].model_copy(update={"status": "uninstalled"})
    with pytest.raises(Refused, match="uninstalled"):
        go_back(releases("v0", "v1"), helm.model_copy(update={"revisions": [helm.revisions[0], gone]}))
