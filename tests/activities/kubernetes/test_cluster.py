"""Effects on a real API server, each happening once, and waiting for a rollout."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from temporalio.exceptions import CancelledError
from temporalio.testing import ActivityEnvironment

from activities.common.effects import is_effect
from activities.common.errors import Conflict, NotFound, Refused, Unavailable
from activities.kubernetes.cluster import (
    AwaitRollout,
    Kubernetes,
    PodsRequest,
    RestartRollout,
    ScaleDeployment,
    UndoRollout,
)
from activities.kubernetes.deployments import Deployments
from activities.kubernetes.effect_notes import EFFECTS
from activities.kubernetes.templates import RESTARTED_AT
from sandbox import manifests
from tests.activities.kubernetes.on_cluster import BAD, GOOD, HUNG, OnCluster, an_effect, eventually

AT = datetime(2026, 11, 23, 10, 0, 0, 123456, tzinfo=UTC)


def _numbered(server: OnCluster, revision: int) -> bool:
    return server.annotations["deployment.kubernetes.io/revision"] == str(revision)


@pytest.fixture
def broken(server: OnCluster) -> OnCluster:
    """Revision 2 is the bad release."""
    server.release(BAD)
    eventually(partial(_numbered, server, 2))
    return server


def _undo(server: OnCluster, to: int, **options: Any) -> UndoRollout:
    return UndoRollout(**server.target, to_revision=to, effect=an_effect(**options))


def test_all_changes_are_marked_as_effects():
    assert [name for name in vars(Kubernetes) if is_effect(getattr(Kubernetes, name))] == [
        "undo_rollout",
        "restart_rollout",
        "scale",
    ]


# -- undo -------------------------------------------------------------------------------------------------


def test_undo(kubernetes: Kubernetes, broken: OnCluster):
    change = kubernetes.undo_rollout(_undo(broken, 1))
    assert str(change) == ("deployment/tensafe-server: revision 2 (v1.2.4) → revision 1 (v1.2.3), now numbered 3")
    assert change.applied
    broken.settled()
    assert broken.image == GOOD
    assert set(broken.revisions) == {2, 3}
    assert broken.annotations["kubernetes.io/change-cause"] == "release v1.2.3"
    assert broken.annotations["deployment.kubernetes.io/revision"] == "3"


def test_undo_leaves_what_kubectl_would_and_what_others_have_noted_since(
    kubernetes: Kubernetes, broken: OnCluster, kubeconfig: Path, kube: httpx.Client
):
    other = OnCluster(kube, kubeconfig, f"{broken.namespace}-twin")
    manifests.apply_service(kubeconfig, other.namespace)
    try:
        other.release(BAD)
        for one in (broken, other):
            one.patch({"metadata": {"annotations": {"team": "sre"}}})
            one.release("registry.example/tensafe-server:v1.2.5")
        kubernetes.undo_rollout(_undo(broken, 1))
        other.kubectl("rollout", "undo", f"deployment/{other.name}", "--to-revision=1")
        for one in (broken, other):
            eventually(partial(_numbered, one, 4))
        ours, theirs = broken.annotations, other.annotations
        assert "runbooks.dev/effects" in ours
        del ours[EFFECTS]
        # kubectl drops what others have noted since; here it stays.
        assert (ours.pop("team"), "team" in theirs) == ("sre", False)
        for annotations in (ours, theirs):
            del annotations["meta.helm.sh/release-namespace"]
        assert ours == theirs
        assert broken.spec["template"] == other.spec["template"]
        assert set(broken.revisions) == set(other.revisions) == {2, 3, 4}
    finally:
        kube.delete(f"/api/v1/namespaces/{other.namespace}").raise_for_status()


def test_undo_says_what_the_pods_lose_that_others_have_put_on_them(kubernetes: Kubernetes, broken: OnCluster):
    put = {"annotations": {"example.com/scrape": "true"}, "labels": {"team": "payments"}}
    broken.patch({"spec": {"template": {"metadata": put}}})
    eventually(partial(_numbered, broken, 3))
    change = kubernetes.undo_rollout(_undo(broken, 1))
    assert change.after.endswith(
        "; its pods are without what was put on them since: annotation example.com/scrape, label team"
    )


def test_undo_says_what_the_deployment_goes_on_saying(kubernetes: Kubernetes, broken: OnCluster):
    broken.patch({"metadata": {"annotations": {"example.com/commit": "a1", "kubernetes.io/change-cause": "first"}}})
    eventually(lambda: "example.com/commit" in broken.revisions[2]["metadata"]["annotations"])
    spec = {"template": {"metadata": {"labels": {"version": "b2"}}}}
    broken.patch({"metadata": {"annotations": {"example.com/commit": "b2", "team": "sre"}}, "spec": spec})
    eventually(partial(_numbered, broken, 3))
    change = kubernetes.undo_rollout(_undo(broken, 2))
    assert change.after.endswith("; the Deployment still says what it said last: annotation example.com/commit")
    kept = broken.annotations
    assert (kept["example.com/commit"], kept["kubernetes.io/change-cause"]) == ("b2", "first")


def test_undo_again_makes_no_second_revision(kubernetes: Kubernetes, broken: OnCluster):
    request = _undo(broken, 1)
    first = kubernetes.undo_rollout(request)
    at_once = kubernetes.undo_rollout(request)
    broken.settled()  # by now there is no revision 1 any more
    assert 1 not in broken.revisions
    later = kubernetes.undo_rollout(request)
    for again in (at_once, later):
        assert again == first.model_copy(update={"applied": False, "note": "done by an earlier attempt"})
    assert set(broken.revisions) == {2, 3}


def test_undo_again_is_known_although_others_have_changed_the_deployment_since(
    kubernetes: Kubernetes, broken: OnCluster
):
    request = _undo(broken, 1)
    kubernetes.undo_rollout(request)
    broken.settled()
    broken.release("registry.example/tensafe-server:v1.2.5")
    broken.patch({"metadata": {"annotations": {EFFECTS: None}}})
    assert not kubernetes.undo_rollout(request).applied
    assert broken.image.endswith("v1.2.5")


def test_an_old_replica_set_does_not_bring_an_old_effect_back(kubernetes: Kubernetes, broken: OnCluster):
    first = _undo(broken, 1)
    kubernetes.undo_rollout(first)
    eventually(lambda: 3 in broken.revisions)
    broken.release(BAD)  # revision 4, the same template as 2
    eventually(lambda: set(broken.revisions) == {3, 4})
    second = _undo(broken, 3)
    assert kubernetes.undo_rollout(second).applied
    assert second.effect.key in broken.annotations[EFFECTS]
    eventually(lambda: 5 in broken.revisions)
    assert second.effect.key in broken.revisions[5]["metadata"]["annotations"][EFFECTS]


def test_undo_with_kubectl_in_between_brings_an_old_note_back_and_hurts_nobody(
    kubernetes: Kubernetes, broken: OnCluster
):
    kubernetes.undo_rollout(_undo(broken, 1))
    eventually(lambda: 3 in broken.revisions)
    broken.release(BAD)
    eventually(lambda: 4 in broken.revisions)
    broken.kubectl("rollout", "undo", f"deployment/{broken.name}")
    eventually(lambda: 5 in broken.revisions)
    broken.release(BAD)
    eventually(lambda: 6 in broken.revisions)
    assert kubernetes.undo_rollout(_undo(broken, 5)).applied


def test_undo_to_where_it_is(kubernetes: Kubernetes, broken: OnCluster):
    before = broken.raw
    change = kubernetes.undo_rollout(_undo(broken, 2))
    assert (change.applied, change.after) == (False, "already on revision 2 (v1.2.4)")
    assert broken.raw["metadata"]["generation"] == before["metadata"]["generation"]


def test_undo_to_no_revision_names_those_there_are(kubernetes: Kubernetes, broken: OnCluster):
    with pytest.raises(NotFound, match=r"has no revision 7; it has: 1, 2$") as caught:
        kubernetes.undo_rollout(_undo(broken, 7))
    assert caught.value.non_retryable


def test_undo_of_a_paused_deployment_is_refused(kubernetes: Kubernetes, broken: OnCluster):
    broken.patch({"spec": {"paused": True}})
    with pytest.raises(Refused, match="is paused"):
        kubernetes.undo_rollout(_undo(broken, 1))


def test_undo_of_what_was_not_diagnosed_is_refused(kubernetes: Kubernetes, broken: OnCluster):
    request = _undo(broken, 1).model_copy(update={"from_revision": 2})
    broken.release("registry.example/tensafe-server:v1.2.5")
    with pytest.raises(Refused, match="no longer on revision 2"):
        kubernetes.undo_rollout(request)
    broken.settled()
    assert broken.image.endswith("v1.2.5")


def test_planned_undo_changes_nothing(kubernetes: Kubernetes, broken: OnCluster):
    before = broken.raw
    change = kubernetes.undo_rollout(_undo(broken, 1, dry_run=True))
    assert (change.applied, change.note) == (False, "plan only: the API server would accept it")
    assert change.after == "revision 1 (v1.2.3), now numbered 3"
    for part in ("spec", "metadata"):
        now = {k: v for k, v in broken.raw[part].items() if k not in {"resourceVersion", "managedFields"}}
        assert now == {k: v for k, v in before[part].items() if k not in {"resourceVersion", "managedFields"}}


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], list[int]]:
    """Do something between our read and our patch, each time until it says no more; counts the patches."""
    genuine, patches = Deployments._patch, []

    def install(meanwhile: Callable[[], None]) -> list[int]:
        def patch(self: Deployments, *args: Any, **options: Any) -> None:
            patches.append(1)
            if len(patches) == 1:
                meanwhile()
            genuine(self, *args, **options)

        monkeypatch.setattr(Deployments, "_patch", patch)
        return patches

    return install


def test_a_change_of_the_spec_in_between_is_a_conflict(kubernetes: Kubernetes, broken: OnCluster, between: Any):
    newer = "registry.example/tensafe-server:v1.2.5"
    between(lambda: broken.release(newer))
    with pytest.raises(Conflict) as caught:
        kubernetes.undo_rollout(_undo(broken, 1))
    assert not caught.value.non_retryable
    assert broken.image == newer


def test_a_change_of_anything_else_in_between_is_not(kubernetes: Kubernetes, broken: OnCluster, between: Any):
    patches = between(lambda: broken.patch({"metadata": {"labels": {"seen": "yes"}}}))
    assert kubernetes.undo_rollout(_undo(broken, 1)).applied
    assert len(patches) >= 2  # the controller may have come in between once more
    assert broken.image == GOOD
    assert broken.raw["metadata"]["labels"]["seen"] == "yes"


def test_a_lost_answer_is_found_again(kubernetes: Kubernetes, broken: OnCluster, monkeypatch: pytest.MonkeyPatch):
    genuine = Deployments._patch

    def applied_but_not_heard(self: Deployments, *args: Any, **options: Any) -> None:
        genuine(self, *args, **options)
        raise Unavailable("the connection broke")

    request = _undo(broken, 1)
    with monkeypatch.context() as patched:
        patched.setattr(Deployments, "_patch", applied_but_not_heard)
        with pytest.raises(Unavailable):
            kubernetes.undo_rollout(request)
    change = kubernetes.undo_rollout(request)
    assert (change.applied, change.before) == (False, "revision 2 (v1.2.4)")
    broken.settled()
    assert set(broken.revisions) == {2, 3}


def test_two_attempts_at_once_make_one_revision(kubernetes: Kubernetes, broken: OnCluster):
    request = _undo(broken, 1)
    outcomes: list[object] = []
    start = threading.Barrier(2)

    def attempt() -> None:
        start.wait()
        try:
            outcomes.append(kubernetes.undo_rollout(request).applied)
        except Conflict as error:
            outcomes.append(error)

    threads = [threading.Thread(target=attempt) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    broken.settled()
    assert outcomes.count(True) == 1
    assert set(broken.revisions) == {2, 3}


# -- restart and scale ------------------------------------------------------------------------------------


def _restart(server: OnCluster, at: datetime = AT, **options: Any) -> RestartRollout:
    return RestartRollout(**server.target, restarted_at=at, effect=an_effect(**options))


def test_restart(kubernetes: Kubernetes, server: OnCluster):
    request = _restart(server)
    change = kubernetes.restart_rollout(request)
    assert (change.before, change.after) == ("revision 1 (v1.2.3)", "all pods restarting, as revision 2")
    assert change.applied
    server.settled()
    assert server.spec["template"]["metadata"]["annotations"] == {RESTARTED_AT: "2026-11-23T10:00:00Z"}
    assert server.image == GOOD
    assert set(server.revisions) == {1, 2}
    again = kubernetes.restart_rollout(request)
    assert (again.applied, again.before, again.after) == (False, change.before, change.after)
    same_time = kubernetes.restart_rollout(_restart(server))
    assert (same_time.applied, same_time.after) == (False, "already restarted at 2026-11-23T10:00:00Z")
    assert set(server.revisions) == {1, 2}
    assert kubernetes.restart_rollout(_restart(server, AT + timedelta(minutes=1))).applied


def test_planned_restart_changes_nothing(kubernetes: Kubernetes, server: OnCluster):
    before = server.spec
    assert not kubernetes.restart_rollout(_restart(server, dry_run=True)).applied
    assert server.spec == before


def test_restart_of_a_paused_deployment_is_refused(kubernetes: Kubernetes, server: OnCluster):
    server.patch({"spec": {"paused": True}})
    with pytest.raises(Refused, match="is paused"):
        kubernetes.restart_rollout(_restart(server))


def _scale(server: OnCluster, replicas: int, **options: Any) -> ScaleDeployment:
    return ScaleDeployment(**server.target, replicas=replicas, effect=an_effect(**options))


def _at_least(server: OnCluster, replicas: int) -> ScaleDeployment:
    return ScaleDeployment(**server.target, replicas=replicas, at_least=True, effect=an_effect())


def test_scale(kubernetes: Kubernetes, server: OnCluster):
    change = kubernetes.scale(_scale(server, 5))
    assert str(change) == "deployment/tensafe-server: 3 replicas → 5 replicas"
    assert change.applied
    server.settled()
    assert server.spec["replicas"] == 5
    assert set(server.revisions) == {1}


def test_scale_again_leaves_what_somebody_else_has_set_since(kubernetes: Kubernetes, server: OnCluster):
    request = _scale(server, 5)
    kubernetes.scale(request)
    server.patch({"spec": {"replicas": 7}})
    again = kubernetes.scale(request)
    assert (again.applied, again.before, again.after) == (False, "3 replicas", "5 replicas")
    assert server.spec["replicas"] == 7


def test_scale_to_what_it_is(kubernetes: Kubernetes, server: OnCluster):
    change = kubernetes.scale(_scale(server, 3))
    assert (change.applied, change.after) == (False, "already 3 replicas")


def test_scale_to_at_least_what_it_has_not(kubernetes: Kubernetes, server: OnCluster):
    request = _at_least(server, 5)
    assert str(kubernetes.scale(request)) == "deployment/tensafe-server: 3 replicas → 5 replicas"
    server.patch({"spec": {"replicas": 4}})
    again = kubernetes.scale(request)
    assert (again.applied, again.before, again.after) == (False, "3 replicas", "5 replicas")
    assert server.spec["replicas"] == 4


@pytest.mark.parametrize(("replicas", "after"), [(3, "already 3 replicas"), (2, "already more than 2 replicas")])
def test_scale_to_at_least_what_it_has(kubernetes: Kubernetes, server: OnCluster, replicas: int, after: str):
    before = server.raw
    change = kubernetes.scale(_at_least(server, replicas))
    assert (change.applied, change.before, change.after) == (False, "3 replicas", after)
    assert server.raw["metadata"]["generation"] == before["metadata"]["generation"]
    assert EFFECTS not in server.annotations


def test_scaled_by_the_autoscaler_in_between_none_is_taken_away(
    kubernetes: Kubernetes, server: OnCluster, between: Any
):
    between(lambda: server.patch({"spec": {"replicas": 9}}))
    request = _at_least(server, 5)
    with pytest.raises(Conflict) as caught:
        kubernetes.scale(request)
    assert not caught.value.non_retryable
    assert kubernetes.scale(request).after == "already more than 5 replicas"
    assert server.spec["replicas"] == 9


def test_planned_scale_changes_nothing(kubernetes: Kubernetes, server: OnCluster):
    assert not kubernetes.scale(_scale(server, 5, dry_run=True)).applied
    assert server.spec["replicas"] == 3


def test_the_last_effects_are_noted(kubernetes: Kubernetes, server: OnCluster):
    requests = [_scale(server, replicas) for replicas in range(4, 11)]
    for request in requests:
        kubernetes.scale(request)
    noted = server.annotations[EFFECTS]
    assert [request.effect.key in noted for request in requests] == [False] * 2 + [True] * 5


def test_a_spoilt_note_is_no_obstacle(kubernetes: Kubernetes, server: OnCluster):
    server.patch({"metadata": {"annotations": {EFFECTS: "spoilt"}}})
    assert kubernetes.scale(_scale(server, 5)).applied


# -- waiting ----------------------------------------------------------------------------------------------


def _awaited(kubernetes: Kubernetes, server: OnCluster, seconds: float = HUNG.total_seconds()) -> Any:
    request = AwaitRollout(**server.target, timeout=timedelta(seconds=seconds))
    return ActivityEnvironment().run(kubernetes.await_rollout, request)


def test_await_a_rollout(kubernetes: Kubernetes, broken: OnCluster):
    kubernetes.undo_rollout(_undo(broken, 1))
    rollout = _awaited(kubernetes, broken)
    assert rollout.complete, rollout
    assert (rollout.ready, rollout.replicas, rollout.revision) == (3, 3, 3)
    assert rollout.reason == ""
    broken.kubectl("rollout", "status", f"deployment/{broken.name}", "--timeout=1m")


def test_running_out_of_time_says_what_is_wrong(kubernetes: Kubernetes, server: OnCluster):
    server.patch({"spec": {"template": {"spec": {"nodeSelector": {"gpu": "yes"}}}}})
    pods = PodsRequest(namespace=server.namespace, selector="app=tensafe")
    eventually(lambda: [pod.reason for pod in kubernetes.pods(pods).items].count("Unschedulable") == 3)
    rollout = _awaited(kubernetes, server, 2)
    assert (rollout.complete, rollout.ready, rollout.revision) == (False, 3, 2)
    assert rollout.reason == "3 old pods still to end; 3 × Unschedulable"
    assert 2 <= rollout.seconds < 60


def test_crashed_pods_make_it_incomplete(kubernetes: Kubernetes, broken: OnCluster):
    broken.down()
    rollout = _awaited(kubernetes, broken, 0.5)
    assert rollout.reason == "0 of 3 updated pods available; 3 × CrashLoopBackOff"


def test_the_progress_deadline_ends_it_early(kubernetes: Kubernetes, server: OnCluster):
    server.patch({"spec": {"progressDeadlineSeconds": 1, "template": {"spec": {"nodeSelector": {"gpu": "yes"}}}}})
    rollout = _awaited(kubernetes, server)
    assert not rollout.complete
    assert rollout.reason.startswith("the rollout exceeded its progress deadline")
    assert rollout.seconds < HUNG.total_seconds()


def test_waiting_for_no_deployment(kubernetes: Kubernetes, server: OnCluster):
    request = AwaitRollout(namespace=server.namespace, deployment="other", timeout=timedelta(seconds=5))
    with pytest.raises(NotFound):
        ActivityEnvironment().run(kubernetes.await_rollout, request)


def test_waiting_is_cancelled_at_once(kubernetes: Kubernetes, server: OnCluster):
    server.patch({"spec": {"template": {"spec": {"nodeSelector": {"gpu": "yes"}}}}})
    environment = ActivityEnvironment()
    beats: list[Any] = []

    def beat(*details: Any) -> None:
        beats.append(details)
        if len(beats) == 2:
            environment.cancel()

    environment.on_heartbeat = beat
    with pytest.raises(CancelledError):
        environment.run(kubernetes.await_rollout, AwaitRollout(**server.target, timeout=timedelta(hours=1)))
    assert len(beats) == 2


def test_the_next_attempt_has_only_the_time_that_is_left(kubernetes: Kubernetes, server: OnCluster):
    server.patch({"spec": {"template": {"spec": {"nodeSelector": {"gpu": "yes"}}}}})
    environment = ActivityEnvironment()
    started = (datetime.now(UTC) - timedelta(minutes=4, seconds=59)).isoformat()
    environment.info = replace(environment.info, heartbeat_details=[{"started_at": started}])
    began = time.monotonic()
    rollout = environment.run(kubernetes.await_rollout, AwaitRollout(**server.target, timeout=timedelta(minutes=5)))
    assert time.monotonic() - began < 120
    assert rollout.seconds >= 300
