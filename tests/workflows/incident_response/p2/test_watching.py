"""What is well is watched and changed by nobody, and without figures nobody can say that it is."""

from temporalio import activity
from temporalio.client import Client

from activities.monitoring.degradation import DegradationWatched, WatchDegradation
from tests.workflows.conftest import Working
from tests.workflows.incident_response.p2.runs import ADA, NAME, REQUEST, outcome
from tests.workflows.steering import begin, texts, waiting_for
from tests.workflows.worlds.degraded import Degraded
from tests.workflows.worlds.world import instead, named
from workflows.platform.approval import Decision


async def test_what_is_well_by_now_is_watched_and_changed_by_nobody(working: Working, client: Client) -> None:
    world = Degraded()
    world.well()
    async with working(world.activities()) as queue:
        result = await outcome(await begin(client, queue, REQUEST, NAME))
    assert (result.outcome, result.reasons, result.fixes) == ("resolved", ["well"], [])
    assert result.resolution.startswith("No fix was needed")


async def test_what_is_stopped_while_it_is_watched_is_no_outage(working: Working, client: Client) -> None:
    world = Degraded()
    world.well()
    real = named(world.activities())["degradation.watch"]

    @activity.defn(name="degradation.watch")
    async def watch(request: WatchDegradation) -> DegradationWatched:
        stops = world.watches == 0
        world.stopped_by = "point-in-time-restore/x" if stops else None
        world.healthy, world.goes_down = not stops, stops
        watched: DegradationWatched = await real(request)
        return watched

    async with working(instead(world.activities(), watch)) as queue:
        result = await outcome(await begin(client, queue, REQUEST, NAME))
    assert (result.outcome, result.reasons) == ("resolved", ["well", "stopped"])
    assert not world.done("records.raise_incident")


async def test_without_figures_nobody_can_say_that_it_is_well(working: Working, client: Client) -> None:
    world = Degraded()
    world.down = {"metrics.snapshot", "records.open_incidents"}
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        status = await waiting_for(handle, "decide fix-1")
        assert "the error rate could not be read" in texts(status)
        world.down = set()
        world.well()
        await handle.execute_update("decide", Decision(**ADA, question="fix-1", choice="watch"))
        result = await outcome(handle)
    assert (result.outcome, result.reasons[0]) == ("resolved", "unknown")
