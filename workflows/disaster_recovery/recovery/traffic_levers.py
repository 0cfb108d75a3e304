"""What a recovery moves traffic by (runbook 7.2 step 6): the weight of a canary Ingress, or the number of pods.

A lever sets absolute shares. It knows every share that may be set by now, also where an answer was lost, so that only
somebody else's change is taken for one.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from activities.autoscaling.autoscalers import Autoscalers
from activities.autoscaling.states import AutoscalingRequest
from activities.catalogue.service import Service
from activities.common.effects import Change, Effect
from activities.kubernetes.cluster import AwaitRollout, Kubernetes, ScaleDeployment, Workload
from activities.kubernetes.traffic import ShareRequest, ShiftTraffic, Traffic
from workflows.platform import policies
from workflows.platform.runbook import Runbook
from workflows.shared.desk import Desk, insist

_ALL = 100
_SECTION = "7.2/6"
_Method = Callable[[Any, Any], Change]


class Lever(ABC):
    """One way to move traffic; shares are per cent."""

    drained: int
    """The least that it can be."""

    def __init__(self, run: Runbook, service: Service) -> None:
        self.run = run
        self.service = service
        self.before = _ALL
        """What reached the service when the run began."""
        self._may_be: set[int] = set()

    async def look(self) -> int:
        """Read the share, and take it as the one that may be changed.

        Raises:
            ActivityError: it can't be read.

        """
        percent = await self._read()
        self._may_be = {percent}
        return percent

    async def set(self, percent: int) -> None:
        """Set the share.

        Raises:
            ActivityError: it could not be set, or somebody else has set another.

        """
        method, request = self._begin(percent)
        await self.run.step(_SECTION, self._title(percent), method, request, policies.EFFECT)
        self._is(percent)

    async def insist(self, desk: Desk, percent: int) -> None:
        """See that it is at a share, for as long as that takes, while people are told; raises as `set` does."""
        if self._may_be == {percent}:
            return
        method, request = self._begin(percent)
        still = f"traffic is not at {percent} % yet"
        await insist(desk, _SECTION, self._title(percent), method, request, undone=still)
        self._is(percent)

    def _begin(self, percent: int) -> tuple[_Method, Any]:
        change = self._change(percent, self.run.effect(f"traffic-{percent}"))
        if not self.run.dry_run:
            self._may_be.add(percent)
        return change

    def _is(self, percent: int) -> None:
        if not self.run.dry_run:
            self._may_be = {percent}

    async def effective(self) -> str:
        """Wait until the share is in effect; gives what is in its way."""
        return ""

    @abstractmethod
    async def _read(self) -> int: ...

    @abstractmethod
    def _title(self, percent: int) -> str: ...

    @abstractmethod
    def _change(self, percent: int, effect: Effect) -> tuple[_Method, Any]: ...


class ByIngress(Lever):
    """The weight of a canary Ingress, unless somebody else has set it meanwhile. NGINX follows within seconds."""

    drained = 0

    def __init__(self, run: Runbook, service: Service) -> None:
        super().__init__(run, service)
        self._where = {"namespace": service.namespace, "ingress": service.recovery.traffic.ingress or ""}

    async def _read(self) -> int:
        share = await self.run.step(_SECTION, "Traffic", Traffic.share, ShareRequest(**self._where), policies.READ)
        return share.percent

    def _title(self, percent: int) -> str:
        return f"{percent} % of the traffic"

    def _change(self, percent: int, effect: Effect) -> tuple[_Method, Any]:
        may_be = sorted({*self._may_be, percent})
        return Traffic.shift, ShiftTraffic(**self._where, percent=percent, instead_of=may_be, effect=effect)


class ByReplicas(Lever):
    """A share of the pods that there were; an autoscaler that wants more is left alone."""

    def __init__(self, run: Runbook, service: Service) -> None:
        super().__init__(run, service)
        self.drained = service.recovery.traffic.steps[0]
        self._where = {"namespace": service.namespace, "deployment": service.deployment}
        self._all = 0
        self._least = 1

    async def _read(self) -> int:
        state = await self.run.step(_SECTION, "Replicas", Kubernetes.deployment, Workload(**self._where), policies.READ)
        if not self._all:  # pinned: all that there are to be
            self._all = self.service.recovery.traffic.replicas or max(state.replicas, 1)
            self._least = min(await self._minimum(), self._all)
        return min(state.replicas * _ALL // self._all, _ALL)

    async def _minimum(self) -> int:
        """Below an HPA's minimum it would add pods at once: such a step would not be one."""
        service = self.service
        named = AutoscalingRequest(namespace=service.namespace, hpa=service.hpa, scaled_object=service.scaled_object)
        found = await self.run.attempt(_SECTION, "Autoscalers", Autoscalers.read, named, policies.READ)
        return max((found and found.hpa_min) or 1, 1)

    def _title(self, percent: int) -> str:
        return f"{percent} % of the replicas"

    def _change(self, percent: int, effect: Effect) -> tuple[_Method, Any]:
        replicas = max(math.ceil(self._all * percent / _ALL), self._least)
        # On the way up, more than that is somebody's need; on the way down it is what has to go.
        rising = all(percent >= known for known in self._may_be)
        return Kubernetes.scale, ScaleDeployment(**self._where, replicas=replicas, at_least=rising, effect=effect)

    async def effective(self) -> str:
        """Wait for the pods."""
        within = self.service.recovery.rollout_within
        rollout = await self.run.attempt(
            _SECTION,
            "Rollout",
            Kubernetes.await_rollout,
            AwaitRollout(**self._where, timeout=within),
            policies.WAIT.lasting(within),
        )
        if rollout is None:
            return "the rollout could not be watched"
        return "" if rollout.complete else f"the rollout is {rollout}"


async def lever(run: Runbook, service: Service) -> Lever | None:
    """Give the one of the settings, with the share as it is now; None where traffic is not in our hands.

    Raises:
        ActivityError: it can't be read, there is no such Ingress, or it is no canary.

    """
    mode = service.recovery.traffic.mode
    if mode == "none":
        return None
    found = ByIngress(run, service) if mode == "ingress" else ByReplicas(run, service)
    found.before = await found.look()
    return found
