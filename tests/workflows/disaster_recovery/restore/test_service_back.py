"""Nobody outside hears that it is over before the service is well."""

from datetime import timedelta

import pytest
from temporalio.client import Client, WorkflowFailureError

from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.restore.restores import NAME, decides, kept, request
from tests.workflows.steering import begin, cancel, until
from tests.workflows.worlds.damaged import DamagedWorld


async def test_nobody_outside_hears_that_it_is_over_before_the_service_is_well(
    working: Working, client: Client
) -> None:
    world = DamagedWorld()
    world.blips = 4
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(forensics=timedelta(0)), NAME)
        await decides(handle, "switch", "switch")
        result = await handle.result()
    published = world.done("statuspage.update")
    assert [update.status for update in published] == ["Investigating", "Monitoring", "Resolved"]
    assert "not available yet" in published[1].message
    order = [name for name, _ in world.effects]
    assert order.index("mail.send") > max(n for n, name in enumerate(order) if name == "statuspage.update")
    assert sorted(mail.to for mail in world.done("mail.send")) == ["it@acme.example", "it@initech.example"]
    assert (result["outcome"], result["healthy"], result["customers_told"]) == ("restored", True, 2)


async def test_a_service_that_stays_unwell_is_left_to_people(working: Working, client: Client) -> None:
    world = DamagedWorld()
    world.healthy = False
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(forensics=timedelta(0)), NAME)
        await decides(handle, "switch", "switch")
        result = await handle.result()
    assert [update.status for update in world.done("statuspage.update")] == ["Investigating", "Monitoring"]
    assert world.done("mail.send") == []
    assert any("tell them by hand" in page.summary for page in world.done("paging.page"))
    assert (result["outcome"], result["healthy"], result["customers_told"]) == ("restored", False, 0)


async def test_cancelling_ends_the_wait_for_a_service_that_is_not_well(working: Working, client: Client) -> None:
    world = DamagedWorld()
    world.healthy, world.watched_from = False, 1
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await decides(handle, "switch", "switch")
        await kept(handle)
        await until(handle, lambda _: (world.watched_from or 0) < 0)
        await cancel(handle, beside=1)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert [update.status for update in world.done("statuspage.update")] == ["Investigating", "Monitoring"]
    assert any("tell them by hand" in post.text for post in world.done("slack.post"))
    assert world.done("mail.send") == []


async def test_back_on_its_data_and_unwell_it_is_not_called_available(working: Working, client: Client) -> None:
    world = DamagedWorld()
    world.healthy = False
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await decides(handle, "switch", "keep")
        await handle.result()
    assert [update.status for update in world.done("statuspage.update")] == ["Investigating", "Monitoring"]
    assert any("that entry is yours" in page.summary for page in world.done("paging.page"))
