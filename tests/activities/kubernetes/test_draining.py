"""A drain moves the pods that it names and kubectl would move, and tells what it leaves."""

import pytest

from activities.common.errors import Refused
from tests.activities.evidence.scene import Scene


def test_a_drain_moves_what_kubectl_would_and_names_the_rest(scene: Scene) -> None:
    scene.cordon()
    done = scene.evict(scene.everything())
    assert [name for name in scene.names() if not name.startswith("agent")] == ["bare", "scratch", "static"]
    assert len(done.gone) == 2
    assert ["bare" in done.refused[0], "scratch" in done.refused[1]] == [True, True]
    assert "emptyDir" in done.refused[1]
    assert len(done.skipped) == 2  # of the DaemonSet, and the static one
    forced = scene.evict([*done.gone, *scene.everything()], force=True)
    assert [name for name in scene.names() if not name.startswith("agent")] == ["static"]
    assert (forced.complete, len(forced.gone), forced.refused) == (True, 4, [])


def test_a_budget_is_waited_for_and_named(scene: Scene) -> None:
    scene.place.budget(least=2)
    scene.cordon()
    pods = [ref for ref in scene.everything() if ref.name.startswith("suspect")]
    blocked = scene.evict(pods, seconds=1)
    assert not blocked.complete
    assert "PodDisruptionBudget careful (2 healthy, needs 2)" in blocked.left[0]
    assert len(scene.place.suspects()) == 2
    scene.place.allow(0)
    assert scene.evict(pods).complete
    assert scene.place.suspects() == []


def test_a_pod_without_evidence_stays(scene: Scene) -> None:
    scene.cordon()
    done = scene.evict([])
    assert sorted(ref.name for ref in done.new) == sorted(scene.place.suspects())
    assert not done.complete
    other = [ref.model_copy(update={"uid": "another"}) for ref in scene.everything()]
    scene.evict(other, force=True)  # pods of these names that were there before
    assert len(scene.names()) == 6


def test_a_node_that_somebody_let_go_is_not_drained(scene: Scene) -> None:
    with pytest.raises(Refused, match="no longer cordoned"):
        scene.evict(scene.everything())
    assert len(scene.names()) == 6


def test_a_plan_evicts_nothing(scene: Scene) -> None:
    done = scene.evict(scene.everything(), force=True, dry_run=True)
    assert (done.applied, done.after) == (False, "4 pods would go")
    assert len(scene.names()) == 6
