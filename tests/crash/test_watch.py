"""A worker is killed in the middle of a watch, and there is none until after its end: nobody is asked for that."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowHandle

from tests.crash.harness import ended, prepared, with_worker
from tests.crash.people import when
from tests.crash.scenario import Case, Servers
from tests.crash.scenarios.p2_incident import P2Scenario
from workers.clients import connect
from workers.settings import TemporalSettings
from workflows.platform.run_status import RunStatus

_WATCH, _BETTER = timedelta(seconds=20), timedelta(seconds=5)
"""Time for a busy machine to kill a worker inside of it."""


class AwayScenario(P2Scenario):
    name = "p2-incident-away"

    def policy(self, case: Case) -> dict[str, Any]:
        found = super().policy(case)
        times = {name: f"PT{lasts.seconds}S" for name, lasts in (("watch_for", _WATCH), ("better_for", _BETTER))}
        return {**found, "degradation": {**found["degradation"], **times}}


@pytest.mark.timeout(600)
def test_a_watch_that_ends_without_a_worker_is_seen_to_its_end_by_the_next_one(crash_servers: Servers) -> None:
    case = Case("watch-away", crash_servers, crash_servers.directory / "watch-away")
    asyncio.run(_come_back(AwayScenario(), case))


async def _come_back(scenario: AwayScenario, case: Case) -> None:
    client = await connect(TemporalSettings(address=case.servers.temporal))
    async with prepared(scenario, client, case) as start:
        async with with_worker(client, case):
            handle = await start()
            await when(handle, lambda status: status.phase == "Watch")
            began = await _began(handle)
        over = began + _WATCH + 2 * _BETTER + timedelta(seconds=1)
        await asyncio.sleep((over - datetime.now(UTC)).total_seconds())
        async with with_worker(client, case):
            await ended(scenario, handle)
            status: RunStatus = await handle.query("status", result_type=RunStatus)
            state = await scenario.end_state(case)
    assert (status.outcome, status.decided) == ("resolved", []), "nobody is asked"
    assert state.paused == []
    assert {name: state.counts[name] for name in scenario.leaves} == dict(scenario.leaves)


async def _began(handle: WorkflowHandle[Any, Any]) -> datetime:
    """Wait until the watch has begun, and give when."""
    while True:
        for one in (await handle.describe()).raw_description.pending_activities:
            if one.activity_type.name == "degradation.watch" and one.HasField("last_heartbeat_time"):
                return one.last_started_time.ToDatetime(UTC)
        await asyncio.sleep(0.05)
