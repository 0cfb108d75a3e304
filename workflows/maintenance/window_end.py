"""How a window ends (runbook 6.1): the service verified, and everything closed by what was seen."""

import asyncio
from datetime import datetime

from temporalio import workflow

from activities.common.errors import Refused
from activities.messages.paging.paging import Paging, ResolvePage
from activities.messages.status_page.status_page import ComponentState
from activities.monitoring.health import Health, HealthChecks, HealthRequest
from activities.records.activities import Records
from activities.records.incidents import OpenIncidentsRequest
from workflows.maintenance.window_hold import WindowHold
from workflows.maintenance.window_notices import WindowNotices, span
from workflows.maintenance.window_tasks import TaskState
from workflows.platform import policies
from workflows.platform.approval import Question
from workflows.shared.desk import Desk
from workflows.shared.verification import verify

_AGAIN, _END = "look-again", "end"
_BROKEN_OFF = {"gone back", "called off", "cancelled", "failed"}


class WindowEnd:
    """Verifies and closes one window."""

    def __init__(self, desk: Desk, hold: WindowHold, notices: WindowNotices) -> None:
        self.desk = desk
        self.run = desk.run
        self.hold = hold
        self.notices = notices
        self.verifying = False
        self.healthy: bool | None = None
        self.incidents: list[str] = []
        self._health: Health | None = None

    async def verify(self) -> None:
        """Verify the service; people say what to do with one that isn't well, and hear of it in any case."""
        self.verifying = True
        policy = self.desk.service.window
        self.run.phase("Verify")
        await self.notices.verifying()
        looks = 0
        while True:
            looks += 1
            verified = await verify(
                self.run, "6.1", self.desk.service, policy.verify_within, steady_for=policy.steady_for
            )
            self.healthy = verified.ok
            self._health = verified.health.last if verified.health else None
            if verified.ok:
                return
            self.run.say("problem", verified.trouble, section="6.1")
            if await self._ask(looks, verified.trouble) != _AGAIN:
                await self.desk.escalate(f"the maintenance has ended, and {verified.trouble}")
                return

    async def _ask(self, looks: int, trouble: str) -> str:
        try:
            await self.hold.move(self.notices.lease.until)  # the hold must outlast the answer
        except Refused as error:
            self.run.say("problem", f"the hold ends by itself: {error.message}", section="6.1")
        question = Question(
            id=f"verify-{looks}",
            title=f"{self.desk.title} is done, and {trouble}. What now?",
            options={
                _AGAIN: "look again, once somebody has mended it",
                _END: "end the window: alerts page again, and the status page says what was seen",
            },
            default=_END,
            kind="maintain",
            evidence=[trouble],
            timeout=self.desk.service.window.decision_timeout,
        )
        self.run.background(self.desk.ask(question))
        answer = await self.run.ask(question, escalate=self.desk.escalate)
        return answer.choice

    async def close(self, how: str, why: str, *, began: datetime | None, tasks: list[TaskState]) -> None:
        """Lift the silence, end the record, complete the page, tell customers and channel."""
        if self.run.dry_run:
            return
        if began is not None and self.healthy is None:
            await self._look()
        await asyncio.gather(
            self.hold.lift(),
            self.hold.end("cancelled" if how in _BROKEN_OFF else "completed", f"{how}: {why}" if why else how),
            self._tell_the_public(how, began=began is not None),
            self._tell_the_channel(how, why, began=began, tasks=tasks),
        )

    async def _look(self) -> None:
        """Look once: a run that was cancelled has verified nothing."""
        request = HealthRequest(url=self.desk.service.health_url)
        self._health = await self.run.attempt("6.1", "Health", HealthChecks.check, request, policies.READ)
        self.healthy = self._health.healthy if self._health else None

    @property
    def _shows(self) -> ComponentState:
        """What the component shows: what was seen, and what could not be seen is not operational."""
        if self.healthy:
            return "operational"
        if self._health is None or self._health.healthy or self._health.status == "degraded":
            return "degraded_performance"
        return "major_outage"

    async def _tell_the_public(self, how: str, *, began: bool) -> None:
        if not began:
            await self.notices.over("The planned maintenance does not take place.", None)
            if self.notices.announced:
                await self.notices.mail_the_end("cancelled", "It does not take place.")
            return
        broken_off = how in _BROKEN_OFF
        message = "The maintenance was ended before it was complete." if broken_off else "The maintenance is complete."
        if not self.healthy:
            message += " Not everything works yet, and we are looking into it."
        await self.notices.over(message, self._shows)
        if broken_off:
            await self.notices.mail_the_end("ended early", "It was ended before it was complete.")

    async def _tell_the_channel(self, how: str, why: str, *, began: datetime | None, tasks: list[TaskState]) -> None:
        if began is not None:
            request = OpenIncidentsRequest(service=self.desk.service.name, severities=["P1", "P2", "P3", "P4"])
            found = await self.run.attempt("6.1", "Open incidents", Records.open_incidents, request, policies.READ)
            self.incidents = [each.incident_id for each in found.items if each.opened_at >= began] if found else []
        lines = [f":checkered_flag: {self.desk.title}: *{how}*{f' ({why})' if why else ''}"]
        if began is not None:
            when = span(began, workflow.now(), self.desk.service.time_zone)
            lines.append(f"{when}; the service is {self._said}")
        lines += [f"• {task}" for task in tasks]
        if self.incidents:
            lines.append(f":warning: still open: {', '.join(self.incidents)}")
        await self.desk.tell("ended", "\n".join(lines))
        if self.incidents:
            await self.desk.page(f"the window is over, and of its time is still open: {', '.join(self.incidents)}")
        elif self.desk.levels and self.healthy is not False:
            await self._withdraw_the_pages()

    async def _withdraw_the_pages(self) -> None:
        request = ResolvePage(incident_id=self.desk.id, levels=self.desk.levels, effect=self.run.effect("resolve-page"))
        await self.run.keep("6.1", "Withdraw the pages", Paging.resolve, request)

    @property
    def _said(self) -> str:
        return "healthy" if self.healthy else f"{self._health}" if self._health else "not known to be healthy"
