"""Temporal schedules of what runs by the clock: made, changed and taken away as settings say."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Literal

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleDescription,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from activities.catalogue.base import Weekday
from activities.catalogue.compliance import CompliancePolicy
from activities.catalogue.daily import DailyPolicy
from activities.catalogue.service import Service
from audit.text import length
from starters.days_off import days_off
from starters.local_times import EVERY_DAY, LocalTimes
from starters.schedule_forms import differences
from starters.steering.priority import priority
from workers.registry import procedure
from workers.settings import AuditSettings
from workflows.audit.archive_runs import ArchiveRequest, ArchiveRuns
from workflows.customer_operations.churn_prevention import ChurnPrevention, ChurnPreventionRequest
from workflows.daily_operations.end_of_day import EndOfDay, EndOfDayRequest
from workflows.daily_operations.hourly_health_pulse import HourlyHealthPulse, HourlyHealthPulseRequest
from workflows.daily_operations.morning_startup import MorningStartup, MorningStartupRequest
from workflows.maintenance.certificate_renewal import CertificateRenewal, CertificateRenewalRequest
from workflows.maintenance.database_maintenance import DatabaseMaintenance, DatabaseMaintenanceRequest
from workflows.platform.requests import ServiceRequest
from workflows.platform.runbook import Runbook
from workflows.security.compliance_audit import ComplianceAudit, ComplianceAuditRequest
from workflows.upkeep.look_for_workers import LookForWorkers, LookRequest
from workflows.upkeep.sweep_holds import SweepHolds, SweepRequest

ARCHIVE = "archive-runs"
SWEEP = "sweep-holds"
WORKERS = "look-for-workers"
CHURN = "churn-prevention"
MAINTENANCE = "database-maintenance"
MORNING = "morning-startup"
PULSE = "hourly-health-pulse"
EVENING = "end-of-day"
CERTIFICATES = "certificate-renewal"
COMPLIANCE = "compliance-audit"
_OF_SERVICES = {
    MAINTENANCE: "settings have no such database any more",
    MORNING: "settings have no such day any more",
    PULSE: "settings have no such day any more",
    EVENING: "settings have no such day any more",
    CERTIFICATES: "settings have no certificates of it any more",
    COMPLIANCE: "settings have no such audit any more",
}
"""One of each service: its name follows. And why one is taken away that settings have forgotten."""

_LOOKED = timedelta(minutes=1)
_LOOKED_LATE = timedelta(days=1)
"""Of those that an outage has kept, Temporal starts one, since it never has two: none counts as missed."""
_ARCHIVED_LATE = timedelta(hours=1)
_WEEKLY_LATE = timedelta(days=1)
_QUARTERLY_LATE = timedelta(days=14)
_QUARTERS = (1, 4, 7, 10)
_PULSE_LATE = timedelta(minutes=15)
"""Then the next pulse is near."""
_MORNING_LATE = timedelta(hours=3)
_EVENING_LATE = timedelta(hours=5)
"""Before the day's end: an evening's report is of its own day."""

_At = tuple[tuple[int, ...], int]
"""Hours, and a minute of each."""

Done = Literal["made", "changed", "unchanged", "paused", "off"]


@dataclass(frozen=True)
class Applied:
    """What was done about one schedule."""

    name: str
    what: Done
    note: str


@dataclass(frozen=True)
class Difference:
    """What `apply` would do about one schedule; nothing where it is as it should be."""

    name: str
    what: tuple[str, ...]


@dataclass(frozen=True)
class _Wanted:
    """One schedule as settings want it; None: not at all, and why."""

    name: str
    schedule: Schedule | None
    note: str


async def apply(
    client: Client, audit: AuditSettings, services: Mapping[str, Service], task_queue: str, directory: Path = Path()
) -> list[Applied]:
    """Make every schedule as the settings say; done twice it is done once.

    A schedule that somebody has paused stays so, with the note they left. `directory` is what calendar files are
    relative to.

    Raises:
        RPCError: Temporal doesn't answer or refuses.
        SettingsError: a country or a calendar file can't be used.

    """
    wanted = [*_wanted(audit, services, task_queue, directory)]
    wanted += await _forgotten(client, {one.name for one in wanted})
    return [await _apply(client, one) for one in wanted]


async def compare(
    client: Client, audit: AuditSettings, services: Mapping[str, Service], task_queue: str, directory: Path = Path()
) -> list[Difference]:
    """Say what `apply` would change, and change nothing; raises as it does."""
    wanted = [*_wanted(audit, services, task_queue, directory)]
    wanted += await _forgotten(client, {one.name for one in wanted})
    return [Difference(one.name, await _difference(client, one)) for one in wanted]


def _wanted(
    audit: AuditSettings, services: Mapping[str, Service], task_queue: str, directory: Path
) -> Iterator[_Wanted]:
    yield _archive(audit, task_queue)
    yield _sweep(task_queue)
    yield _workers(task_queue)
    yield _churn(services, task_queue)
    yield from _maintenance(services, task_queue)
    yield from _certificates(services, task_queue)
    for name, service in services.items():
        if service.daily is not None:
            yield from _daily(name, service.daily, service.time_zone, task_queue, directory)
        if service.compliance is not None:
            yield from _compliance(name, service.compliance, service.time_zone, task_queue)


def _archive(audit: AuditSettings, task_queue: str) -> _Wanted:
    if not audit.enabled:
        # Without a key each of its runs would fail.
        return _Wanted(ARCHIVE, None, "the archive has no signing key: set [audit] private_key or kms_key_id")
    action = ScheduleActionStartWorkflow(
        ArchiveRuns.run,
        ArchiveRequest(),
        id=ARCHIVE,
        task_queue=task_queue,
        static_summary="Closed runs into the archive",
    )
    schedule = Schedule(
        action=action,
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=audit.every)]),
        policy=_policy(max(_ARCHIVED_LATE, audit.every)),
        state=ScheduleState(note=f"closed runs into the archive, every {length(audit.every)}"),
    )
    return _Wanted(ARCHIVE, schedule, f"every {length(audit.every)}")


def _sweep(task_queue: str) -> _Wanted:
    action = ScheduleActionStartWorkflow(
        SweepHolds.run,
        SweepRequest(),
        id=SWEEP,
        task_queue=task_queue,
        static_summary="What terminated runs have left held",
    )
    return _every_minute(SWEEP, action, "what terminated runs have left held is given back")


def _workers(task_queue: str) -> _Wanted:
    action = ScheduleActionStartWorkflow(
        LookForWorkers.run,
        LookRequest(),
        id=WORKERS,
        task_queue=task_queue,
        static_summary="Roles that runs wait for and no worker has",
    )
    return _every_minute(WORKERS, action, "roles that runs wait for and no worker has are paged")


def _every_minute(name: str, action: ScheduleActionStartWorkflow, note: str) -> _Wanted:
    schedule = Schedule(
        action=action,
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=_LOOKED)]),
        policy=_policy(_LOOKED_LATE),
        state=ScheduleState(note=f"{note}, every {length(_LOOKED)}"),
    )
    return _Wanted(name, schedule, f"every {length(_LOOKED)}")


def _churn(services: Mapping[str, Service], task_queue: str) -> _Wanted:
    """Look at all tenants once a week, by the first service that says when: tenants are the company's."""
    for name, service in services.items():
        churn = service.customers.churn
        if churn.scan_on is None:
            continue
        weekly = _Weekly(churn.scan_on, churn.scan_at, service.time_zone, f", settings of {name}")
        request = ChurnPreventionRequest(service=name, requested_by=f"schedule {CHURN}")
        action = _start(ChurnPrevention, request, CHURN, task_queue, "Customers at risk")
        return _Wanted(CHURN, weekly.schedule(action, "customers at risk"), weekly.when)
    return _Wanted(CHURN, None, "no service has customers.churn.scan_on")


