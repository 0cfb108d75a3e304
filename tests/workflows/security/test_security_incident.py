"""SecurityIncident with the time-skipping server: evidence before anything goes, and nothing goes by one person."""

import pytest
from temporalio.client import Client, WorkflowFailureError

from tests.workflows.conftest import Working
from tests.workflows.security.incidents import FINDINGS, NAME, REQUEST
from tests.workflows.steering import begin, cancel, cause, told, waiting_for
from tests.workflows.worlds.breached import Breached
from workflows.security.security_incident import SecurityIncidentRequest


async def test_what_was_found_reaches_the_record_alone(working: Working, client: Client) -> None:
    world = Breached(channel="#closed")
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await handle.result()
        timeline = await told(handle)
        described = await handle.describe()
    (record,) = world.done("security_incidents.open")
    assert record.findings == FINDINGS
    posts, pages = world.done("slack.post"), world.done("paging.page")
    assert {post.channel for post in posts} == {"#closed"}
    for text in (timeline, str(posts), str(pages), str(described.search_attributes)):
        assert "xmrig" not in text


async def test_a_cancelled_run_gives_nobody_the_network_back(working: Working, client: Client) -> None:
    world = Breached()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await waiting_for(handle, "decide drain-1")
        await cancel(handle)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        assert "It stays: node-a cordoned" in await told(handle)
    assert world.cordoned
    assert world.done("isolation.lift") == []
    assert [request.outcome for request in world.done("security_incidents.close")] == ["cancelled"]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"nodes": ["nowhere"]}, "not found"),
        ({"aware_at": "2199-01-01T00:00:00Z"}, "in the future"),
    ],
)
async def test_bad_input_changes_nothing(working: Working, client: Client, fields: dict[str, object], why: str) -> None:
    world = Breached()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, SecurityIncidentRequest.model_validate(fields), NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert why in cause(failed.value).message
    assert world.effects == []


@pytest.mark.parametrize("fields", [{"nodes": ["node-a", "node-a"]}, {"pods": ["Über"]}, {"severity": "mild"}])
def test_input_that_cannot_be_meant_is_refused_before(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"twice|letters|critical"):
        SecurityIncidentRequest.model_validate(fields)


async def test_a_plan_says_what_it_would_do(working: Working, client: Client) -> None:
    world = Breached()
    async with working(world.activities()) as queue:
        request = REQUEST.model_copy(update={"dry_run": True})
        handle = await begin(client, queue, request, NAME)
        result = await handle.result()
        timeline = await told(handle)
    assert result["outcome"] == "planned"
    assert world.effects == []
    assert "would ask two persons" in timeline
    assert "A drain stops at tensafe/bare" in timeline
