"""What speaks against a beginning is asked, and looked at again."""

from uuid import uuid4

from temporalio.client import Client

from tests.workflows.conftest import Working
from tests.workflows.maintenance.windows import HOUR, SWAP, Clock, decide, started, tick
from tests.workflows.steering import waiting_for
from tests.workflows.worlds.maintained import Maintained
from workflows.maintenance.maintenance_window import MaintenanceWindow


async def test_it_does_not_begin_in_the_middle_of_an_incident(
    working: Working, client: Client, world: Maintained, clock: Clock
) -> None:
    world.company.sql.execute(
        "INSERT INTO runbooks.incidents (incident_id, severity, title, service, commander, opened_at, workflow_id, "
        "run_id, effect_key) VALUES ('INC-1', 'P1', 'API down', 'tensafe-server', 'ada', now(), 'w', 'r', 'k')"
    )
    async with working(world.activities()) as queue:
        handle = await started(client, queue, clock, tasks=[SWAP])
        status = await waiting_for(handle, "decide begin-1")
        assert status.questions[0].evidence == ["P1 INC-1 is open: API down"]
        result = await handle.result()
    assert (result["outcome"], result["started_at"]) == ("called off", None)
    assert world.silenced == {}
    assert world.closed()
    assert [len(each) for each in world.subjects()] == [2, 2]


async def test_it_begins_on_a_word_and_looks_again(
    working: Working, client: Client, world: Maintained, clock: Clock
) -> None:
    world.healthy = False
    async with working(world.activities()) as queue:
        handle = await started(client, queue, clock, tasks=[SWAP])
        await decide(handle, "begin-1", "begin")
        world.healthy = True
        await tick(handle)
        assert (await handle.result())["outcome"] == "done"
    assert world.pages() == []


async def test_a_late_start_after_an_outage_of_ours_is_asked(
    working: Working, client: Client, world: Maintained, clock: Clock
) -> None:
    async with working(world.activities()) as queue:
        # As if nobody had taken it up until then.
        handle = await client.start_workflow(
            MaintenanceWindow.run,
            clock.request(tasks=[SWAP]),
            id=f"late-{uuid4()}",
            task_queue=queue,
            start_delay=31.5 * HOUR,
        )
        await clock.reach(clock.start + 1.6 * HOUR)
        status = await waiting_for(handle, "decide begin-1")
        assert status.questions[0].evidence[0].startswith("it is 1:30:")
        assert set(status.questions[0].options) == {"begin", "shift", "call-off"}
        assert world.subjects() == [[], []]
        await decide(handle, "begin-1", "shift")
        await waiting_for(handle, "tick swap")
        moved = clock.day_of(await clock.environment.get_current_time())  # it begins as soon as that is decided
        assert world.subjects() == [[f"TenSafe: maintenance on {moved}"]] * 2
        await tick(handle)
        assert (await handle.result()).outcome == "done"
    assert world.closed()