def _maintenance(services: Mapping[str, Service], task_queue: str) -> Iterator[_Wanted]:
    """Look after each service's database once a week."""
    for service, database in ((name, of.database) for name, of in services.items() if of.database is not None):
        name, policy = f"{MAINTENANCE}/{service}", database.maintenance
        if policy.weekly_on is None:
            yield _Wanted(name, None, f"services.{service}.database.maintenance.weekly_on is off")
            continue
        weekly = _Weekly(policy.weekly_on, policy.weekly_at, services[service].time_zone)
        request = DatabaseMaintenanceRequest(service=service, requested_by=f"schedule {name}")
        action = _start(DatabaseMaintenance, request, name, task_queue, f"Database maintenance of {service}")
        yield _Wanted(name, weekly.schedule(action, f"database of {service}"), weekly.when)


def _certificates(services: Mapping[str, Service], task_queue: str) -> Iterator[_Wanted]:
    """Look at each service's certificates as often as its settings say."""
    for service, policy in ((name, of.certificates) for name, of in services.items() if of.certificates is not None):
        name, every = f"{CERTIFICATES}/{service}", policy.looked_at_every
        request = CertificateRenewalRequest(service=service, requested_by=f"schedule {name}")
        schedule = Schedule(
            action=_start(CertificateRenewal, request, name, task_queue, f"Certificates of {service}"),
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
            policy=_policy(every),
            state=ScheduleState(note=f"certificates of {service}, every {length(every)}"),
        )
        yield _Wanted(name, schedule, f"every {length(every)}")


