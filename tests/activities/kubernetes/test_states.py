"""What is wrong with a pod, from statuses as the kubelet writes them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.kubernetes.cluster import _pod
from activities.kubernetes.states import FAILING, Pod, Pods, reason_of

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def _container(**status: Any) -> dict[str, Any]:
    return {"name": "c", "ready": False, "restartCount": 0, **status}


def _waiting(why: str) -> dict[str, Any]:
    return _container(state={"waiting": {"reason": why}})


def _ended(why: str, code: int) -> dict[str, Any]:
    return _container(state={"terminated": {"reason": why, "exitCode": code}})


def _running(minutes: float, *, ready: bool = False, last: int | None = 1) -> dict[str, Any]:
    started = (NOW - timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")
    before = {"terminated": {"reason": "OOMKilled", "exitCode": last}} if last is not None else {}
    return _container(state={"running": {"startedAt": started}}, lastState=before, ready=ready)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, ""),
        ({"containerStatuses": [_running(1, ready=True)]}, ""),
        ({"containerStatuses": [_waiting("CrashLoopBackOff")]}, "CrashLoopBackOff"),
        ({"containerStatuses": [_waiting("ContainerCreating")]}, "ContainerCreating"),
        ({"containerStatuses": [_waiting("ContainerCreating"), _waiting("ErrImagePull")]}, "ErrImagePull"),
        ({"containerStatuses": [_ended("OOMKilled", 137)]}, "OOMKilled"),
        ({"containerStatuses": [_ended("Completed", 0)]}, ""),
        ({"containerStatuses": [_running(1, ready=True), _waiting("ImagePullBackOff")]}, "ImagePullBackOff"),
        (
            {
                "initContainerStatuses": [_waiting("CrashLoopBackOff")],
                "containerStatuses": [_waiting("PodInitializing")],
            },
            "CrashLoopBackOff",
        ),
        (
            {"initContainerStatuses": [_ended("Error", 1)], "containerStatuses": [_waiting("PodInitializing")]},
            "Error",
        ),
        # Between two crashes.
        ({"containerStatuses": [_running(1)]}, "OOMKilled"),
        ({"containerStatuses": [_running(30)]}, ""),
        ({"containerStatuses": [_running(1, last=None)]}, ""),
        ({"containerStatuses": [_running(1, last=0)]}, ""),
        ({"reason": "Evicted", "phase": "Failed"}, "Evicted"),
        ({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}, "Unschedulable"),
    ],
)
def test_reason(status: dict[str, Any], expected: str):
    assert reason_of({"status": status}, NOW) == expected


@pytest.mark.parametrize("why", ["ContainerCreating", "PodInitializing", "Completed", "Unschedulable", ""])
def test_what_waiting_may_cure_is_not_failing(why: str):
    assert why not in FAILING


def _pod_with(**status: Any) -> Pod:
    metadata = {"name": "p", "creationTimestamp": "2026-11-23T11:00:00Z", "labels": {"pod-template-hash": "h"}}
    return _pod({"metadata": metadata, "spec": {"containers": [{"image": "a:1"}]}, "status": status})


@pytest.mark.parametrize(
    "status",
    [
        {"phase": "Failed", "reason": "Evicted"},
        # A node that was shut down (kubernetes.io/docs/concepts/cluster-administration/node-shutdown).
        {"phase": "Failed", "reason": "Terminated", "containerStatuses": [_ended("Error", 137)]},
        {"phase": "Failed", "reason": "NodeAffinity"},
        {"phase": "Succeeded", "containerStatuses": [_ended("Completed", 0)]},
    ],
)
def test_a_pod_that_is_over_is_none_of_the_service(status: dict[str, Any]):
    well = _pod_with(phase="Running", conditions=[{"type": "Ready", "status": "True"}])
    assert str(Pods(items=[well, _pod_with(**status)])) == "1 of 1 ready, 0 failing, 0 pending"


@pytest.mark.parametrize(
    "why", ["SignatureValidationFailed", "ImageInspectError", "PostStartHookError", "ErrImagePull"]
)
def test_what_the_kubelet_does_not_get_over_is_failing(why: str):
    assert _pod_with(phase="Pending", containerStatuses=[_waiting(why)]).failing
    assert not _pod_with(phase="Pending", containerStatuses=[_waiting("ContainerCreating")]).failing


def test_a_pod_that_has_a_node_and_no_container_yet_is_starting():
    waiting = {"phase": "Pending", "containerStatuses": [_waiting("ContainerCreating")]}
    metadata = {"name": "p", "creationTimestamp": "2026-11-23T11:00:00Z"}
    placed = _pod(
        {"metadata": metadata, "spec": {"nodeName": "n", "containers": [{"image": "a:1"}]}, "status": waiting}
    )
    unscheduled = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "x"}]}
    assert (placed.starting, _pod_with(**unscheduled).starting) == (True, False)
