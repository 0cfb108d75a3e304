"""What a window asks: whether it may begin, and what to do when its time is over (runbook 6.1)."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from temporalio import workflow

from activities.monitoring.health import HealthChecks, HealthRequest
from activities.records.activities import Records
from activities.records.incidents import OpenIncidentsRequest
from activities.records.windows import CurrentWindowRequest, MaintenanceWindows
from audit.text import lasted
from workflows.maintenance.window_notices import moment
from workflows.maintenance.window_tasks import TaskState
from workflows.platform import policies
from workflows.platform.approval import Answer, Question
from workflows.platform.lease import Lease
from workflows.shared.desk import Desk

_BEGIN, _SHIFT, _CALL_OFF = "begin", "shift", "call-off"
_EXTEND, _GO_BACK = "extend", "go-back"


class WindowQuestions:
    """Asks about one window; `length` is how long it was planned to last."""

    def __init__(self, desk: Desk, lease: Lease, length: timedelta) -> None:
        self.desk = desk
        self.run = desk.run
        self.lease = lease
        self.length = length
        self._asked = 0
        self._overruns = 0

    async def may_begin(self, *, late: bool) -> bool:
        """Look whether anything speaks against it, and ask if something does; looked at again after every answer."""
        known: set[str] = set()
        while True:
            against = await self._against(late=late)
            if not against.keys() - known:
                return True
            for why in against.values():
                self.run.say("problem", why, section="6.1")
            if self.run.dry_run:
                self.run.say("decision", "would ask whether to begin")
                return True
            known |= against.keys()
            choice = await self._ask_to_begin(list(against.values()))
            if choice == _SHIFT:
                self.lease.until = min(workflow.now() + self.length, self.lease.latest)
            elif choice != _BEGIN:
                return False

    async def _against(self, *, late: bool) -> dict[str, str]:
        """Give what speaks against beginning, by what it is about."""
        service, now = self.desk.service, workflow.now().replace(microsecond=0)
        open_incidents, health, current = await asyncio.gather(
            self.run.attempt(
                "6.1",
                "Open incidents",
                Records.open_incidents,
                OpenIncidentsRequest(service=service.name, severities=["P1", "P2"]),
                policies.READ,
            ),
            self.run.attempt("6.1", "Health", HealthChecks.check, HealthRequest(url=service.health_url), policies.READ),
            self.run.attempt(
                "6.1",
                "Other windows",
                MaintenanceWindows.current,
                CurrentWindowRequest(service=service.name, at=now),
                policies.READ,
            ),
        )
        found: dict[str, str] = {}
        if late:
            left = self.lease.until - now
            told = f"{lasted(left)} of the window are left" if left > timedelta(0) else "its time is over"
            found["late"] = f"it is {lasted(now - self.lease.acquired_at)} late: {told}"
        if open_incidents is None:
            found["incidents"] = "whether an incident is open could not be read"
        else:
            found |= {
                each.incident_id: f"{each.severity} {each.incident_id} is open: {each.title}"
                for each in open_incidents.items
            }
        if health is None:
            found["health"] = "the service's health could not be asked"
        elif not health.healthy:
            found["health"] = f"the service is {health}"
        if current is None:
            found["windows"] = "whether another window is in progress could not be read"
        elif current.window is not None and current.window.window_id != self.desk.id:  # its own: it was reset
            found[current.window.window_id] = f"another window is in progress: {current.window}"
        return found

    async def _ask_to_begin(self, against: list[str]) -> str:
        self._asked += 1
        now, until = workflow.now(), self.lease.until
        options = {_CALL_OFF: "don't begin; customers who were told of it are told"}
        if now < until:
            options = {_BEGIN: f"begin now, until {self._told(until)}", **options}
        shifted = min(now + self.length, self.lease.latest)
        if shifted > until:
            options = {_SHIFT: f"begin now, and last until {self._told(shifted)}", **options}
        question = Question(
            id=f"begin-{self._asked}",
            title=f"{self.desk.title}: begin all the same?",
            options=options,
            recommended=_CALL_OFF if now >= until else None,
            default=_CALL_OFF,
            kind="maintain",
            evidence=against,
            timeout=self.desk.service.window.decision_timeout,
        )
        self.run.background(self.desk.ask(question))
        # Whoever is to be there is there now, or not: nobody waits a quarter of an hour to page.
        self.run.background(self.desk.page("it is time to begin, and something speaks against it"))
        answer = await self.run.ask(question, escalate=self.desk.escalate)
        return answer.choice

    def _told(self, at: datetime) -> str:
        return moment(at, self.desk.service.time_zone)

    async def overrun(self, still: list[TaskState], until: Callable[[], bool]) -> Answer:
        """Ask what to do with tasks that are not through at the end."""
        self._overruns += 1
        policy = self.desk.service.window
        options = {_GO_BACK: "stop what is under way, verify the service, and end the window"}
        later = min(workflow.now() + policy.extension, self.lease.latest)
        if later > workflow.now():
            options = {_EXTEND: f"let it last until {self._told(later)}", **options}
        question = Question(
            id=f"overrun-{self._overruns}",
            title=f"{self.desk.title} is over, and not through. What now?",
            options=options,
            default=_GO_BACK,
            kind="maintain",
            evidence=[str(each) for each in still],
            timeout=policy.decision_timeout,
        )
        self.run.say("deadline", f"The window is over, and {len(still)} of its tasks not through", section="6.1")
        self.run.background(self.desk.ask(question))
        return await self.run.ask(question, escalate=self.desk.escalate, until=until)