def _daily(service: str, policy: DailyPolicy, zone: str, task_queue: str, directory: Path) -> Iterator[_Wanted]:
    """Look at a service in the morning, every business hour, and in the evening."""
    off = days_off(policy, directory, _today(), f"services.{service}.daily")
    hours = tuple(range(policy.pulse_from, policy.pulse_until + 1))
    pulse = (hours, 0) if policy.pulse else None
    kinds: tuple[tuple[str, type[Runbook], type[ServiceRequest], _At | None, timedelta, str], ...] = (
        (MORNING, MorningStartup, MorningStartupRequest, _at(policy.morning_at), _MORNING_LATE, "morning"),
        (PULSE, HourlyHealthPulse, HourlyHealthPulseRequest, pulse, _PULSE_LATE, "pulse"),
        (EVENING, EndOfDay, EndOfDayRequest, _at(policy.evening_at), _EVENING_LATE, "evening"),
    )
    for kind, workflow, request, at, late, what in kinds:
        name = f"{kind}/{service}"
        if at is None:
            yield _Wanted(name, None, f"services.{service}.daily has none")
            continue
        times = LocalTimes(policy.days, at[0], at[1], zone, off)
        when = f"{_shortly(policy.days)} {_clock(times)} {zone}{_except(policy)}"
        asked = request(service=service, requested_by=f"schedule {name}")
        action = _start(workflow, asked, name, task_queue, f"{what.capitalize()} of {service}")
        yield _Wanted(name, _schedule(action, times, late, f"{what} of {service}, {when}"), when)


def _compliance(service: str, policy: CompliancePolicy, zone: str, task_queue: str) -> Iterator[_Wanted]:
    """Package a quarter's evidence when it is over, a framework each."""
    for framework in policy.frameworks:
        name = f"{COMPLIANCE}/{service}/{framework}"
        if not policy.quarterly:
            yield _Wanted(name, None, f"services.{service}.compliance.quarterly is off")
            continue
        request = ComplianceAuditRequest(service=service, framework=framework, requested_by=f"schedule {name}")
        action = _start(ComplianceAudit, request, name, task_queue, f"Evidence of the last quarter for {framework}")
        when = f"day {policy.day} of each quarter {policy.at:%H:%M} {zone}"
        times = LocalTimes(
            EVERY_DAY, (policy.at.hour,), policy.at.minute, zone, months=_QUARTERS, day_of_month=policy.day
        )
        schedule = _schedule(action, times, _QUARTERLY_LATE, f"evidence for {framework}, {when}")
        yield _Wanted(name, schedule, when)


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
        times = LocalTimes((self.day,), (self.at.hour,), self.at.minute, self.time_zone)
        return _schedule(action, times, _WEEKLY_LATE, f"{what}, {self.when}")


