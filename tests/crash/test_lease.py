"""A worker is killed inside a lease, and there is none until after its end: whoever comes then resumes at once."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

from activities.autoscaling.objects import HOLD, Marker
from sandbox import kubernetes_api
from tests.crash import worker
from tests.crash.harness import ended, prepared
from tests.crash.people import when
from tests.crash.scenario import Case, Servers
from tests.crash.scenarios.emergency_scale_up import EmergencyScaleUpScenario, inside_the_lease
from tests.crash.world import scaled_object
from workers.clients import connect
from workers.settings import Temporal

AT_ONCE = 8.0
"""Seconds from the start of the process: its own start, and at most 3 in which the run waits for the dead worker."""


class AwayScenario(EmergencyScaleUpScenario):
    name = "emergency-scale-up-away"
    lease = timedelta(seconds=8)


def held(case: Case) -> Marker | None:
    with kubernetes_api.connect(case.servers.kubeconfig) as api:
        annotation = scaled_object(case, api)["metadata"]["annotations"].get(HOLD)
    return Marker.model_validate_json(annotation) if annotation else None


def test_a_lease_that_ends_without_a_worker_is_let_go_by_the_next_one(crash_servers: Servers) -> None:
    case = Case("away", crash_servers, crash_servers.directory / "away")
    seconds = asyncio.run(_come_back(AwayScenario(), case))
    print(f"resumed {seconds:.1f} s after the start of a worker")
    assert seconds < AT_ONCE


async def _come_back(scenario: AwayScenario, case: Case) -> float:
    client = await connect(Temporal(address=case.servers.temporal))
    async with prepared(scenario, client, case) as start:
        first = worker.start(case)
        handle = await start()
        await when(handle, inside_the_lease)
        first.kill()
        marker = held(case)
        assert marker is not None
        assert datetime.now(UTC) < marker.until
        await asyncio.sleep((marker.until - datetime.now(UTC)).total_seconds() + 1)
        assert held(case) == marker  # there is nobody who could have
        began = time.monotonic()
        second = worker.start(case)
        try:
            while held(case) is not None:
                await asyncio.sleep(0.05)
            resumed = time.monotonic() - began
            await ended(scenario, handle)
            state = await scenario.end_state(case)
        finally:
            second.kill()
    assert state.paused == []
    assert {name: state.counts[name] for name in scenario.leaves} == dict(scenario.leaves)
    return resumed
