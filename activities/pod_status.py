"""What is wrong with a pod, in one word, from the API's own JSON."""

from datetime import datetime, timedelta

from activities.kubernetes_api import Object, moment

FAILING = frozenset({
    "CrashLoopBackOff", "Error", "OOMKilled", "ContainerCannotRun", "StartError", "RunContainerError",
    "ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName",
    "CreateContainerConfigError", "CreateContainerError",
})  # fmt: skip
"""Reasons that waiting does not cure."""

_JUST_BACK = timedelta(minutes=5)
"""So long after its start, a container that isn't ready is still judged by how its last run ended."""

_ITS_TURN = {"ContainerCreating", "PodInitializing"}


def containers(pod: Object) -> list[Object]:
    """Give the states of all its containers, init containers first."""
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]


def reason(pod: Object, now: datetime) -> str:
    """Name what is wrong: its worst container's reason, else the pod's own, else why it isn't scheduled.

    Between two crashes a container runs for a while. It is then named by how its last run ended, unless it is
    ready or has been running for some minutes. "" where nothing is wrong.
    """
    ended, waiting, crashed = [], [], []
    for container in containers(pod):
        state = container.get("state", {})
        if "waiting" in state:
            waiting.append(state["waiting"].get("reason", ""))
        elif state.get("terminated", {}).get("exitCode"):
            ended.append(state["terminated"].get("reason", "Error"))
        elif "running" in state and not container.get("ready"):
            last = container.get("lastState", {}).get("terminated", {})
            if last.get("exitCode") and now - moment(state["running"]["startedAt"]) < _JUST_BACK:
                crashed.append(last.get("reason", "Error"))
    status = pod.get("status", {})
    unscheduled = [
        condition.get("reason", "")
        for condition in status.get("conditions", ())
        if condition["type"] == "PodScheduled" and condition["status"] == "False"
    ]
    # A container that only waits for its turn is not what holds the pod up.
    candidates = [*ended, *(w for w in waiting if w not in _ITS_TURN), *crashed, *waiting]
    return next(filter(None, [*candidates, status.get("reason", ""), *unscheduled]), "")