def _schedule(action: ScheduleActionStartWorkflow, times: LocalTimes, late: timedelta, note: str) -> Schedule:
    return Schedule(action=action, spec=times.spec(_today()), policy=_policy(late), state=ScheduleState(note=note))


def _policy(late: timedelta) -> SchedulePolicy:
    """Say how late a run may still begin, after an outage of Temporal; the default would be a year."""
    return SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=late)


def _today() -> date:
    return datetime.now(UTC).date()


def _start(
    workflow: type[Runbook], request: ServiceRequest, name: str, task_queue: str, summary: str
) -> ScheduleActionStartWorkflow:
    return ScheduleActionStartWorkflow(
        workflow.__name__,
        request,
        id=name,
        task_queue=task_queue,
        static_summary=summary,
        priority=priority(procedure(workflow.__name__), request.service),
    )


def _at(clock: time | None) -> _At | None:
    return ((clock.hour,), clock.minute) if clock else None


def _clock(times: LocalTimes) -> str:
    first, last = (f"{hour:02}:{times.minute:02}" for hour in (times.hours[0], times.hours[-1]))
    return first if first == last else f"{first}–{last} every hour"


def _shortly(days: tuple[Weekday, ...]) -> str:
    return "mon–fri" if days == ("mon", "tue", "wed", "thu", "fri") else " ".join(days)


def _except(policy: DailyPolicy) -> str:
    off = [name for name in (policy.holidays, policy.calendar) if name]
    return f" but days off of {' and '.join(off)}" if off else ""


# -- as Temporal has them ------------------------------------------------------------------------------------


async def _forgotten(client: Client, known: set[str]) -> list[_Wanted]:
    """Find what an earlier `apply` made for a service that settings have forgotten."""
    there = [found.id async for found in await client.list_schedules()]
    return [
        _Wanted(name, None, _OF_SERVICES[name.partition("/")[0]])
        for name in there
        if name.partition("/")[0] in _OF_SERVICES and "/" in name and name not in known
    ]


async def _apply(client: Client, wanted: _Wanted) -> Applied:
    if wanted.schedule is None:
        return await _off(client, wanted.name, wanted.note)
    try:
        await client.create_schedule(wanted.name, wanted.schedule)
    except ScheduleAlreadyRunningError:
        return await _update(client, wanted.name, wanted.schedule, wanted.note)
    return Applied(wanted.name, "made", wanted.note)


async def _difference(client: Client, wanted: _Wanted) -> tuple[str, ...]:
    found = await _described(client, wanted.name)
    if wanted.schedule is None:
        return () if found is None else (f"taken away: {wanted.note}",)
    if found is None:
        return (f"made: {wanted.note}",)
    return tuple(await differences(client, found.schedule, _kept(wanted.schedule, found.schedule)))


async def _described(client: Client, name: str) -> ScheduleDescription | None:
    try:
        return await client.get_schedule_handle(name).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
    return None


async def _off(client: Client, name: str, why: str) -> Applied:
    try:
        await client.get_schedule_handle(name).delete()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
    return Applied(name, "off", why)


async def _update(client: Client, name: str, wanted: Schedule, when: str) -> Applied:
    done: list[Applied] = []

    async def update(found: ScheduleUpdateInput) -> ScheduleUpdate | None:
        there = found.description.schedule
        kept = _kept(wanted, there)
        differs = await differences(client, there, kept)
        what: Done = "paused" if kept.state.paused else "changed" if differs else "unchanged"
        done[:] = [Applied(name, what, kept.state.note or "" if kept.state.paused else when)]
        return ScheduleUpdate(schedule=kept) if differs else None

    await client.get_schedule_handle(name).update(update)
    return done[0]


def _kept(wanted: Schedule, there: Schedule) -> Schedule:
    """Leave what somebody has paused as they left it."""
    if not there.state.paused:
        return wanted
    return replace(wanted, state=replace(wanted.state, paused=True, note=there.state.note))
