"""The operators' page in company: tabs, people, sessions that end, runs that end, servers that come back, zones."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect
from pydantic import SecretStr
from temporalio.common import WorkflowIDConflictPolicy

from activities.catalogue.run_ids import run_id
from activities.catalogue.service import ApprovalPolicy, IncidentPolicy
from sandbox.ports import free_port
from sandbox.temporal import Temporal
from tests.browsers import new_tab
from tests.starters.web.served import Served, keys, serving
from tests.starters.web.views import entered, finds_nothing, unfolded
from tests.workflows.steering import Handle, until
from tests.workflows.worlds.platform import Platform
from workers.settings import WebSettings
from workflows.incident_response.p1_incident import P1Request
from workflows.scaling.emergency_scale_up import EmergencyScaleUpRequest

pytestmark = pytest.mark.timeout(600)
KEY, PUBLIC = keys()
ANOTHER = "tensafe-server"
ODD = "päy & go/“x” <b>?%2e#1"
TABS = 8
"""More than the six connections that a browser opens to a server."""


def world_of(*two_persons: str) -> Platform:
    world = Platform()
    world.service = world.service.model_copy(update={"incident": IncidentPolicy(mitigation="approve")})
    world.others[ODD] = world.service
    world.approvals = ApprovalPolicy(public_keys=(PUBLIC,), second_person=two_persons)
    return world


@pytest.fixture(scope="module")
async def served(own_temporal: Temporal, create_database: Any, records_template: str) -> AsyncIterator[Served]:
    url = create_database(records_template)
    async with serving(own_temporal.address, url, world_of("mitigate"), KEY, service=ODD) as page:
        yield page


@pytest.fixture
async def incident(served: Served) -> AsyncIterator[Handle]:
    """One that asks what to do."""
    served.world.bad_release()
    handle = await opened(served, ODD)
    yield handle
    await ended(handle)


async def opened(served: Served, service: str) -> Handle:
    """Begin an incident of a service as all starters do, under the ID that its alerts join."""
    handle = await served.client.start_workflow(
        "P1Incident",
        P1Request(service=service),
        id=run_id("p1-incident", service),
        task_queue=served.queue,
        id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING,
    )
    await until(handle, lambda now: bool(now.questions))
    return handle


async def ended(handle: Handle) -> None:
    description = await handle.describe()
    if description.close_time is None:
        await handle.terminate("the test has seen enough")


def shown(page: Page) -> Any:
    return page.locator("#said")


async def test_two_tabs_of_one_person_are_one_person(browser: Browser, served: Served, incident: Handle) -> None:
    first = await entered(browser, served, "ada", "commander", [])
    second = await first.context.new_page()
    for tab in (first, second):
        await tab.goto(f"{served.base_url}/run?id={incident.id}")
    await second.get_by_label("Reason").first.fill("the same person")
    await first.get_by_role("button", name="rollback").click()
    await expect(shown(first)).to_contain_text("needs a second person")
    await expect(second.locator("#part-questions")).to_contain_text("ada (commander) has said")
    await second.get_by_role("button", name="rollback").click()
    await expect(shown(second)).to_contain_text("was the first")
    assert await second.get_by_label("Reason").first.input_value() == "the same person"
    (question,) = (await until(incident, lambda now: bool(now.questions))).questions
    assert question.first is not None
    await first.context.close()


async def test_who_signs_in_again_goes_on_with_what_they_have_typed(  # noqa: PLR0917  fixtures
    browser: Browser,
    served: Served,
    incident: Handle,
    own_temporal: Temporal,
    create_database: Any,
    records_template: str,
) -> None:
    url, short = create_database(records_template), WebSettings(session_for=timedelta(seconds=20))
    async with serving(own_temporal.address, url, served.world, KEY, web=short, work=False, service=ODD) as page:
        ada = await entered(browser, page, "ada", "commander", [])
        await ada.goto(f"{page.base_url}/run?id={incident.id}")
        await unfolded(ada, "note")
        typed = ada.locator("#w-note-text")
        await typed.fill("typed before the session had ended")
        await expect(ada.locator("#away")).to_contain_text("Your session has ended")
        await ada.get_by_role("button", name="Note").click()
        await expect(shown(ada)).to_contain_text("Your session has ended")
        assert await typed.input_value() == "typed before the session had ended"

        async def signs_in(who: str) -> None:
            other = await ada.context.new_page()
            await other.goto(page.link(who, "commander"))
            await other.get_by_role("button", name="Sign in").click()
            await expect(other.get_by_role("heading", name="Now")).to_be_visible()
            await other.close()

        # Somebody else at the same browser: what ada has typed isn't said by them.
        await signs_in("bo")
        await ada.get_by_role("button", name="Note").click()
        await expect(shown(ada)).to_contain_text("from another session")
        await ada.context.clear_cookies()
        await ada.context.close()

        ada = await entered(browser, page, "ada", "commander", [])
        await ada.goto(f"{page.base_url}/run?id={incident.id}")
        await unfolded(ada, "note")
        await ada.locator("#w-note-text").fill("typed before it ended, said after")
        await expect(ada.locator("#away")).to_contain_text("Your session has ended")
        await signs_in("ada")
        await ada.get_by_role("button", name="Note").click()
        await expect(shown(ada).locator(".good")).to_be_visible()
        await expect(ada.locator("#away")).to_have_count(0)
        told = await until(incident, lambda now: any("said after" in one.text for one in now.entries))
        assert sum("said after" in one.text for one in told.entries) == 1
        await ada.context.close()


async def test_a_run_that_ends_while_its_form_is_open(browser: Browser, served: Served, incident: Handle) -> None:
    ada = await entered(browser, served, "ada", "commander", [])
    stale = await ada.context.new_page()
    await stale.route("**/live/**", lambda route: route.abort())
    for tab in (ada, stale):
        await tab.goto(f"{served.base_url}/run?id={incident.id}")
        await unfolded(tab, "note")
        await tab.locator("#w-note-text").fill("too late")
    await incident.terminate("somebody ended it")
    await expect(ada.locator("#part-state")).to_contain_text("terminated")
    await expect(ada.locator("#part-words form, #part-questions form")).to_have_count(0)
    await stale.get_by_role("button", name="Note").click()
    await expect(shown(stale)).to_contain_text("terminated")
    await stale.get_by_role("button", name="rollback").click()
    await expect(shown(stale)).to_contain_text("nothing was sent")
    await ada.context.close()


async def test_a_second_incident_comes_while_the_page_is_open(
    browser: Browser,
    served: Served,
    incident: Handle,
) -> None:
    troubles: list[str] = []
    ada = await entered(browser, served, "ada", "commander", troubles)
    mine = ada.locator("#open .mine .row .what")
    await expect(mine).to_have_count(1)
    await expect(ada).to_have_title("Now (1) · Runbooks")
    await mine.first.focus()
    before = await ada.evaluate("document.activeElement.getAttribute('href')")
    second = await opened(served, ANOTHER)
    await expect(mine).to_have_count(2)
    await expect(ada).to_have_title("Now (2) · Runbooks")
    assert await ada.evaluate("document.activeElement.getAttribute('href')") == before, "who goes by keys stays there"
    await ended(second)
    await expect(mine).to_have_count(1)
    assert troubles == []
    await ada.context.close()


async def test_who_is_on_a_run_s_page_is_told_of_another_incident_until_it_ends_or_is_dismissed(
    browser: Browser,
    served: Served,
    incident: Handle,
) -> None:
    troubles: list[str] = []
    ada = await entered(browser, served, "ada", "commander", troubles)
    tab = await ada.context.new_page()
    for page in (ada, tab):
        await page.goto(f"{served.base_url}/run?id={incident.id}")
    region, shows = ada.locator("#part-incidents[aria-live=polite]"), "#part-incidents .other:visible"
    await expect(region).to_have_count(1)
    await expect(ada.locator(shows)).to_have_count(0)
    reason = ada.get_by_label("Reason").first
    await reason.fill("half a sentence")

    second = await opened(served, ANOTHER)
    told = await until(second, lambda now: bool(now.incident_id))
    await expect(ada.locator(shows)).to_have_count(1)
    await expect(ada.locator(shows)).to_contain_text(told.incident_id)
    await expect(ada.locator(shows)).to_contain_text(ANOTHER)
    assert await reason.input_value() == "half a sentence"
    assert await reason.evaluate("one => one === document.activeElement"), "it takes nobody's place"
    await finds_nothing(ada)
    await expect(tab.locator(shows)).to_have_count(1)
    # Its own page tells of the first, and of nothing else.
    await tab.goto(f"{served.base_url}/run?id={second.id}")
    await expect(tab.locator(shows)).to_have_count(1)
    await expect(tab.locator(shows)).not_to_contain_text(told.incident_id)
    # It goes when that incident ends, here one, there none.
    await ended(incident)
    await expect(tab.locator(shows)).to_have_count(0)
    # A page of a run that has ended goes on being told.
    await expect(ada.locator("#part-state")).to_contain_text("terminated")
    await expect(ada.locator(shows)).to_have_count(1)

    # Dismissed by the keyboard: it is gone in every tab, and stays so after a reload.
    await tab.goto(f"{served.base_url}/run?id={incident.id}")
    await expect(tab.locator(shows)).to_have_count(1)
    await ada.get_by_role("button", name=f"Dismiss {told.incident_id}").press("Enter")
    for page in (ada, tab):
        await expect(page.locator(shows)).to_have_count(0)
    for page in (ada, tab):
        await page.reload()
        await expect(page.locator("#part-incidents .other")).to_have_count(1)
        await expect(page.locator(shows)).to_have_count(0)
    # Another one is told of all the same.
    third = await opened(served, ODD)
    await expect(ada.locator(shows)).to_have_count(1)
    await expect(ada.locator(shows)).not_to_contain_text(told.incident_id)
    await ended(third)
    await expect(ada.locator(shows)).to_have_count(0)
    await ended(second)
    assert troubles == []
    await ada.context.close()


async def test_a_page_left_open_goes_on_after_its_server_was_restarted(  # noqa: PLR0917  fixtures
    browser: Browser,
    served: Served,
    incident: Handle,
    own_temporal: Temporal,
    create_database: Any,
    records_template: str,
) -> None:
    url, port, web = create_database(records_template), free_port(), WebSettings(secret=SecretStr("s" * 40))

    def process() -> Any:
        return serving(own_temporal.address, url, served.world, KEY, web=web, work=False, port=port, service=ODD)

    async with process() as page:
        ada = await entered(browser, page, "ada", "commander", [])
        now = await ada.context.new_page()
        await now.goto(page.base_url)
        await ada.clock.install()
        await ada.goto(f"{page.base_url}/run?id={incident.id}")
        await unfolded(ada, "note")
        await ada.locator("#w-note-text").fill("typed before the restart")
        await expect(now.locator("#open .mine .row")).to_have_count(1)
    await expect(ada.locator("#away")).to_contain_text("lost its server")
    await expect(now.locator("#away")).to_contain_text("lost its server")
    await ada.clock.fast_forward("01:00:00")
    second = await opened(served, ANOTHER)
    async with process():
        await expect(ada.locator("#away")).to_have_count(0)
        await expect(now.locator("#away")).to_have_count(0)
        await expect(now.locator("#open .mine .row")).to_have_count(2)
        await expect(ada.locator("time.elapsed")).to_contain_text("1:0")
        await ada.get_by_role("button", name="Note").click()
        await expect(shown(ada).locator(".good")).to_be_visible()
        await expect(ada.locator("#part-timeline")).to_contain_text("typed before the restart")
        await ada.context.close()
    await ended(second)


async def test_more_tabs_than_a_browser_opens_connections(browser: Browser, served: Served, incident: Handle) -> None:
    ada = await entered(browser, served, "ada", "commander", [])
    await ada.goto("about:blank")
    tabs = []
    for _ in range(TABS):
        tab = await ada.context.new_page()
        await tab.clock.install()
        await tab.goto(f"{served.base_url}/run?id={incident.id}", wait_until="commit")
        await expect(tab.locator("#picture img").first).to_be_visible()
        await seen(tab, "hidden")
        await tab.clock.fast_forward("00:11")
        tabs.append(tab)
    told = await until(incident, lambda now: bool(now.questions))
    (question,) = told.questions
    await tabs[-1].get_by_role("button", name="rollback").click()
    await expect(shown(tabs[-1])).to_contain_text(f"{question.id}: rollback")
    # The first has not been told, and catches up when it is looked at.
    await expect(tabs[0].locator("#part-questions")).not_to_contain_text("has said rollback")
    await seen(tabs[0], "visible")
    await tabs[0].clock.fast_forward("00:02")
    await expect(tabs[0].locator("#part-questions")).to_contain_text("has said rollback")
    await expect(tabs[0].locator("#away")).to_have_count(0)
    await ada.context.close()


async def seen(tab: Page, how: str) -> None:
    """Have the tab be behind another, or before it: no browser without a screen has one behind."""
    await tab.evaluate(
        "how => { Object.defineProperty(document, 'visibilityState', { value: how, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange')) }",
        how,
    )


async def test_a_pause_that_two_people_end_at_once_ends_once(
    browser: Browser,
    own_temporal: Temporal,
    create_database: Any,
    records_template: str,
) -> None:
    world = world_of()
    async with serving(own_temporal.address, create_database(records_template), world, KEY, service=ODD) as page:
        world.cure("rollback")
        people = [await entered(browser, page, name, "on-call", []) for name in ("ada", "bo")]
        lease = timedelta(seconds=25)
        request = EmergencyScaleUpRequest(service=ODD, lease=lease)
        handle = await page.client.start_workflow(
            "EmergencyScaleUp", request, id=run_id("emergency-scale-up", ODD), task_queue=page.queue
        )
        before = await until(handle, lambda status: status.phase == "Autoscaler paused")
        for one in people:
            await one.goto(f"{page.base_url}/run?id={handle.id}")
        await unfolded(people[0], "extend")
        await people[0].locator("#w-extend-by").fill("20m")
        await people[0].get_by_role("button", name="Extend").click()
        await expect(shown(people[0]).locator(".good")).to_be_visible()
        # The timer of the first end goes off, and resumes nothing.
        await past(people[0], before.leases[0].until.timestamp() + 2)
        assert [name for name, _ in world.effects if name == "autoscalers.release"] == []
        assert (await until(handle, lambda status: bool(status.leases))).leases[0].ended_by == ""

        for one in people:
            await unfolded(one, "resume")
        buttons = [one.get_by_role("button", name="Resume") for one in people]
        await asyncio.gather(*(one.click() for one in buttons))
        await handle.result()
        for one in people:
            await expect(shown(one).locator(".notice")).to_be_visible()
        assert len([name for name, _ in world.effects if name == "autoscalers.release"]) == 1
        for one in people:
            await one.context.close()


async def past(page: Page, moment: float) -> None:
    """Wait until the browser's clock is past a moment."""
    await page.evaluate(
        "at => new Promise(done => { const look = () => Date.now() > at ? done() : setTimeout(look, 100); look() })",
        moment * 1000,
    )


