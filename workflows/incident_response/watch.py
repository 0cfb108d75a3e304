"""Looking at a service's health while people are awaited (runbook 2.2): they may be at work, or it may get worse."""

from collections.abc import Callable
from datetime import timedelta

from temporalio import workflow

from activities.catalogue.service import Service
from activities.monitoring.health import HealthChecks, HealthRequest
from workflows.platform import policies
from workflows.platform.runbook import Runbook

_SHARE = 10
_SLOWEST = timedelta(minutes=15)


class Watch:
    """Looks every minute or so in the beginning, and the longer nothing changes, the less often."""

    def __init__(self, run: Runbook, service: Service, news: Callable[[], bool]) -> None:
        """Watch for a run; `news` tells that there is something to do."""
        self._run = run
        self._service = service
        self._news = news
        self._since = workflow.now()

    def anew(self) -> None:
        """Something has changed: look often again."""
        self._since = workflow.now()

    async def healthy(self) -> bool | None:
        """Ask once; None where the question itself failed."""
        health = await self._run.attempt(
            "2.2/6", "Health", HealthChecks.check, HealthRequest(url=self._service.health_url), policies.READ
        )
        return None if health is None else health.healthy

    async def pause(self, until: timedelta) -> bool:
        """Wait for the next look, and at most until then; False where there is news before."""
        lasts = (workflow.now() - self._since) / _SHARE
        due = max(self._service.incident.watch_every, min(lasts, _SLOWEST))
        try:
            await workflow.wait_condition(self._news, timeout=min(until, due), timeout_summary="next look at health")
        except TimeoutError:
            return True
        return False
