"""The days' schedules: as settings say, with days off, the same when applied twice, and late only within limits."""

import asyncio
import time as time_module
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
import tomli_w
import yaml
from temporalio.client import Client, ScheduleHandle, ScheduleOverlapPolicy, ScheduleRange, ScheduleUpdate
from typer.testing import CliRunner, Result

from activities.catalogue.daily import DailyPolicy
from activities.catalogue.service import Service
from sandbox.probes import wait_until
from sandbox.prometheus import Prometheus
from sandbox.temporal import Temporal as TemporalServer
from starters.__main__ import application
from starters.schedules import EVENING, MORNING, PULSE, apply, compare
from tests.audit.archiving import new_namespace
from workers.clients import connect
from workers.settings import AuditSettings, TemporalSettings
from workflows.platform.search_attributes import SEARCH_ATTRIBUTES

NAME = f"{PULSE}/tensafe-server"
BERLIN = ZoneInfo("Europe/Berlin")
_TO_KILL = timedelta(seconds=2)
"""For one question to the server, and the kill."""


def service(**daily: Any) -> Service:
    return Service(
        namespace="tensafe",
        deployment="tensafe-server",
        selector="app=tensafe",
        health_url="http://127.0.0.1:1/health",
        time_zone="Europe/Berlin",
        daily=DailyPolicy(**daily),
    )


@pytest.fixture
async def namespace(temporal_address: str) -> Client:
    return await new_namespace(temporal_address)


async def applied(client: Client, folder: Path = Path(), **daily: Any) -> dict[str, str]:
    done = await apply(client, AuditSettings(), {"tensafe-server": service(**daily)}, "runbooks", folder)
    return {one.name: one.what for one in done if "/" in one.name}


async def differing(client: Client, **daily: Any) -> dict[str, tuple[str, ...]]:
    found = await compare(client, AuditSettings(), {"tensafe-server": service(**daily)}, "runbooks")
    return {one.name: one.what for one in found if one.what}


async def test_applied_twice_nothing_changes(namespace: Client) -> None:
    assert (await applied(namespace, holidays="DE-BE"))[NAME] == "made"
    before = (await namespace.get_schedule_handle(NAME).describe()).raw_description
    assert await differing(namespace, holidays="DE-BE") == {}
    assert (await applied(namespace, holidays="DE-BE"))[NAME] == "unchanged"
    after = (await namespace.get_schedule_handle(NAME).describe()).raw_description
    assert (before.info.update_time, before.conflict_token) == (after.info.update_time, after.conflict_token)


async def test_whatever_is_another_is_seen_and_changed(namespace: Client) -> None:
    await applied(namespace)
    for daily, what in (
        ({"pulse_until": 20}, ("when it runs", "its note")),
        ({"pulse_until": 20, "days": ("mon",)}, ("when it runs", "its note")),
        ({"pulse_until": 20, "days": ("mon",), "holidays": "DE"}, ("when it runs", "its note")),
    ):
        assert (await differing(namespace, **daily))[NAME] == what
        assert (await applied(namespace, **daily))[NAME] == "changed"
        assert await differing(namespace, **daily) == {}


async def test_what_somebody_has_changed_by_hand_is_put_right(namespace: Client) -> None:
    await applied(namespace)

    def meddle(found: Any) -> Any:
        there = found.description.schedule
        there.policy.catchup_window = timedelta(days=365)
        there.action.args = ["other"]
        return ScheduleUpdate(schedule=there)

    await namespace.get_schedule_handle(NAME).update(meddle)
    assert (await differing(namespace))[NAME] == ("how late it may run, or beside another", "what it starts")
    assert (await applied(namespace))[NAME] == "changed"
    policy = (await namespace.get_schedule_handle(NAME).describe()).schedule.policy
    assert policy.catchup_window == timedelta(minutes=15)


async def test_every_business_hour_in_the_services_zone(namespace: Client) -> None:
    await applied(namespace, pulse_from=9, pulse_until=11)
    info = (await namespace.get_schedule_handle(NAME).describe()).info
    upcoming = [at.astimezone(BERLIN) for at in info.next_action_times]
    assert {at.hour for at in upcoming} == {9, 10, 11}
    assert all(at.weekday() < 5 and at.minute == 0 for at in upcoming)