async def test_a_service_with_an_odd_name_is_found_and_started(browser: Browser, served: Served) -> None:
    served.world.bad_release()
    troubles: list[str] = []
    ada = await entered(browser, served, "ada", "commander", troubles)
    await ada.goto(f"{served.base_url}/runbook/p1-incident")
    await ada.locator("#given-service").select_option(ODD)
    await ada.get_by_label("Title").fill("An odd name")
    await ada.get_by_role("button", name="Show what it would do").click()
    await ada.get_by_role("button", name="Start it, as ada (commander)").click()
    await expect(ada.locator("#part-state")).to_contain_text(ODD)
    where = ada.url
    for path in ("/", "/search"):
        await ada.goto(f"{served.base_url}{path}")
        if path == "/search":
            await ada.get_by_label("Service").fill(ODD)
            await ada.get_by_label("State").select_option("open")
        # The plan of a moment ago has the same title, and may still be among them.
        row = ada.locator(".row", has_text="An odd name", has_not=ada.locator(".plan")).first
        await expect(row).to_contain_text(ODD)
        await row.get_by_role("link").click()
        await expect(ada.locator("#part-state")).to_contain_text(ODD)
        assert ada.url == where
    assert troubles == []
    run = ada.locator("input[name=workflow_id]").first
    await served.client.get_workflow_handle(await run.input_value()).terminate("the test has seen enough")
    await ada.context.close()


