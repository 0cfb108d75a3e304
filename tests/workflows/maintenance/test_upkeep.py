"""Each piece of upkeep is done by itself: one that fails keeps no other from it."""

import pytest
from temporalio.client import Client

from tests.workflows.conftest import Working
from tests.workflows.maintenance.databases import NAME, decides, request, run
from tests.workflows.steering import begin, told
from tests.workflows.worlds.busy_database import BusyDatabase, index, table


@pytest.mark.parametrize(
    ("choice", "dropped", "kept"),
    [
        ("drop", ["public.i_ccnew", "public.j"], []),
        ("public.j", ["public.j"], ["public.i_ccnew"]),
        ("keep", [], ["public.i_ccnew", "public.j"]),
        (None, [], ["public.i_ccnew", "public.j"]),
    ],
)
async def test_an_index_is_dropped_on_a_word_alone(
    working: Working, client: Client, choice: str | None, dropped: list[str], kept: list[str]
) -> None:
    world = BusyDatabase()
    twin = {"valid": False, "twin": "public.i", "twin_valid": True}
    world.indexes = [index("i_ccnew", oid=8, leftover=True, **twin), index("j", oid=9, **twin)]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        if choice:
            await decides(handle, "drop-indexes", choice)
        result, timeline = await handle.result(), await told(handle)
        status = await handle.query("status")
    assert (result["dropped"], result["kept"], result["reindexed"]) == (dropped, kept, [])
    assert [each.index for each in world.done("postgres.drop_leftover")] == [name[7:] for name in dropped]
    assert "drop public.j: it is invalid, queries don't use it; public.i has all that it would have" in timeline
    assert status["outcome"] == ("maintained" if dropped else "problems found")
    assert not world.done("paging.page")


async def test_a_partitioned_table_is_analyzed_after_its_partitions(working: Working, client: Client) -> None:
    world = BusyDatabase()
    world.tables = [
        table("all", oid=5, partitioned=True, changed=50_000),
        table("part", oid=6, part_of=[5], dead=50_000, changed=50_000),
    ]
    result, timeline = await run(working, client, world)
    assert [(each.table, each.analyze_only) for each in world.done("postgres.vacuum")] == [
        ("part", False),
        ("all", True),
    ]
    assert "analyze public.all: 50,000 rows changed since its statistics were made, nothing but this" in timeline
    world.tables = [table("all", oid=5, partitioned=True), table("part", oid=6, part_of=[5], dead=50_000)]
    result, _ = await run(working, client, world, tables=["all"])
    assert result["vacuumed"] == ["public.all"]
    assert not world.done("postgres.vacuum")[-1].analyze_only


async def test_one_that_fails_keeps_no_other_from_it(working: Working, client: Client) -> None:
    world = BusyDatabase()
    world.tables = [table("a", dead=30_000), table("b", dead=20_000)]
    world.indexes = [index("i", bloat=0.9), index("j", bloat=0.8)]
    world.refused = {"a", "i"}
    result, timeline = await run(working, client, world)
    assert (result["vacuumed"], result["reindexed"]) == (["public.b"], ["public.j"])
    assert result["failed"] == ["public.a", "public.i"]
    assert [(each.index, each.index_schema) for each in world.done("postgres.stop_work")] == [("", ""), ("i", "public")]
    assert "Refused: it took longer than it may" in timeline


async def test_an_index_that_cannot_be_rebuilt_while_writes_go_on_is_for_people(
    working: Working, client: Client
) -> None:
    world = BusyDatabase()
    world.indexes = [
        index("spans", valid=False, concurrently=False, bloat=None),
        index("new_ccnew", being_built=True, valid=False),
    ]
    result, timeline = await run(working, client, world)
    assert result["reindexed"] == result["dropped"] == []
    assert "public.spans is invalid, and can't be rebuilt while writes go on" in timeline
