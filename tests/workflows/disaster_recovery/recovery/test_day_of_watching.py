"""The day of watching: a problem pages once, and a person may end it."""

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError

from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.recovery.recoveries import ADA, NAME, decide, ended, passing
from tests.workflows.steering import begin, cancel, until, waiting_for
from tests.workflows.worlds.outage import Outage
from workflows.disaster_recovery.recovery.full_service_recovery import FullServiceRecovery, FullServiceRecoveryRequest
from workflows.disaster_recovery.recovery.watch_words import StopWatching


async def test_a_problem_in_the_watch_pages_once_and_the_watch_goes_on(working: Working, client: Client) -> None:
    world = Outage().broken()
    world.bad_looks = {3, 4, 9}
    async with working(world.activities()) as queue:
        result = await ended(await begin(client, queue, FullServiceRecoveryRequest(), NAME))
    assert (result["outcome"], result["looks"]) == ("recovered", 24)
    assert len(result["problems"]) == 3  # type: ignore[arg-type]
    assert len(world.done("paging.page")) == 3  # begun, at 3, at 9
    (closing,) = world.done("records.close_incident")
    assert "3 of 24 looks found a problem" in closing.root_cause


async def test_a_watch_that_ends_in_trouble_leaves_the_incident_open(working: Working, client: Client) -> None:
    world = Outage().broken()
    world.bad_looks = {24}
    async with working(world.activities()) as queue:
        result = await ended(await begin(client, queue, FullServiceRecoveryRequest(), NAME))
    assert result["outcome"] == "recovered, not well"
    assert not world.done("records.close_incident")
    assert "in human hands" in world.pages


async def test_a_person_may_end_the_watch_and_only_the_watch(working: Working, client: Client) -> None:
    world = Outage().broken()
    world.tests_fail = 1
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        await waiting_for(handle, "decide tests")
        with pytest.raises(WorkflowUpdateFailedError) as early:
            await handle.execute_update(FullServiceRecovery.stop_watching, StopWatching(**ADA))
        assert "is not being watched" in str(early.value.cause)
        world.bad_looks = {2}
        await decide(handle, "tests", "retry")
        # The test server's clock jumps over a day unless somebody holds it: the second look does.
        world.hold_look = 2
        async with passing(handle) as end:
            await until(handle, lambda _: world.looks == 2)
            with pytest.raises(WorkflowUpdateFailedError) as who:
                await handle.execute_update(FullServiceRecovery.stop_watching, StopWatching(who="eve", role="intern"))
            assert "may not close" in str(who.value.cause)
            word = StopWatching(**ADA, reason="enough")
            answer = await handle.execute_update(FullServiceRecovery.stop_watching, word)
            world.hold_look = 0
            result = await end
    assert "has ended" in str(answer)
    assert (result["looks"], result["watch_ended_by"]) == (2, "ada (commander)")
    assert result["outcome"] == "recovered, not well"


async def test_a_cancelled_watch_leaves_the_service_as_it_is(working: Working, client: Client) -> None:
    world = Outage().broken()
    world.hold_look = 1
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        async with passing(handle) as end:
            await until(handle, lambda _: world.looks == 1)
            await cancel(handle, beside=1)
            with pytest.raises(WorkflowFailureError):
                await end
    assert world.percent == 100
