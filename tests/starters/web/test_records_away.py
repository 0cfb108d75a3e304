"""The operators' page while the records' PostgreSQL is stopped, and when it is back, in a real browser."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Browser, expect

from activities.catalogue.service import ApprovalPolicy, IncidentPolicy
from sandbox.temporal import Temporal
from tests.plugins.patience import HANGS
from tests.records_schema.own_server import OwnPostgres, migrated
from tests.starters.web.served import Served, keys, serving
from tests.starters.web.views import entered, finds_nothing, unfolded
from tests.workflows.steering import begin, until
from tests.workflows.worlds.platform import Platform
from workflows.incident_response.p1_incident import P1Request
from workflows.scaling.emergency_scale_up import EmergencyScaleUpRequest

pytestmark = [pytest.mark.timeout(600), pytest.mark.servers]
SAYS = re.compile("The records don't answer, since")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnPostgres]:
    with migrated(tmp_path_factory.mktemp("own-postgres")) as own:
        yield own


@pytest.fixture(scope="module")
async def served(own_temporal: Temporal, records: OwnPostgres) -> AsyncIterator[Served]:
    key, public = keys()
    world = Platform()
    world.service = world.service.model_copy(update={"incident": IncidentPolicy(mitigation="approve")})
    world.approvals = ApprovalPolicy(public_keys=(public,))
    async with serving(own_temporal.address, records.url(), world, key) as page:
        yield page


async def test_now_says_what_it_can_not_know_and_shows_what_temporal_knows(
    browser: Browser,
    served: Served,
    records: OwnPostgres,
) -> None:
    served.world.bad_release()
    handle = await begin(served.client, served.queue, P1Request(title="The API answers with errors"), "p1_incident")
    told = await until(handle, lambda now: bool(now.questions))
    troubles: list[str] = []
    ada = await entered(browser, served, "ada", "commander", troubles)
    says, row = ada.locator("#records .notice"), ada.locator("#open .row", has_text=told.incident_id)
    await expect(row).to_have_count(1)
    await expect(says).to_have_count(0)

    await asyncio.to_thread(records.stop)
    await expect(says).to_contain_text(SAYS)
    await expect(says).to_contain_text("comes from Temporal alone")
    await expect(row).to_contain_text("waits for")
    await finds_nothing(ada)
    # What begins meanwhile is there too, and can be steered; whoever comes now is told at once.
    second = await begin(served.client, served.queue, EmergencyScaleUpRequest(), "emergency_scale_up")
    await expect(ada.locator("#open .row", has_text=second.id)).to_have_count(1)
    bo = await entered(browser, served, "bo", "commander", troubles)
    await expect(bo.locator("#records .notice")).to_contain_text(SAYS)
    await bo.goto(f"{served.base_url}/run?id={handle.id}")
    await unfolded(bo, "note")
    await bo.locator("#w-note-text").fill("said without the records")
    await bo.get_by_role("button", name="Note").click()
    await expect(bo.locator("#said .good")).to_be_visible()
    # Nobody knows now whether the archive has a run that Temporal hasn't.
    async with served.signed_in() as http:
        record = await http.get("/record", params={"id": "p1-incident/long-ago"})
        assert record.status_code == 503, record.text
        assert "whether the archive has it is not known now" in record.text

    await asyncio.to_thread(records.start)
    await expect(says).to_have_count(0)
    await expect(row).to_have_count(1)
    async with served.signed_in() as http:
        async with asyncio.timeout(HANGS):
            while (await http.get("/record", params={"id": "p1-incident/long-ago"})).status_code != 404:
                await asyncio.sleep(0.5)
    for each in (handle, second):
        await each.terminate("the test has seen enough")
    assert troubles == [], troubles
    for page in (ada, bo):
        await page.context.close()


async def test_with_temporal_away_too_now_promises_neither_the_archive_nor_a_public_page_of_now() -> None:
    key, _ = keys()
    gone = "postgresql://nobody@127.0.0.1:1/records"
    async with (
        serving("127.0.0.1:1", gone, Platform(), key, work=False) as page,
        page.signed_in() as http,
        asyncio.timeout(HANGS),
    ):
        while "Temporal does not either" not in (now := (await http.get("/")).text):
            await asyncio.sleep(0.2)
        assert "What still works" not in now
        assert "with its last state" in now
