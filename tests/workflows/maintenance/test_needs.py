"""What a database needs, the worst first, and what no run can mend."""

from temporalio.client import Client

from tests.workflows.conftest import Working
from tests.workflows.maintenance.databases import NAME, decides, request, run
from tests.workflows.steering import begin, told
from tests.workflows.worlds.busy_database import BusyDatabase, index, table


async def test_a_healthy_database_is_left_alone(working: Working, client: Client) -> None:
    world = BusyDatabase()
    world.tables = [table(dead=9_999), table("big", dead=20_000, rows=10_000_000)]
    world.indexes = [index(bloat=0.39), index("small", size=2**20, bloat=0.9)]
    result, timeline = await run(working, client, world)
    assert result["vacuumed"] == result["reindexed"] == result["problems"] == []
    assert world.effects == []
    assert "nothing needs vacuum or reindex" in timeline


async def test_what_needs_it_is_done_the_worst_first(working: Working, client: Client) -> None:
    world = BusyDatabase()
    world.tables = [
        table("dead", dead=20_000),
        table("deader", dead=40_000),
        table("stale", changed=15_000),
        table("old", age=170_000_000),
    ]
    world.indexes = [
        index(bloat=0.6),
        index("worse", bloat=0.9),
        index("broken", valid=False, bloat=None),
        index("jobs_state_ccnew", oid=8, valid=False, leftover=True),
    ]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await decides(handle, "drop-indexes", "drop")
        result, timeline = await handle.result(), await told(handle)
    assert result["vacuumed"] == ["public.old", "public.deader", "public.dead", "public.stale"]
    assert [each.freeze for each in world.done("postgres.vacuum")] == [True, False, False, False]
    assert result["reindexed"] == ["public.broken", "public.worse", "public.jobs_state"]
    assert result["dropped"] == ["public.jobs_state_ccnew"]
    assert (result["before"]["dead_rows"], result["after"]["dead_rows"]) == (60_000, 0)
    assert "vacuum public.dead: 20,000 dead rows (17%)" in timeline
    assert "reindex public.worse: 90% of 1.0 GiB is waste" in timeline
    keys = [each.effect.key.rpartition("/")[2] for each in world.done("postgres.vacuum")]
    assert keys == ["vacuum", "vacuum-2", "vacuum-3", "vacuum-4"]
    assert "public.old" in world.done("slack.post")[-1].text


async def test_one_run_does_not_do_all_at_once(working: Working, client: Client) -> None:
    world = BusyDatabase(most_tables=1, most_indexes=1)
    world.tables = [table(f"t{n}", dead=20_000 + n) for n in range(3)]
    world.indexes = [index(f"i{n}", bloat=0.5 + n / 10) for n in range(3)]
    result, timeline = await run(working, client, world)
    assert (result["vacuumed"], result["reindexed"]) == (["public.t2"], ["public.i2"])
    assert "2 more tables wait for the next run (most_tables)" in timeline
    assert "2 more indexes wait for the next run (most_indexes)" in timeline


async def test_what_is_asked_for_is_done_whatever_its_state(working: Working, client: Client) -> None:
    world = BusyDatabase(most_tables=1, most_indexes=1)
    world.tables = [table("a"), table("b")]
    world.indexes = [index("i"), index("j")]
    result, _ = await run(working, client, world, tables=["a", "b"], reindex=["jobs"])
    assert result["vacuumed"] == ["public.a", "public.b"]
    assert result["reindexed"] == ["public.i", "public.j"]


async def test_what_it_cannot_mend_is_said(working: Working, client: Client) -> None:
    world = BusyDatabase()
    world.facts = {"connections": 90, "replicas": [], "checksum_failures": 1}
    result, _ = await run(working, client, world)
    assert result["problems"] == [
        "90 of 100 connections are taken",
        "1 checksum failure: data is damaged, see point-in-time-restore (7.3)",
        "0 of 1 replica stream",
    ]
    (message,) = world.done("slack.post")
    assert "0 of 1 replica stream" in message.text
