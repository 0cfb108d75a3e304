"""Every procedure is reset, in the middle and after its end: each effect once, nothing held, and it ends as before."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle

from tests.crash import worker
from tests.crash.harness import RUN_LIMIT, ended, prepared
from tests.crash.scenario import Case, EndState, Scenario, Servers
from tests.crash.scenarios.api_key_rotation import CompromisedScenario, RotationScenario
from tests.crash.scenarios.full_service_recovery import RecoveryScenario
from tests.crash.test_left import reset
from workers.clients import connect
from workers.settings import Temporal

Handle = WorkflowHandle[Any, Any]

TRIED: tuple[type[Any], ...] = (RecoveryScenario, RotationScenario, CompromisedScenario)


async def steered(scenario: Scenario, handle: Handle) -> None:
    """Let people do what they do, as far as they are asked: a run that had gone on before its reset asks less."""
    people = asyncio.create_task(scenario.steer(handle))
    try:
        async with asyncio.timeout(RUN_LIMIT.total_seconds()):
            await ended(scenario, handle)
    finally:
        people.cancel()
        await asyncio.gather(people, return_exceptions=True)


async def steps_done(handle: Handle) -> int:
    """Count the steps that have ended."""
    return len(
        [
            event
            async for event in handle.fetch_history_events()
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
        ]
    )


async def halfway(scenario: Scenario, handle: Handle, half: int) -> None:
    """Let it go on, with its people, until half of its steps are done."""
    people = asyncio.create_task(scenario.steer(handle))
    try:
        async with asyncio.timeout(RUN_LIMIT.total_seconds()):
            while await steps_done(handle) < half:
                await asyncio.sleep(0.1)
    finally:
        people.cancel()
        await asyncio.gather(people, return_exceptions=True)


@dataclass
class End:
    """What one end of a run left, and answered."""

    state: EndState
    answer: dict[str, Any]

    @property
    def account(self) -> dict[str, Any]:
        """What a second end must say as well; times are others."""
        return {name: self.answer.get(name) for name in ("outcome", "rotated", "old_key", "restarted", "restored")}


async def trial(scenario: Scenario, client: Client, case: Case, half: int) -> tuple[list[End], int]:
    """Run it, reset it at half of its steps or, with 0, after its end; gives each end, and the steps until then."""
    async with prepared(scenario, client, case) as start:
        process = worker.start(case)
        try:
            handle, ends = await start(), []
            if half:
                await halfway(scenario, handle, half)
            else:
                await steered(scenario, handle)
                ends.append(End(await scenario.end_state(case), await handle.result()))
            steps = await steps_done(handle)
            again = await reset(client, handle)
            await steered(scenario, again)
            return [*ends, End(await scenario.end_state(case), await again.result())], steps
        finally:
            process.kill()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", TRIED, ids=lambda kind: str(kind.name))
def test_a_run_that_is_reset_leaves_what_one_that_was_not_leaves(crash_servers: Servers, kind: type[Any]) -> None:
    async def both() -> None:
        client = await connect(Temporal(address=crash_servers.temporal))
        late, middle = (
            Case(f"{when}-{kind.name}", crash_servers, crash_servers.directory / f"{when}-{kind.name}")
            for when in ("late", "middle")
        )
        (once, twice), steps = await trial(kind(), client, late, 0)
        (reset_then,), _ = await trial(kind(), client, middle, steps // 2)
        for end in (twice, reset_then):
            assert end.state.counts == once.state.counts, "each effect once"
            assert end.state.paused == once.state.paused == []
        assert twice.account == once.account
        assert reset_then.account["outcome"] == once.account["outcome"]
        assert reset_then.account["rotated"] == once.account["rotated"]
        if "new_key" in once.answer:
            assert twice.answer["new_key"] == once.answer["new_key"]

    asyncio.run(both())
