"""A Deployment that a run keeps without replicas, on a real cluster: nobody else starts it, and it comes back new."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.common.effects import Effect
from activities.common.errors import Refused
from activities.kubernetes.cluster import Kubernetes, RestartRollout, ScaleDeployment, UndoRollout
from activities.kubernetes.rollouts import BROUGHT_BACK, STOPPED
from activities.kubernetes.templates import RESTARTED_AT
from tests.activities.kubernetes.on_cluster import BAD, OnCluster, an_effect, eventually

AT = datetime(2026, 11, 23, 10, tzinfo=UTC)


def _of(run: str) -> Effect:
    return an_effect().model_copy(update={"workflow_id": run})


def _scale(server: OnCluster, run: str, replicas: int, **more: Any) -> ScaleDeployment:
    return ScaleDeployment(**server.target, replicas=replicas, effect=_of(run), **more)


def _stop(server: OnCluster, run: str = "restore", lasting: timedelta = timedelta(hours=1)) -> ScaleDeployment:
    return _scale(server, run, 0, stopped_until=datetime.now(UTC) + lasting)


def _restarted(server: OnCluster) -> str | None:
    annotations: dict[str, str] = server.spec["template"]["metadata"].get("annotations") or {}
    return annotations.get(RESTARTED_AT)


def test_only_the_run_that_has_stopped_it_starts_it(kubernetes: Kubernetes, server: OnCluster) -> None:
    server.release(BAD)
    stop = _stop(server)
    assert kubernetes.scale(stop).applied
    assert not kubernetes.scale(stop).applied
    others = (
        lambda: kubernetes.scale(_scale(server, "p1", 10)),
        lambda: kubernetes.scale(_scale(server, "p1", 10, at_least=True)),
        lambda: kubernetes.restart_rollout(RestartRollout(**server.target, restarted_at=AT, effect=_of("p1"))),
        lambda: kubernetes.undo_rollout(UndoRollout(**server.target, to_revision=1, effect=_of("p1"))),
    )
    for other in others:
        with pytest.raises(Refused, match="kept without replicas by restore until"):
            other()
    state = kubernetes.deployment(server.workload)
    assert (state.stopped_by, state.stopped_until) == ("restore", stop.stopped_until)
    assert "kept without replicas by restore" in str(state)
    before = datetime.now(UTC)
    change = kubernetes.scale(_scale(server, "restore", 3, replaced_at=AT))
    assert (change.before, change.after) == ("0 replicas", "3 replicas")
    assert _restarted(server) is None, "there was nothing to replace"
    assert STOPPED not in server.annotations
    state = kubernetes.deployment(server.workload)
    assert (state.stopped, state.brought_back_by) == ("", "restore")
    assert state.brought_back_at is not None
    assert state.brought_back_at > before
    assert kubernetes.scale(_scale(server, "p1", 4)).applied
    assert kubernetes.deployment(server.workload).brought_back_at == state.brought_back_at, "nobody had stopped it"


def test_a_stop_that_has_ended_does_not_come_back_with_an_undo_by_hand(
    kubernetes: Kubernetes, server: OnCluster
) -> None:
    server.release(BAD)
    kubernetes.scale(_stop(server))
    eventually(lambda: STOPPED in server.revisions[2]["metadata"]["annotations"])
    kubernetes.scale(_scale(server, "restore", 3))
    eventually(lambda: BROUGHT_BACK in server.revisions[2]["metadata"]["annotations"])
    server.release("registry.example/tensafe-server:v1.2.5")
    server.kubectl("rollout", "undo", f"deployment/{server.name}")
    server.kubectl("scale", f"deployment/{server.name}", "--replicas=0")
    assert STOPPED in server.annotations, "kubectl brings it back"
    assert kubernetes.deployment(server.workload).stopped == ""
    assert kubernetes.scale(_stop(server)).applied
    assert BROUGHT_BACK not in server.annotations
    assert kubernetes.deployment(server.workload).stopped_by == "restore", "the same run may stop it again"
    assert kubernetes.scale(_scale(server, "restore", 3)).applied


def test_one_without_replicas_is_kept_as_well(kubernetes: Kubernetes, server: OnCluster) -> None:
    server.kubectl("scale", f"deployment/{server.name}", "--replicas=0")
    assert kubernetes.scale(_stop(server)).applied
    assert kubernetes.deployment(server.workload).stopped_by == "restore"
    with pytest.raises(Refused, match="kept without replicas by restore"):
        kubernetes.scale(_stop(server, "another-restore"))
    assert kubernetes.scale(_scale(server, "restore", 0, replaced_at=AT)).applied, "back as it was, and let go"
    assert kubernetes.deployment(server.workload).brought_back_at is None, "there is nothing that could start"
    assert STOPPED not in server.annotations
    assert kubernetes.scale(_scale(server, "p1", 3)).applied


def test_what_somebody_has_started_meanwhile_is_replaced(kubernetes: Kubernetes, server: OnCluster) -> None:
    kubernetes.scale(_stop(server))
    server.kubectl("scale", f"deployment/{server.name}", "--replicas=3")
    assert kubernetes.deployment(server.workload).stopped == ""
    back = _scale(server, "restore", 3, replaced_at=AT)
    change = kubernetes.scale(back)
    assert (change.before, change.after) == ("3 replicas", "3 replicas, those that were there replaced")
    assert _restarted(server) == "2026-11-23T10:00:00Z"
    assert not kubernetes.scale(back).applied
    assert STOPPED not in server.annotations


def test_the_mark_of_a_run_that_was_terminated_expires(kubernetes: Kubernetes, server: OnCluster) -> None:
    kubernetes.scale(_stop(server, lasting=timedelta(hours=-1)))
    assert kubernetes.deployment(server.workload).stopped == ""
    assert kubernetes.scale(_scale(server, "p1", 3)).applied
    assert STOPPED not in server.annotations


def test_an_undo_by_hand_brings_no_mark_back(kubernetes: Kubernetes, server: OnCluster) -> None:
    kubernetes.scale(_stop(server))
    kubernetes.scale(_scale(server, "restore", 3))
    server.release(BAD)
    server.kubectl("rollout", "undo", f"deployment/{server.name}")
    assert kubernetes.deployment(server.workload).stopped == ""
    assert kubernetes.scale(_scale(server, "p1", 4)).applied
