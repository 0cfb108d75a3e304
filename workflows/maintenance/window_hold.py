"""What a window holds: its record, at which others look, and the silence (6.1; ARCHITECTURE, rule 5 and 11)."""

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from activities.common.errors import Refused
from activities.monitoring.silences import LiftSilence, SetSilence, Silences
from activities.records.windows import EndWindow, MaintenanceWindows, MoveWindow, ScheduleWindow, StartWindow
from workflows.platform import policies
from workflows.platform.lease import shielded
from workflows.platform.steps import reason
from workflows.shared.desk import Desk, insist

_ROOM = timedelta(minutes=15)
"""For verifying, and for a worker that comes back."""


class WindowHold:
    """The hold of one window; it ends by itself when its run has been terminated."""

    def __init__(self, desk: Desk, title: str, impact: str) -> None:
        self.desk = desk
        self.run = desk.run
        self.policy = desk.service.window
        self._labels = self.policy.silence or {"service": desk.service.name}
        self._title = title
        self._impact = impact
        self._begun = False

    def until(self, ends_at: datetime) -> datetime:
        """Give when the hold ends by itself: people have been asked by then, twice over."""
        return max(ends_at, workflow.now()) + 4 * self.policy.decision_timeout + self.policy.verify_within + _ROOM

    async def schedule(self, starts_at: datetime, ends_at: datetime) -> None:
        """Enter the window.

        Raises:
            Refused: it overlaps another one of the service, or the records don't answer for minutes.

        """
        request = ScheduleWindow(
            window_id=self.desk.id,
            service=self.desk.service.name,
            title=self._title,
            impact=self._impact,
            starts_at=starts_at,
            ends_at=ends_at,
            effect=self.run.effect("schedule-window"),
        )
        try:
            await self.run.step("6.1", "Enter the window", MaintenanceWindows.schedule, request, policies.EFFECT)
        except (Exception, asyncio.CancelledError) as error:
            # Whether it was entered may be unknown; one that nobody holds would keep others from its time.
            await shielded(self.end("cancelled", "it could not be entered"))
            if isinstance(error, ActivityError) and not is_cancelled_exception(error):
                raise Refused(reason(error)) from None
            raise

    async def begin(self, ends_at: datetime) -> None:
        """Begin the hold; alerts that can't be silenced are no reason not to.

        Raises:
            ActivityError: the records refuse it, or don't answer for minutes.

        """
        self._begun = True
        held_until = self.until(ends_at)
        start = StartWindow(
            window_id=self.desk.id,
            service=self.desk.service.name,
            at=workflow.now(),
            ends_at=ends_at,
            held_until=held_until,
            effect=self.run.effect("start-window"),
        )
        await self.run.step("6.1", "Start the window", MaintenanceWindows.start, start, policies.EFFECT)
        await self._silence(held_until)

    async def move(self, ends_at: datetime) -> None:
        """Move its end, and how long it holds.

        Raises:
            Refused: it would reach into the next window of the service, or the records don't answer for minutes.

        """
        held_until = self.until(ends_at)
        request = MoveWindow(
            window_id=self.desk.id,
            service=self.desk.service.name,
            ends_at=ends_at,
            held_until=held_until,
            effect=self.run.effect("move-window"),
        )
        try:
            await self.run.step("6.1", "Move the end", MaintenanceWindows.move, request, policies.EFFECT)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            raise Refused(reason(error)) from None
        await self._silence(held_until)

    async def lift(self) -> None:
        """Let alerts through again, if they may have been silenced; insists, and tells people where it can't."""
        if not self._begun:
            return
        service = self.desk.service.name
        try:
            await insist(
                self.desk,
                "6.1",
                "Lift the silence",
                Silences.lift,
                LiftSilence(hold=self.desk.id, effect=self.run.effect("lift-silence")),
                undone=f"the alerts of {service} are silenced still",
            )
        except ActivityError as error:
            await self.desk.escalate(f"the silence of {service} can't be lifted ({reason(error)}): expire it by hand")

    async def end(self, status: str, outcome: str) -> None:
        """End the record, and with it the hold."""
        request = EndWindow.model_validate(
            {
                "window_id": self.desk.id,
                "status": status,
                "at": workflow.now(),
                "outcome": outcome,
                "effect": self.run.effect("end-window"),
            }
        )
        await self.run.keep("6.1", "End the window", MaintenanceWindows.end, request)

    async def _silence(self, until: datetime) -> None:
        request = SetSilence(
            hold=self.desk.id,
            labels=self._labels,
            ends_at=until,
            comment=f"Maintenance: {self._title}",
            effect=self.run.effect("silence"),
        )
        await self.run.attempt("6.1", "Silence the alerts", Silences.set, request, policies.EFFECT)
