"""SecurityIncident with the time-skipping server: evidence before anything goes, and nothing goes by one person."""

import json
from datetime import timedelta

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError

from tests.workflows.conftest import Working
from tests.workflows.steering import Handle, begin, cancel, cause, told, until, waiting_for
from tests.workflows.worlds.breached import Breached, pod
from workflows.platform.approval import Decision
from workflows.security.security_incident import SecurityIncident, SecurityIncidentRequest

NAME = "security_incident"
FINDINGS = "Unknown process xmrig in one pod"
REQUEST = SecurityIncidentRequest(nodes=["node-a"], initial_findings=FINDINGS)


async def says(handle: Handle, who: str, question: str, choice: str, reason: str = "") -> None:
    word = Decision(who=who, role="security", question=question, choice=choice, reason=reason)
    await handle.execute_update(SecurityIncident.decide, word)


async def both_say(handle: Handle, question: str, choice: str) -> None:
    await waiting_for(handle, f"decide {question}")
    await says(handle, "ada", question, choice, "the evidence is kept")
    await says(handle, "bob", question, choice, "so it is")


async def test_evidence_is_safe_before_two_persons_have_anything_moved(working: Working, client: Client) -> None:
    world = Breached()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        status = await waiting_for(handle, "decide drain-1")
        assert world.order == ["isolate", "keep", "verify"]
        (question,) = status.questions
        assert question.two_persons
        assert "no controller brings it back" in str(question.evidence)
        await says(handle, "ada", "drain-1", "force", "the evidence is kept")
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await says(handle, "ada", "drain-1", "force", "me again")
        assert "second person" in str(refused.value.cause)
        assert world.done("draining.evict") == []
        await says(handle, "bob", "drain-1", "force", "so it is")
        await waiting_for(handle, "decide return")
        assert world.cordoned
        await says(handle, "ada", "return", "uncordon")
        result = await handle.result()
    assert (result["outcome"], result["nodes"], result["moved"], result["left"]) == ("contained", "uncordon", 2, [])
    assert not world.cordoned
    assert world.order == ["isolate", "keep", "verify", "evict"]
    kept = {ref.uid for request in world.done("forensics.keep") for ref in request.pods}
    assert {ref.uid for request in world.done("draining.evict") for ref in request.pods} <= kept


async def test_what_would_be_lost_stays_unless_it_is_forced(working: Working, client: Client) -> None:
    world = Breached()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await both_say(handle, "drain-1", "drain")
        status = await waiting_for(handle, "decide drain-2")
        assert list(status.questions[0].options) == ["force", "leave"]
        await says(handle, "ada", "drain-2", "leave")
        await waiting_for(handle, "decide return")
        await says(handle, "ada", "return", "replace")
        result = await handle.result()
    assert (result["outcome"], result["moved"], result["nodes"]) == ("isolated", 1, "replace")
    assert "bare" in result["left"][0]
    assert world.cordoned


async def test_who_blocks_is_named_and_asked_about(working: Working, client: Client) -> None:
    world = Breached()
    world.budget = "blocked by PodDisruptionBudget careful (2 healthy, needs 2)"
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await both_say(handle, "drain-1", "force")
        status = await waiting_for(handle, "decide drain-2")
        assert "careful" in str(status.questions[0].evidence)
        world.budget = ""
        await both_say(handle, "drain-2", "force")
        result = await handle.result()
    assert (result["outcome"], result["nodes"]) == ("contained", "leave")
    assert world.cordoned


async def test_a_pod_that_came_since_goes_only_when_its_evidence_is_kept(working: Working, client: Client) -> None:
    world = Breached()
    world.arrives = [pod("late")]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await both_say(handle, "drain-1", "force")
        await waiting_for(handle, "decide return")
        await says(handle, "ada", "return", "leave")
        result = await handle.result()
    assert world.order == ["isolate", "keep", "verify", "keep", "verify", "evict"]
    assert len(result["manifests"]) == 2
    assert result["moved"] == 3


async def test_evidence_that_does_not_verify_moves_nothing(working: Working, client: Client) -> None:
    world = Breached()
    world.verifies = False
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await waiting_for(handle, "decide evidence-1")
        await says(handle, "ada", "evidence-1", "leave")
        await waiting_for(handle, "decide return")
        await says(handle, "ada", "return", "leave")
        result = await handle.result()
        assert "does NOT verify" in await told(handle)
    assert result["outcome"] == "isolated"
    assert world.done("draining.evict") == []


async def test_nobody_answering_leaves_everything_held(working: Working, client: Client) -> None:
    world = Breached()
    async with working(world.activities()) as queue:
        result = await (await begin(client, queue, REQUEST, NAME)).result()
    assert (result["outcome"], result["nodes"]) == ("isolated", "leave")
    assert world.cordoned
    assert world.isolated
    assert world.done("draining.evict") == []
    assert len(world.done("paging.page")) >= 3


async def test_legal_clocks_run_from_when_people_became_aware(working: Working, client: Client) -> None:
    world = Breached()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await waiting_for(handle, "decide drain-1")
        await says(handle, "ada", "drain-1", "leave")
        await waiting_for(handle, "decide return")
        await says(handle, "ada", "return", "leave")
        status = await waiting_for(handle, "decide legal")
        await says(handle, "ada", "legal", "both")
        status = await until(handle, lambda status: len(status.questions) == 2)
        due = {question.id: question.timeout for question in status.questions}
        assert timedelta(hours=71) < due["gdpr"] < timedelta(hours=72)
        assert timedelta(days=59) < due["hipaa"] < timedelta(days=60)
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await says(handle, "ada", "gdpr", "notified")
        assert "reason" in str(refused.value.cause)
        await says(handle, "ada", "gdpr", "notified", "by the portal, at noon")
        result = await handle.result()  # nobody answers for HIPAA
        timeline = await told(handle)
    assert result["duties"]["gdpr"] == "notified (ada (security))"
    assert result["duties"]["hipaa"] == "not-answered (no answer)"
    kept = [document.name for document in world.done("evidence.store_document")]
    assert sorted(kept) == [
        "audit-report.json",
        "audit-report.md",
        "duties.json",
        "duty-gdpr.json",
        "duty-hipaa.json",
        "reminder-hipaa-336h.json",
        "reminder-hipaa-720h.json",
        "reminder-hipaa-72h.json",
    ]
    assert "hipaa: not-answered (no answer), after it was due" in timeline


async def test_no_duty_counts_only_with_a_reason(working: Working, client: Client) -> None:
    world = Breached()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await waiting_for(handle, "decide drain-1")
        await says(handle, "ada", "drain-1", "leave")
        await waiting_for(handle, "decide return")
        await says(handle, "ada", "legal", "none", "no personal data on that node")
        await says(handle, "ada", "return", "uncordon")
        result = await handle.result()
    assert result["duties"] == {}
    report = next(d for d in world.done("evidence.store_document") if d.name == "audit-report.json")
    content = json.loads(report.content)
    assert content["answers"]["legal"]["reason"] == "no personal data on that node"
    assert content["not done"]
    assert content["nodes"] == {"node-a": "uncordon"}


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
