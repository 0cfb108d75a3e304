"""One cause, several services: their incidents know of each other, and nobody restarts what others have broken."""

import asyncio

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from activities.catalogue.degradation import DegradationPolicy
from activities.catalogue.recovery import Component
from activities.records.alerts import Alert
from tests.company.pods import pod
from tests.plugins.patience import HANGS
from tests.workflows.conftest import Working
from tests.workflows.incident_response.p1.runs import CLOSING, abandon, start, texts, until
from tests.workflows.steering import comes, quiet, status_of
from tests.workflows.steering import until as reached
from tests.workflows.worlds.neighbours import DEPENDENCY, Neighbours
from workflows.incident_response.p1_incident import P1Incident, P1Request, P1Result
from workflows.platform.run_status import RunStatus

P1Handle = WorkflowHandle[P1Incident, P1Result]
ASKED = "decide mitigation-1"


def down(service: str) -> P1Request:
    return P1Request(service=service, alert=Alert(**{**pod(1).model_dump(), "fingerprint": service}))


async def linked(handle: P1Handle, number: int) -> RunStatus:
    """Wait until a run knows of so many other incidents."""
    return await reached(handle, lambda status: texts(status).count("is open too") >= number)


async def test_a_database_down_under_three_services(working: Working, client: Client) -> None:
    world = Neighbours(database=True, api={}, billing={"namespace": "billing"}, search={"namespace": "search"})
    world.database_down = True
    world.break_down()  # their pods crash-loop, which alone would be restarted at once
    async with working(world.activities()) as queue:
        runs = {name: await start(client, queue, down(name)) for name in world.services}
        seen = {name: await linked(run, 2) for name, run in runs.items()}
        for name, run in runs.items():
            status = await until(run, ASKED)
            (question,) = status.questions
            assert question.recommended == question.default == "none"
            assert any("database-failover (7.1)" in line for line in question.evidence)
            assert "It points to database (suspected): database: primary doesn't answer" in texts(status)
            for other in runs.keys() - {name}:
                assert f"{seen[other].incident_id} of {other} is open too" in texts(seen[name])

        def linking(effect: str) -> list[str]:
            return [request.text for request in world.done(effect) if "is open too" in request.text]

        await comes(lambda: len(linking("slack.post")) >= 6 <= len(linking("records.note_incident")), "six links")
        for run in runs.values():
            await quiet(run)
        told, notes = linking("slack.post"), linking("records.note_incident")
        assert len(told) == 6, "each commander hears of each other incident once"
        assert all("in common: database tensafe" in text and "commander oncall@" in text for text in told)
        assert len(notes) == 6
        assert not [name for name, _ in world.effects if name.startswith("kubernetes.")]
        for run in runs.values():
            await abandon(run)


async def test_it_is_internal(working: Working, client: Client) -> None:
    world = Neighbours(api={}, billing={})
    world.break_down()
    async with working(world.activities()) as queue:
        first, second = [await start(client, queue, down(name)) for name in world.services]
        for run in (first, second):
            await linked(run, 1)
            await until(run, "close")
            await run.execute_update(P1Incident.close, CLOSING)
            assert (await run.result()).reasons in (["crashing"], [])
    public = [f"{one.title} {one.message}" for one in world.done("statuspage.update")]
    assert public
    assert not any("billing" in text or "api" in text for text in public)
    drafts = [one.content for one in world.done("evidence.store_document") if one.name == "post-mortem.md"]
    assert len(drafts) == 2
    assert all("in common: namespace tensafe" in draft for draft in drafts), "it is in the evidence"


async def test_what_has_nothing_in_common_is_not_linked(working: Working, client: Client) -> None:
    world = Neighbours(api={}, billing={"namespace": "billing"})
    world.break_down()
    async with working(world.activities()) as queue:
        first, second = [await start(client, queue, down(name)) for name in world.services]
        for run in (first, second):
            await until(run, "close")
            assert "is open too" not in texts(await run.query(P1Incident.status))
            await abandon(run)


@pytest.mark.parametrize(("where", "common"), [("node-7", "node node-7"), ("node-8", "")])
async def test_pods_on_one_node_are_something_in_common(
    working: Working, client: Client, where: str, common: str
) -> None:
    world = Neighbours(api={}, billing={"namespace": "billing"})
    world.nodes = {"api": "node-7", "billing": where}
    world.healthy, world.ready = False, 0
    async with working(world.activities()) as queue:
        first = await start(client, queue, down("api"))
        await until(first, ASKED)
        second = await start(client, queue, down("billing"))
        await until(second, ASKED)
        if common:
            assert f"in common: {common}. The cause" in texts(await linked(first, 1))
            await linked(second, 1)
        else:
            for run in (first, second):
                await quiet(run)
                assert "is open too" not in texts(await status_of(run))
        for run in (first, second):
            await abandon(run)


async def test_the_records_are_asked_again_once_they_answer(working: Working, client: Client) -> None:
    world = Neighbours(api={}, billing={})
    world.healthy = False
    async with working(world.activities()) as queue:
        first = await start(client, queue, down("api"))
        await until(first, ASKED)
        world.down.add("records.open_incidents")
        second = await start(client, queue, down("billing"))
        await until(second, ASKED)
        world.down.clear()
        world.healthy = True
        await second.signal("alerts", [pod(1, status="resolved").model_copy(update={"fingerprint": "billing"})])
        await until(second, "close")
        world.healthy = False
        await second.signal("alerts", [pod(2)])
        await linked(second, 1)
        for run in (first, second):
            await abandon(run)


async def test_a_dependency_that_is_down_stops_rollback_and_restart(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    needs = DegradationPolicy(dependencies={"payments": Component(health_url=DEPENDENCY)})
    world = Neighbours(api={"degradation": needs})
    world.bad_release()
    world.dependency_down = True
    async with working(world.activities()) as queue:
        handle = await start(client, queue, down("api"))
        status = await until(handle, ASKED)
        assert status.questions[0].recommended == "none"
        assert "It points to dependency (suspected): payments: unhealthy" in texts(status)
        while not any(":mag:" in post.text for post in world.done("slack.post")):
            await asyncio.sleep(0.02)
        (told,) = [post.text for post in world.done("slack.post") if ":mag:" in post.text]
        assert "Nothing is restarted or rolled back by itself. What mends it: bring what it needs back" in told
        # It is back, and the release is bad all the same: now it is plain.
        world.dependency_down = False
        await handle.signal("alerts", [pod(1, status="resolved").model_copy(update={"fingerprint": "api"})])
        # A round that has looked for less than a minute has a pause behind it.
        async with asyncio.timeout(HANGS):
            while (status := await handle.query(P1Incident.status)).waiting_for != "close":
                await time_skipping.sleep(world.service.incident.reminder)
        assert status.outcome == ""
        await handle.execute_update(P1Incident.close, CLOSING)
        ended = await handle.result()
    assert (ended.mitigations, ended.reasons) == (["rollback"], ["dependency", "bad_release"])


async def test_a_dependency_of_a_healthy_service_is_not_asked(working: Working, client: Client) -> None:
    needs = DegradationPolicy(dependencies={"payments": Component(health_url=DEPENDENCY)})
    world = Neighbours(api={"degradation": needs})
    async with working(world.activities()) as queue:
        handle = await start(client, queue, down("api"))
        status = await until(handle, "close")
        assert "payments" not in texts(status)
        await handle.execute_update(P1Incident.close, CLOSING)
        assert (await handle.result()).reasons == []
