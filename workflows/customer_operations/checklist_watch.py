"""What an onboarding's checklist needs by the clock: looks at the data, invitations, reminders, escalations (5.1)."""

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from activities.catalogue.service import Service
from activities.customers.tenants import FirstsRequest, Tenants
from workflows.customer_operations.checklist import Checklist, Phase
from workflows.customer_operations.day_0 import Day0, Tick, meeting_day
from workflows.platform import policies

_CHECK_IN_AFTER = timedelta(days=30)
_INVITED_BEFORE = timedelta(days=7)


class ChecklistWatch:
    """Knows when the checklist needs something, and does it."""

    def __init__(self, day_0: Day0, items: Checklist, tick: Tick, signed_at: datetime, next_look: datetime) -> None:
        self._day_0 = day_0
        self._run, self._desk, self._account = day_0.run, day_0.desk, day_0.account
        self._list = items
        self._tick = tick
        self.signed_at = signed_at
        self.next_look = next_look

    def next(self) -> datetime | None:
        """Tell when to look again; None where nothing is to come."""
        service, onboarding = self._desk.service, self._desk.service.customers.onboarding
        times = [self._invited_at(service)] if self._to_invite() else []
        if self._list.awaited:
            times.append(self.next_look)
        for phase in self._list.phases:
            if phase.open and not phase.reminded:
                times.append(phase.due_at - onboarding.remind_before)
            elif phase.open and not phase.late:
                times.append(phase.due_at + onboarding.escalate_after)
        return min(times, default=None)

    async def look(self) -> None:
        """Do what is due."""
        now, onboarding = workflow.now(), self._desk.service.customers.onboarding
        if self.next_look <= now:
            await self._look_at_the_data()
            self.next_look = now + onboarding.look_every
        if self._to_invite() and self._invited_at(self._desk.service) <= now:
            await self._invite()
        for phase in self._list.phases:
            if phase.open and not phase.reminded and phase.due_at - onboarding.remind_before <= now:
                phase.reminded = True
                await self._remind(phase)
            if phase.open and not phase.late and phase.due_at + onboarding.escalate_after <= now:
                phase.late = True
                await self._late(phase)

    async def _look_at_the_data(self) -> None:
        awaited = self._list.awaited
        if not awaited:
            return
        request = FirstsRequest(tenant_id=self._account.tenant_id, kinds=tuple(awaited))
        # No step: it is asked hundreds of times, and what it finds is said.
        try:
            firsts = await workflow.execute_activity_method(
                Tenants.firsts,
                request,
                start_to_close_timeout=policies.READ.start_to_close,
                heartbeat_timeout=policies.READ.heartbeat,
                retry_policy=policies.READ.retry,
                summary="5.1 What the customer has done",
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            return  # the next look finds it as well
        for kind, at in firsts.at.items():
            item = awaited[kind]
            if item.done_at is None:
                self._tick(item.id, by="the data", note=f"since {at:%Y-%m-%d %H:%M %Z}")

    def _to_invite(self) -> bool:
        return any(self._list.item(item).done_at is None for item in ("check-in", "qbr"))

    def _invited_at(self, service: Service) -> datetime:
        day = meeting_day(service, self.signed_at + _CHECK_IN_AFTER)
        return day - _INVITED_BEFORE

    async def _invite(self) -> None:
        service = self._desk.service
        for item, title, after in (
            ("check-in", "30-day check-in", _CHECK_IN_AFTER),
            ("qbr", "Quarterly business review", service.customers.onboarding.review_after),
        ):
            if self._list.item(item).done_at is None:
                at = meeting_day(service, self.signed_at + after)
                await self._day_0.invite(title, at)
                self._tick(item, by="the run", note=f"{at:%Y-%m-%d %H:%M %Z}")

    async def _remind(self, phase: Phase) -> None:
        csm = self._account.csm or "nobody is assigned"
        left = ", ".join(item.text for item in phase.open)
        text = f":alarm_clock: {phase} and due {phase.due_at:%Y-%m-%d} ({csm}): {left}"
        self._run.say("deadline", f"{phase}, due {phase.due_at:%Y-%m-%d}: reminded")
        await self._desk.tell("reminder", text)

    async def _late(self, phase: Phase) -> None:
        self._run.say("deadline", f"{phase}, was due {phase.due_at:%Y-%m-%d}: escalated")
        text = f":rotating_light: {self._run.title} is late. {phase}: {', '.join(item.text for item in phase.open)}"
        await asyncio.gather(
            self._desk.tell("late", text),
            *(
                self._desk.post("late", f"Tell {channel}", text, channel=channel)
                for channel in self._desk.service.stakeholders
            ),
        )
