"""What nobody can renew pages in time, once a deadline."""

import pytest
from temporalio.client import Client

from tests.workflows.conftest import Working
from tests.workflows.maintenance.certificates import run
from tests.workflows.worlds.certified import DAY, SECRET, Certified, certificate


@pytest.mark.parametrize(
    ("left", "expected"),
    [(29, None), (15, None), (13, ("P3", "336h")), (6, ("P3", "168h")), (2, ("P2", "72h")), (-1, ("P2", "72h"))],
)
async def test_what_nobody_can_renew_pages_in_time(
    working: Working, client: Client, left: float, expected: tuple[str, str] | None
) -> None:
    world = Certified()
    world.put(SECRET, certificate(left=left * DAY))
    world.policy()
    result, _ = await run(working, client, world)
    pages = [(page.severity, page.incident_id.rpartition("-")[2]) for page in world.done("paging.page")]
    assert pages == ([expected] if expected else [])
    assert len(result["failed"]) == 1  # told in the channel from the first day on


async def test_a_page_is_one_for_each_deadline_however_many_runs(working: Working, client: Client) -> None:
    world = Certified()
    world.policy()
    for left in (13.5, 13, 6.5, 6):
        world.put(SECRET, certificate(left=left * DAY))
        await run(working, client, world)
    assert len({page.incident_id for page in world.done("paging.page")}) == 2


async def test_a_page_is_taken_back_when_it_is_renewed(working: Working, client: Client) -> None:
    world = Certified()
    world.put(SECRET, certificate(left=6 * DAY))
    await run(working, client, world)
    ids = [page.incident_id.rpartition("-")[2] for page in world.done("paging.resolve")]
    assert ids == ["168h", "336h"]
