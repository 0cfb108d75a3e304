"""Customers who used it since are told, once each, where that is wanted."""

from datetime import timedelta

from temporalio.client import Client

from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.restore.restores import NAME, TARGET, decides, request
from tests.workflows.steering import begin
from tests.workflows.worlds.damaged import DamagedWorld


async def test_customers_who_used_it_since_are_told_once_each(working: Working, client: Client) -> None:
    world = DamagedWorld()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(forensics=timedelta(0), message="Please look."), NAME)
        await decides(handle, "switch", "switch")
        result = await handle.result()
    mails = world.done("mail.send")
    assert sorted(mail.to for mail in mails) == ["it@acme.example", "it@initech.example"]
    assert {mail.template for mail in mails} == {"data_restored"}
    assert mails[0].values["message"] == "Please look."
    assert f"{TARGET:%Y-%m-%d %H:%M:%S}" in mails[0].values["since"]
    assert result["customers_told"] == 2
    assert [update.status for update in world.done("statuspage.update")] == ["Investigating", "Resolved"]


async def test_nobody_is_written_to_where_that_is_not_wanted(working: Working, client: Client) -> None:
    world = DamagedWorld(notify_customers=False)
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(forensics=timedelta(0)), NAME)
        await decides(handle, "switch", "switch")
        await handle.result()
    assert not world.done("mail.send")