async def test_morning_and_evening_come_at_their_times_and_no_later_than_makes_sense(namespace: Client) -> None:
    done = await applied(namespace, evening_at=time(16, 45))
    assert set(done) == {f"{kind}/tensafe-server" for kind in (MORNING, PULSE, EVENING)}
    for kind, at, late in ((MORNING, time(8), 3), (EVENING, time(16, 45), 5)):
        found = await namespace.get_schedule_handle(f"{kind}/tensafe-server").describe()
        upcoming = [due.astimezone(BERLIN) for due in found.info.next_action_times[:3]]
        assert {due.time() for due in upcoming} == {at}
        assert all(due.weekday() < 5 for due in upcoming)
        assert found.schedule.policy.catchup_window == timedelta(hours=late)
        assert found.schedule.policy.overlap is ScheduleOverlapPolicy.SKIP
    none = await applied(namespace, morning_at=None, evening_at=None)
    assert none == {f"{MORNING}/tensafe-server": "off", NAME: "unchanged", f"{EVENING}/tensafe-server": "off"}


async def test_a_service_that_settings_have_forgotten_is_left_alone(namespace: Client) -> None:
    await applied(namespace)
    while NAME not in [found.id async for found in await namespace.list_schedules()]:
        await asyncio.sleep(0.05)
    done = await apply(namespace, AuditSettings(), {}, "runbooks")
    assert {one.name: one.what for one in done}[NAME] == "off"
    assert (await applied(namespace, pulse=False))[NAME] == "off"


# -- days off ------------------------------------------------------------------------------------------------


async def test_a_day_off_has_no_pulse(namespace: Client, tmp_path: Path) -> None:
    today = datetime.now(BERLIN).date()
    days = "".join(
        f"BEGIN:VEVENT\nUID:{number}\nDTSTART;VALUE=DATE:{today + timedelta(days=number):%Y%m%d}\nEND:VEVENT\n"
        for number in range(14)
    )
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:tests\n{days}END:VCALENDAR\n"
    (tmp_path / "off.ics").write_text(text.replace("\n", "\r\n"), encoding="utf-8")
    await applied(namespace, tmp_path, calendar="off.ics", days=("mon", "tue", "wed", "thu", "fri", "sat", "sun"))
    info = (await namespace.get_schedule_handle(NAME).describe()).info
    assert info.next_action_times[0].astimezone(BERLIN).date() == today + timedelta(days=14)


# -- after an outage of Temporal -----------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TemporalServer]:
    server = TemporalServer(tmp_path / "temporal", SEARCH_ATTRIBUTES)
    server.start()
    server.wait_ready()
    yield server
    server.stop()


def documented_rules() -> list[dict[str, Any]]:
    """Give the alerting rule as docs/deployment.md has it."""
    text = Path("docs/deployment.md").read_text(encoding="utf-8")
    block = next(part for part in text.split("```yaml\n") if part.startswith("- alert: ScheduledRunMissed"))
    rules: list[dict[str, Any]] = yaml.safe_load(block.partition("```")[0])
    return rules


def firing(prometheus: Prometheus) -> list[str]:
    found = httpx.get(f"{prometheus.url}/api/v1/alerts").json()["data"]["alerts"]
    return [alert["labels"]["alertname"] for alert in found if alert["state"] == "firing"]


def scraped(prometheus: Prometheus) -> None:
    """Wait until Prometheus has looked at the server twice since now."""
    since = time_module.time()

    def looked() -> bool:
        query = {"query": 'timestamp(up{job="temporal"} == 1)'}
        found = httpx.get(f"{prometheus.url}/api/v1/query", params=query).json()["data"]["result"]
        return any(float(series["value"][1]) > since + 2 for series in found)

    wait_until(looked)


async def due_soon(handle: ScheduleHandle, late: timedelta) -> datetime:
    """Let a schedule be due once, in seconds; gives when, with time enough left to kill the server before that.

    However busy the machine is: what took too long is set again, for later.
    """
    room = timedelta(seconds=6)
    while True:
        due = (datetime.now(UTC) + room).replace(microsecond=0)

        def soon(found: Any, due: datetime = due) -> Any:
            """In all else it is the schedule that was applied."""
            there = found.description.schedule
            field = {name: [ScheduleRange(getattr(due, name))] for name in ("hour", "minute", "second")}
            day = {"day_of_week": [ScheduleRange(due.isoweekday() % 7)]}
            spec = replace(
                there.spec, calendars=[replace(there.spec.calendars[0], **field, **day)], time_zone_name="UTC"
            )
            policy = replace(there.policy, catchup_window=late)
            return ScheduleUpdate(schedule=replace(there, spec=spec, policy=policy))

        await handle.update(soon)
        while due not in (await handle.describe()).info.next_action_times and datetime.now(UTC) < due:
            await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        if due - datetime.now(UTC) > _TO_KILL:
            return due
        room *= 2


