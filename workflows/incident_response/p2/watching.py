"""Watching a degraded service against its limits (runbook 2.3 step 6): it gets better, stays, or goes down."""

import asyncio
from typing import Any

from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

from activities.catalogue.service import Service
from activities.kubernetes.cluster import Kubernetes, Workload
from activities.monitoring.degradation import DegradationWatch, DegradationWatched, WatchDegradation
from workflows.incident_response.degraded import limits
from workflows.incident_response.p2.happened import P2Happened
from workflows.platform import policies
from workflows.platform.runbook import Runbook

_LONGEST_WATCH = 16
"""Times `watch_for`: four hours, so that an incident that nobody ends costs a few hundred events a day."""


class P2Watching:
    """Looks at one P2's service, as long as nobody ends the incident."""

    def __init__(self, run: Runbook, service: Service, happened: P2Happened) -> None:
        self.run = run
        self.service = service
        self._happened = happened

    async def watched(self, rounds: int) -> DegradationWatched | None:
        """Watch after so many rounds of fixing, as long as nobody ends it; None when somebody has."""
        service, policy = self.service, self.service.degradation
        # After the fixes that there are, what is left is to wait: with fewer looks at everything.
        patience = min(2 ** max(rounds - policy.max_fixes, 0), _LONGEST_WATCH)
        watch = WatchDegradation(
            error_rate=service.metrics.error_rate,
            p95_latency=service.metrics.p95_latency,
            health_url=service.health_url,
            limits=limits(service),
            better_for=min(policy.better_for, policy.watch_for),
            down_for=policy.down_for,
            lasting=policy.watch_for * patience,
            every=policy.watch_every,
            ends_when_better=patience > 1,
        )
        lasting = policies.WAIT.lasting(watch.lasting + 2 * watch.better_for)
        watching = asyncio.create_task(self.run.attempt("2.3/6", "Watch", DegradationWatch.watch, watch, lasting))
        await workflow.wait_condition(lambda: watching.done() or self._happened.ended)
        if not watching.done():
            await _called_off(watching)
            return None
        return watching.result()

    async def is_stopped(self) -> bool:
        """Tell whether a run has stopped it since it was assessed; what is down is else an outage."""
        if not workflow.patched("looked-who-has-stopped-it"):
            return False
        where = Workload(namespace=self.service.namespace, deployment=self.service.deployment)
        state = await self.run.attempt("2.3/6", "Is it kept stopped", Kubernetes.deployment, where, policies.READ)
        lately = self.service.scaling.ready_within
        return state is not None and bool(state.stopped or state.brought_back(workflow.now(), lately))


async def _called_off(task: "asyncio.Task[Any]") -> None:
    """Cancel a step that isn't needed any more, and wait until it has ended."""
    task.cancel()
    try:
        await task
    except BaseException as error:
        if not is_cancelled_exception(error):
            raise
