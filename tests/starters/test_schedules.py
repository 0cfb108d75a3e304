"""Schedules are made once, follow the settings, and leave what somebody has paused."""

import asyncio
from datetime import time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr
from temporalio.client import Client, ScheduleActionStartWorkflow, ScheduleOverlapPolicy
from temporalio.service import RPCError

from activities.catalogue.certificates import CertificatePolicy
from activities.catalogue.compliance import CompliancePolicy
from activities.catalogue.database import DatabasePolicy, MaintenancePolicy, ServerPolicy
from activities.catalogue.service import ChurnPolicy, CustomerPolicy, Service
from starters.schedules import ARCHIVE, CERTIFICATES, CHURN, MAINTENANCE, SWEEP, WORKERS, Applied, apply
from tests.audit.archiving import new_namespace
from tests.audit.stories import new_pem
from workers.settings import AuditSettings

KEY = SecretStr(new_pem())
ON = AuditSettings(private_key=KEY)


@pytest.fixture
async def namespace(temporal_address: str) -> Client:
    return await new_namespace(temporal_address)


async def _apply(client: Client, audit: AuditSettings) -> str:
    archive, *_ = await apply(client, audit, {}, "runbooks")
    return archive.what


async def test_a_schedule_is_made_once(namespace: Client) -> None:
    assert await _apply(namespace, ON) == "made"
    assert await _apply(namespace, ON) == "unchanged"
    found = (await namespace.get_schedule_handle(ARCHIVE).describe()).schedule
    assert [interval.every for interval in found.spec.intervals] == [timedelta(hours=1)]
    assert found.policy.overlap is ScheduleOverlapPolicy.SKIP
    assert found.policy.catchup_window == timedelta(hours=1)
    assert isinstance(found.action, ScheduleActionStartWorkflow)
    assert (found.action.workflow, found.action.task_queue) == ("ArchiveRuns", "runbooks")


async def test_starters_at_the_same_moment_make_one(namespace: Client) -> None:
    what = await asyncio.gather(*(_apply(namespace, ON) for _ in range(4)))
    assert what.count("made") == 1
    assert "off" not in what


async def test_it_follows_the_settings(namespace: Client) -> None:
    await _apply(namespace, ON)
    often = AuditSettings(private_key=KEY, every=timedelta(minutes=5))
    assert await _apply(namespace, often) == "changed"
    assert await _apply(namespace, often) == "unchanged"
    found = (await namespace.get_schedule_handle(ARCHIVE).describe()).schedule
    assert [interval.every for interval in found.spec.intervals] == [timedelta(minutes=5)]


async def test_what_somebody_has_paused_stays_paused(namespace: Client) -> None:
    await _apply(namespace, ON)
    await namespace.get_schedule_handle(ARCHIVE).pause(note="the database is being moved")
    assert await _apply(namespace, AuditSettings(private_key=KEY, every=timedelta(minutes=5))) == "paused"
    found = (await namespace.get_schedule_handle(ARCHIVE).describe()).schedule
    assert found.state.paused
    assert found.state.note == "the database is being moved"
    assert found.spec.intervals[0].every == timedelta(minutes=5)


async def test_without_a_key_there_is_none(namespace: Client) -> None:
    assert await _apply(namespace, AuditSettings()) == "off"
    await _apply(namespace, ON)
    assert await _apply(namespace, AuditSettings()) == "off"
    with pytest.raises(RPCError):
        await namespace.get_schedule_handle(ARCHIVE).describe()


async def test_it_starts_the_archiver(namespace: Client) -> None:
    await _apply(namespace, ON)
    await namespace.get_schedule_handle(ARCHIVE).trigger()
    while not [run async for run in namespace.list_workflows("WorkflowType = 'ArchiveRuns'")]:
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(("name", "workflow"), [(SWEEP, "SweepHolds"), (WORKERS, "LookForWorkers")])
async def test_what_is_left_held_and_who_waits_is_looked_for_every_minute(
    namespace: Client, name: str, workflow: str
) -> None:
    for expected in ("made", "unchanged"):
        applied = {one.name: one.what for one in await apply(namespace, AuditSettings(), {}, "runbooks")}
        assert applied[name] == expected
    found = (await namespace.get_schedule_handle(name).describe()).schedule
    assert [interval.every for interval in found.spec.intervals] == [timedelta(minutes=1)]
    assert found.policy.overlap is ScheduleOverlapPolicy.SKIP
    assert isinstance(found.action, ScheduleActionStartWorkflow)
    assert (found.action.workflow, found.action.task_queue) == (workflow, "runbooks")


def _service(**churn: Any) -> Service:
    return Service(
        namespace="tensafe",
        deployment="tensafe-server",
        selector="app=tensafe",
        health_url="http://127.0.0.1:1/health",
        time_zone="Europe/Berlin",
        customers=CustomerPolicy(churn=ChurnPolicy(**churn)),
    )


async def _scan(client: Client, **services: Service) -> Applied:
    _, _, _, churn = await apply(client, AuditSettings(), services, "runbooks")
    return churn