@pytest.mark.servers
@pytest.mark.parametrize(("late", "runs"), [(timedelta(minutes=15), 1), (timedelta(seconds=10), 0)])
async def test_what_an_outage_has_missed_runs_once_if_it_is_not_too_late(
    server: TemporalServer, start_prometheus: Callable[..., Prometheus], late: timedelta, runs: int
) -> None:
    prometheus = start_prometheus(targets={"temporal": f"127.0.0.1:{server.metrics_port}"}, rules=documented_rules())
    client = await connect(TemporalSettings(address=server.address))
    await applied(client)
    while True:
        handle = client.get_schedule_handle(NAME)
        due = await due_soon(handle, late)
        before = (await handle.describe()).info
        server.processes[0].kill()
        if datetime.now(UTC) < due:
            break
        server.restart()  # a busy machine came too late: the server was there when it was due
        client = await connect(TemporalSettings(address=server.address))
    gone_for = timedelta(seconds=1) if runs else late + timedelta(seconds=2)
    await asyncio.sleep((due + gone_for - datetime.now(UTC)).total_seconds())
    server.restart()
    client = await connect(TemporalSettings(address=server.address))
    handle = client.get_schedule_handle(NAME)

    async def since() -> tuple[int, int]:
        info = (await handle.describe()).info
        missed = info.num_actions_missed_catchup_window - before.num_actions_missed_catchup_window
        return info.num_actions - before.num_actions, missed

    async with asyncio.timeout(240):
        while await since() == (0, 0):
            await asyncio.sleep(0.1)
    await asyncio.sleep(1)
    assert await since() == (runs, 1 - runs)
    # The count of a server that has just come back begins with what was missed: nothing was there to rise from.
    await asyncio.to_thread(scraped, prometheus)
    if runs:
        assert firing(prometheus) == []
    else:
        await asyncio.to_thread(wait_until, lambda: firing(prometheus) == ["ScheduledRunMissed"])


# -- the command line ----------------------------------------------------------------------------------------

Runbooks = Callable[..., Awaitable[Result]]


@pytest.fixture
def runbooks(namespace: Client, temporal_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runbooks:
    file = tmp_path / "runbooks.toml"
    daily = {"tensafe-server": service(pulse_from=9, pulse_until=9).model_dump(mode="json", exclude_none=True)}
    temporal = {"address": temporal_address, "namespace": namespace.namespace}
    file.write_text(tomli_w.dumps({"temporal": temporal, "services": daily}), encoding="utf-8")
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(file))
    monkeypatch.setenv("COLUMNS", "240")

    async def call(*arguments: str) -> Result:
        given = ["schedules", *arguments]
        return await asyncio.to_thread(CliRunner().invoke, application(given), given)

    return call


async def test_from_the_command_line(runbooks: Runbooks, namespace: Client) -> None:
    different = await runbooks("diff")
    assert different.exit_code == 1
    assert f"{NAME}: made: mon–fri 09:00 Europe/Berlin" in different.output
    assert f"{NAME}: made" in (await runbooks("apply")).output
    assert (await runbooks("diff")).exit_code == 0
    while NAME not in [found.id async for found in await namespace.list_schedules()]:
        await asyncio.sleep(0.05)
    shown = (await runbooks("list", "--runs", "2")).output
    assert shown.count("09:00 CE") == 2
    assert "none" in shown
    paused = await runbooks("pause", NAME, "--reason", "the office moves", "--as", "ada")
    assert paused.exit_code == 0, paused.output
    assert "the office moves (ada)" in (await runbooks("list")).output
    assert f"{NAME}: paused (the office moves (ada))" in (await runbooks("apply")).output
    assert (await runbooks("resume", NAME)).exit_code == 0
    begun = await runbooks("trigger", NAME)
    assert begun.output.startswith(f"{NAME}-"), begun.output
    twice = await runbooks("trigger", NAME)
    assert (twice.exit_code, "still open" in twice.output) == (1, True)
    unknown = await runbooks("pause", "nothing", "--reason", "x")
    assert (unknown.exit_code, "no schedule 'nothing'" in unknown.output) == (4, True)


def test_a_policy_says_what_is_wrong_with_it() -> None:
    for daily, sentence in (
        ({"pulse_from": 10, "pulse_until": 9}, "pulse_until"),
        ({"uptime": "avg_over_time(up[$range])"}, r"only \$window"),
        ({"holidays": "Germany"}, "holidays"),
        ({"morning_at": time(8), "evening": time(17)}, "evening"),
    ):
        with pytest.raises(ValueError, match=sentence):
            DailyPolicy(**daily)
