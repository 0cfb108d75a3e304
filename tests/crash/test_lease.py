"""A worker is killed inside a lease, and there is none until after its end: whoever comes then resumes at once."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle

from tests.crash.harness import ended, prepared, with_worker
from tests.crash.leftovers import held
from tests.crash.people import when
from tests.crash.scenario import Case, Servers
from tests.crash.scenarios.emergency_scale_up import EmergencyScaleUpScenario, inside_the_lease
from workers.clients import connect
from workers.settings import TemporalSettings


class AwayScenario(EmergencyScaleUpScenario):
    name = "emergency-scale-up-away"
    lease = timedelta(seconds=20)
    """Time for a busy machine to get inside it."""


@pytest.mark.timeout(600)
def test_a_lease_that_ends_without_a_worker_is_let_go_by_the_next_one(crash_servers: Servers) -> None:
    case = Case("away", crash_servers, crash_servers.directory / "away")
    asyncio.run(_come_back(AwayScenario(), case))


async def _come_back(scenario: AwayScenario, case: Case) -> None:
    client = await connect(TemporalSettings(address=case.servers.temporal))
    async with prepared(scenario, client, case) as start:
        async with with_worker(client, case):
            handle = await start()
            await when(handle, inside_the_lease)
        marker = held(case)
        assert marker is not None
        assert datetime.now(UTC) < marker.until
        await asyncio.sleep((marker.until - datetime.now(UTC)).total_seconds() + 1)
        assert held(case) == marker  # there is nobody who could have
        async with with_worker(client, case):
            await ended(scenario, handle)
            state = await scenario.end_state(case)
        assert await _let_go_first(handle, marker.until), "it has waited for something before"
    assert state.paused == []
    assert {name: state.counts[name] for name in scenario.leaves} == dict(scenario.leaves)


async def _let_go_first(handle: WorkflowHandle[Any, Any], until: datetime) -> bool:
    """Tell whether the first task after a time, whoever did it, has asked for the release."""
    done = 0
    async for event in handle.fetch_history_events():
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED and not done:
            done = event.event_id if event.event_time.ToDatetime(UTC) > until else 0
        asked = event.activity_task_scheduled_event_attributes
        if asked.activity_type.name == "autoscalers.release":
            return asked.workflow_task_completed_event_id == done
    return False