async def test_customers_are_looked_at_every_week_in_the_services_time_zone(namespace: Client) -> None:
    assert (await _scan(namespace, a=_service(scan_on=None), b=_service(), c=_service())).what == "made"
    assert (await _scan(namespace, a=_service(scan_on=None), b=_service(), c=_service())).what == "unchanged"
    found = await namespace.get_schedule_handle(CHURN).describe()
    upcoming = [at.astimezone(ZoneInfo("Europe/Berlin")) for at in found.info.next_action_times[:3]]
    assert [(at.weekday(), at.hour, at.minute) for at in upcoming] == [(0, 8, 0)] * 3
    changed = await _scan(namespace, b=_service(scan_on="sun", scan_at=time(9, 30)))
    assert (changed.what, changed.note) == ("changed", "sun 09:30 Europe/Berlin, settings of b")
    found = await namespace.get_schedule_handle(CHURN).describe()
    first = found.info.next_action_times[0].astimezone(ZoneInfo("Europe/Berlin"))
    assert (first.weekday(), first.hour, first.minute) == (6, 9, 30)
    assert (await _scan(namespace, b=_service(scan_on=None))).what == "off"


async def test_the_scan_starts_the_procedure(namespace: Client) -> None:
    await _scan(namespace, b=_service())
    await namespace.get_schedule_handle(CHURN).trigger()
    while not [run async for run in namespace.list_workflows("WorkflowType = 'ChurnPrevention'")]:
        await asyncio.sleep(0.05)


def _with_database(**maintenance: Any) -> Service:
    servers = {"primary": ServerPolicy(secret="tensafe-database-primary")}
    database = DatabasePolicy(
        name="tensafe", secret="tensafe-database", servers=servers, maintenance=MaintenancePolicy(**maintenance)
    )
    return _service(scan_on=None).model_copy(update={"database": database})


async def _maintain(client: Client, **services: Service) -> dict[str, str]:
    _, _, _, _, *maintenance = await apply(client, AuditSettings(), services, "runbooks")
    return {applied.name: f"{applied.what}: {applied.note}" for applied in maintenance}


async def test_each_services_database_is_looked_after_every_week(namespace: Client) -> None:
    other = _with_database(weekly_on="wed", weekly_at=time(22, 15))
    by_hand = _with_database(weekly_on=None)
    done = await _maintain(namespace, a=_with_database(), b=other, c=_service(), d=by_hand)
    assert done == {
        f"{MAINTENANCE}/a": "made: sun 03:00 Europe/Berlin",
        f"{MAINTENANCE}/b": "made: wed 22:15 Europe/Berlin",
        f"{MAINTENANCE}/d": "off: services.d.database.maintenance.weekly_on is off",
    }
    found = await namespace.get_schedule_handle(f"{MAINTENANCE}/b").describe()
    first = found.info.next_action_times[0].astimezone(ZoneInfo("Europe/Berlin"))
    assert (first.weekday(), first.hour, first.minute) == (2, 22, 15)
    assert (await _maintain(namespace, a=_with_database(), b=other))[f"{MAINTENANCE}/a"].startswith("unchanged")


async def test_certificates_are_looked_at_as_often_as_settings_say(namespace: Client) -> None:
    policy = CertificatePolicy(looked_at_every=timedelta(hours=12))
    plain = Service(
        namespace="tensafe", deployment="tensafe-server", selector="app=tensafe", health_url="http://127.0.0.1:1/health"
    )
    watched = {"tensafe-server": plain.model_copy(update={"certificates": policy})}
    queue, none = "runbooks", AuditSettings()
    name = f"{CERTIFICATES}/tensafe-server"
    done = {one.name: one.what for one in await apply(namespace, none, watched, queue)}
    assert done[name] == "made"
    described = await namespace.get_schedule_handle(name).describe()
    (interval,) = described.schedule.spec.intervals
    assert interval.every == described.schedule.policy.catchup_window == timedelta(hours=12)
    again = {one.name: one.what for one in await apply(namespace, none, watched, queue)}
    assert again[name] == "unchanged"
    gone = {one.name: one.what for one in await apply(namespace, none, {"tensafe-server": plain}, queue)}
    assert gone[name] == "off"


async def test_what_settings_have_forgotten_is_looked_after_no_longer(namespace: Client) -> None:
    await _maintain(namespace, a=_with_database(), b=_with_database())
    name = f"{MAINTENANCE}/b"
    while name not in [found.id async for found in await namespace.list_schedules()]:
        await asyncio.sleep(0.05)
    done = await _maintain(namespace, a=_with_database())
    assert done[name] == "off: settings have no such database any more"
    with pytest.raises(RPCError):
        await namespace.get_schedule_handle(name).describe()


async def test_the_week_starts_the_maintenance(namespace: Client) -> None:
    await _maintain(namespace, a=_with_database())
    await namespace.get_schedule_handle(f"{MAINTENANCE}/a").trigger()
    while not [run async for run in namespace.list_workflows("WorkflowType = 'DatabaseMaintenance'")]:
        await asyncio.sleep(0.05)


async def test_a_quarters_evidence_is_packaged_when_it_is_over(namespace: Client) -> None:
    service = Service(
        namespace="d",
        deployment="d",
        selector="app=d",
        health_url="http://127.0.0.1:1/",
        time_zone="Europe/Berlin",
        compliance=CompliancePolicy(frameworks=("soc2", "hipaa")),
    )

    async def done(of: dict[str, Service]) -> dict[str, str]:
        return {one.name: one.what for one in await apply(namespace, ON, of, "runbooks")}

    names = ["compliance-audit/d/soc2", "compliance-audit/d/hipaa"]
    first = await done({"d": service})
    again = await done({"d": service})
    assert [(first[name], again[name]) for name in names] == [("made", "unchanged")] * 2
    found = await namespace.get_schedule_handle(names[0]).describe()
    due = [at.astimezone(ZoneInfo("Europe/Berlin")) for at in found.info.next_action_times[:4]]
    assert {(at.month % 3, at.day, at.hour, at.minute) for at in due} == {(1, 2, 6, 0)}
    gone = await done({})
    assert [gone[name] for name in names] == ["off", "off"]
