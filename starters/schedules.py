"""Temporal schedules of what runs by the clock: made, changed and taken away as settings say."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time, timedelta
from typing import Literal

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from activities.catalogue.base import Weekday
from activities.catalogue.service import Service
from workers.settings import Audit
from workflows.audit.archive_runs import ArchiveRequest, ArchiveRuns
from workflows.customer_operations.churn_prevention import ChurnPrevention, ChurnPreventionRequest
from workflows.maintenance.database_maintenance import DatabaseMaintenance, DatabaseMaintenanceRequest
from workflows.platform.requests import ServiceRequest
from workflows.platform.runbook import Runbook

ARCHIVE = "archive-runs"
CHURN = "churn-prevention"
MAINTENANCE = "database-maintenance"
"""Of each service: its name follows."""

_CATCH_UP = timedelta(hours=1)
_DAYS: tuple[Weekday, ...] = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")  # as Temporal counts them

Done = Literal["made", "changed", "unchanged", "paused", "off"]


@dataclass(frozen=True)
class Applied:
    """What was done about one schedule."""

    name: str
    what: Done
    note: str


async def apply(client: Client, audit: Audit, services: Mapping[str, Service], task_queue: str) -> list[Applied]:
    """Make every schedule as the settings say; done twice it is done once.

    A schedule that somebody has paused stays so, with the note they left.

    Raises:
        RPCError: Temporal doesn't answer or refuses.

    """
    return [
        await _archive(client, audit, task_queue),
        await _churn(client, services, task_queue),
        *await _maintenance(client, services, task_queue),
    ]


async def _archive(client: Client, audit: Audit, task_queue: str) -> Applied:
    if not audit.enabled:
        # Without a key each of its runs would fail.
        return await _off(client, ARCHIVE, "the archive has no signing key: set [audit] private_key or kms_key_id")
    wanted = Schedule(
        action=ScheduleActionStartWorkflow(
            ArchiveRuns.run,
            ArchiveRequest(),
            id=ARCHIVE,
            task_queue=task_queue,
            static_summary="Closed runs into the archive",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=audit.every)]),
        policy=SchedulePolicy(
            overlap=ScheduleOverlapPolicy.SKIP, catchup_window=max(_CATCH_UP, audit.every)
        ),
        state=ScheduleState(note=f"closed runs into the archive, every {audit.every}"),
    )  # fmt: skip
    return await _on(client, ARCHIVE, wanted, f"every {audit.every}")


async def _churn(client: Client, services: Mapping[str, Service], task_queue: str) -> Applied:
    """Look at all tenants once a week, by the first service that says when: tenants are the company's."""
    for name, service in services.items():
        churn = service.customers.churn
        if churn.scan_on is None:
            continue
        weekly = _Weekly(churn.scan_on, churn.scan_at, service.time_zone, f", settings of {name}")
        request = ChurnPreventionRequest(service=name, requested_by=f"schedule {CHURN}")
        action = _start(ChurnPrevention, request, CHURN, task_queue, "Customers at risk")
        return await _on(client, CHURN, weekly.schedule(action, "customers at risk"), weekly.when)
    return await _off(client, CHURN, "no service has customers.churn.scan_on")


async def _maintenance(client: Client, services: Mapping[str, Service], task_queue: str) -> list[Applied]:
    """Look after each service's database once a week; no longer after those that settings have forgotten."""
    done = []
    for service, database in ((name, of.database) for name, of in services.items() if of.database is not None):
        name, policy = f"{MAINTENANCE}/{service}", database.maintenance
        if policy.weekly_on is None:
            done.append(await _off(client, name, f"services.{service}.database.maintenance.weekly_on is off"))
            continue
        weekly = _Weekly(policy.weekly_on, policy.weekly_at, services[service].time_zone)
        request = DatabaseMaintenanceRequest(service=service, requested_by=f"schedule {name}")
        action = _start(DatabaseMaintenance, request, name, task_queue, f"Database maintenance of {service}")
        wanted = weekly.schedule(action, f"database of {service}")
        done.append(await _on(client, name, wanted, weekly.when))
    known = {applied.name for applied in done}
    there = [found.id async for found in await client.list_schedules()]
    forgotten = [name for name in there if name.startswith(f"{MAINTENANCE}/") and name not in known]
    return [*done, *[await _off(client, name, "settings have no such database any more") for name in forgotten]]


@dataclass(frozen=True)
class _Weekly:
    """Once a week, in a time zone."""

    day: Weekday
    at: time
    time_zone: str
    because: str = ""

    @property
    def when(self) -> str:
        return f"{self.day} {self.at:%H:%M} {self.time_zone}{self.because}"

    def schedule(self, action: ScheduleActionStartWorkflow, what: str) -> Schedule:
        calendar = ScheduleCalendarSpec(
            day_of_week=[ScheduleRange(_DAYS.index(self.day))],
            hour=[ScheduleRange(self.at.hour)],
            minute=[ScheduleRange(self.at.minute)],
        )
        return Schedule(
            action=action,
            spec=ScheduleSpec(calendars=[calendar], time_zone_name=self.time_zone),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(days=1)),
            state=ScheduleState(note=f"{what}, {self.when}"),
        )


def _start(
    workflow: type[Runbook], request: ServiceRequest, name: str, task_queue: str, summary: str
) -> ScheduleActionStartWorkflow:
    return ScheduleActionStartWorkflow(
        workflow.__name__, request, id=name, task_queue=task_queue, static_summary=summary
    )  # fmt: skip


async def _off(client: Client, name: str, why: str) -> Applied:
    try:
        await client.get_schedule_handle(name).delete()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
    return Applied(name, "off", why)


async def _on(client: Client, name: str, wanted: Schedule, when: str) -> Applied:
    try:
        await client.create_schedule(name, wanted)
    except ScheduleAlreadyRunningError:
        return await _update(client, name, wanted, when)
    return Applied(name, "made", when)


async def _update(client: Client, name: str, wanted: Schedule, when: str) -> Applied:
    done: list[Applied] = []
    told = wanted.state.note  # says when; Temporal gives calendars back in another form

    def update(found: ScheduleUpdateInput) -> ScheduleUpdate | None:
        there = found.description.schedule
        wanted.state.paused = there.state.paused
        wanted.state.note = there.state.note if there.state.paused else told
        same = (
            there.spec.intervals == wanted.spec.intervals
            and there.policy == wanted.policy
            and isinstance(there.action, ScheduleActionStartWorkflow)
            and isinstance(wanted.action, ScheduleActionStartWorkflow)
            and there.action.task_queue == wanted.action.task_queue
            and there.state.note == wanted.state.note
        )
        what: Done = "paused" if there.state.paused else "unchanged" if same else "changed"
        done[:] = [Applied(name, what, wanted.state.note or "" if there.state.paused else when)]
        return None if same else ScheduleUpdate(schedule=wanted)

    await client.get_schedule_handle(name).update(update)
    return done[0]