ZONES = [
    ("Europe/Berlin", "2026-11-30T12:00Z", "2026-10-25T00:30Z", "2026-10-25 02:30 (00:30 UTC)"),
    ("Europe/Berlin", "2026-11-30T12:00Z", "2026-10-25T01:30Z", "2026-10-25 02:30 (01:30 UTC)"),
    ("Europe/London", "2026-11-30T12:00Z", "2026-07-01T09:00Z", "2026-07-01 10:00 (09:00 UTC)"),
    ("Europe/London", "2026-07-01T12:00Z", "2026-01-01T09:00Z", "2026-01-01 09:00 UTC"),
    ("Pacific/Auckland", "2026-07-01T12:00Z", "2026-07-01T13:10Z", "01:10 (2026-07-01 13:10 UTC)"),
    ("Asia/Kathmandu", "2026-07-01T12:00Z", "2026-07-01T11:10Z", "16:55 (11:10 UTC)"),
    ("Australia/Lord_Howe", "2026-04-04T20:00Z", "2026-04-04T15:00Z", "01:30 (2026-04-04 15:00 UTC)"),
    ("Australia/Lord_Howe", "2026-04-04T20:00Z", "2026-04-04T14:30Z", "01:30 (2026-04-04 14:30 UTC)"),
]


@pytest.mark.parametrize(("zone", "now", "moment", "told"), ZONES)
async def test_times_are_right_where_clocks_are_changed(  # noqa: PLR0917  a case
    browser: Browser,
    served: Served,
    zone: str,
    now: str,
    moment: str,
    told: str,
) -> None:
    page = await new_tab(browser, timezone_id=zone)
    await page.clock.install(time=now)
    await page.goto(f"{served.base_url}/sign-in")
    await page.evaluate(
        "at => { document.body.innerHTML = ['short', 'left'].map(form =>"
        " `<time data-form='${form}' datetime='${at}'></time>`).join('') }",
        moment,
    )
    await page.clock.run_for(1100)
    assert await page.locator("time[data-form=short]").text_content() == told
    await page.context.close()


async def test_what_is_left_counts_through_a_change_of_the_clocks(browser: Browser, served: Served) -> None:
    page = await new_tab(browser, timezone_id="Europe/Berlin")
    await page.clock.install(time="2026-03-29T00:50:00Z")  # ten minutes before 02:00 becomes 03:00
    await page.goto(f"{served.base_url}/sign-in")
    await page.evaluate("document.body.innerHTML = `<time data-form='left' datetime='2026-03-29T01:10:00Z'></time>`")
    await page.clock.pause_at("2026-03-29T00:50:30Z")
    assert await page.locator("time").text_content() == "19:30 left"
    await page.clock.fast_forward("15:00")
    assert await page.locator("time").text_content() == "4:30 left"
    assert await page.locator("time").get_attribute("title") == "03:10 (01:10 UTC)"
    await page.context.close()
