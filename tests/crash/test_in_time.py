"""Where a run does not end, the failure says how far it has come, and what its workers have logged."""

import asyncio
from datetime import timedelta

import pytest

from tests.crash.harness import ended, in_time
from tests.crash.leftovers import LeftScenario, running
from tests.crash.scenario import Case, Servers


@pytest.mark.timeout(600)
def test_a_run_that_does_not_end_says_how_far_it_has_come(crash_servers: Servers) -> None:
    case = Case("not-in-time", crash_servers, crash_servers.directory / "not-in-time")
    scenario = LeftScenario()
    scenario.lease = timedelta(minutes=30)

    async def trial() -> None:
        async with running(case, scenario) as (client, handle, process):
            with pytest.raises(AssertionError) as failed:
                async with in_time(client, case, timedelta(seconds=1)):
                    await ended(scenario, handle)
            for part in (
                "not over in 0:00:01",
                f"{case.workflow_id}: EmergencyScaleUp, phase Autoscaler paused",
                "3 × 2 is 6 replicas",
                "the workers' log ends:",
                "worker started",
            ):
                assert part in str(failed.value)
            process.kill()
            with pytest.raises(AssertionError, match=r"does not answer.*its last events: .*WORKFLOW_TASK"):
                async with in_time(client, case, timedelta(seconds=1)):
                    await ended(scenario, handle)

    asyncio.run(trial())
