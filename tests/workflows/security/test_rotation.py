"""What a security incident rotates, in which order, and by whose word."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from activities.catalogue.database import DatabasePolicy, ServerPolicy
from tests.workflows.conftest import Working
from tests.workflows.steering import Handle, begin, cancel, cause, told, until
from tests.workflows.worlds.breached import ROTATABLE, Breached
from workers.registry import PROCEDURES, SYSTEM
from workflows.platform.approval import Decision
from workflows.security.api_key_rotation import ApiKeyRotation, ApiKeyRotationRequest, ApiKeyRotationResult
from workflows.security.security_incident import SecurityIncident, SecurityIncidentRequest

NAME = "security_incident"
REQUEST = SecurityIncidentRequest(nodes=["node-a"])


@workflow.defn(name="ApiKeyRotation")
class KeyChanged:
    """In the place of 8.2: `acme` has a key to replace, nobody else has."""

    @workflow.run
    async def run(self, request: ApiKeyRotationRequest) -> ApiKeyRotationResult:
        assert request.compromised
        if request.tenant_id != "acme":
            raise ApplicationError("there is no key to rotate", type="Refused", non_retryable=True)
        return ApiKeyRotationResult(tenant_id="acme", old_key="tsk_a", new_key="tsk_b", rotated=True)


@pytest.fixture
def workflow_types() -> Sequence[type]:
    others = [*(known.workflow for known in PROCEDURES), *(known.workflow for known in SYSTEM)]
    return [KeyChanged, *(one for one in others if one is not ApiKeyRotation)]


async def says(handle: Handle, who: str, question: str, choice: str) -> None:
    word = Decision(who=who, role="security", question=question, choice=choice, reason="it may be known")
    await handle.execute_update(SecurityIncident.decide, word)


async def asked(handle: Handle, question: str) -> Any:
    status = await until(handle, lambda status: any(each.id == question for each in status.questions))
    return next(each for each in status.questions if each.id == question)


async def ends(handle: Handle) -> dict[str, Any]:
    """Answer what else is asked."""
    await asked(handle, "drain-1")
    await says(handle, "ada", "drain-1", "leave")
    await asked(handle, "return")
    await says(handle, "ada", "return", "leave")
    await asked(handle, "legal")
    await says(handle, "ada", "legal", "none")
    result: dict[str, Any] = await handle.result()
    return result


def order(world: Breached) -> list[str]:
    """Give what was done to credentials and to who reads them."""
    shown = []
    for name, request in world.effects:
        if name.startswith("credentials."):
            shown.append(f"{name.removeprefix('credentials.')} {request.name}")
        elif name == "kubernetes.restart_rollout":
            shown.append(f"restart {request.deployment}")
    return shown


async def test_all_takes_two_and_every_reader_knows_the_new_before_the_old_ends(
    working: Working, client: Client
) -> None:
    world = Breached(credentials=ROTATABLE)
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        question = await asked(handle, "rotate-1")
        assert list(question.options) == ["login", "signing", "all", "none"]
        await says(handle, "ada", "rotate-1", "all")
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await says(handle, "ada", "rotate-1", "all")
        assert "second person" in str(refused.value.cause)
        assert order(world) == []
        await says(handle, "bob", "rotate-1", "all")
        result = await ends(handle)
    assert order(world)[:2] == ["introduce signing", "restart tensafe-server"]
    assert sorted(order(world)[2:4]) == ["switch login", "switch signing"]
    assert order(world)[4:6] == ["restart tensafe-server", "restart worker"]
    assert sorted(order(world)[6:8]) == ["retire login", "retire signing"]
    assert order(world)[8:] == ["restart tensafe-server"]
    retired = {request.name: request.retired for request in world.done("credentials.retire")}
    assert retired == {"login": "the old login", "signing": "the old signing"}
    assert result["credentials"] == {"login": "rotated", "signing": "rotated"}
    report = next(d for d in world.done("evidence.store_document") if d.name == "audit-report.json")
    assert json.loads(report.content)["credentials"] == result["credentials"]


async def test_the_login_s_servers_and_the_secrets_of_all_of_them_are_named(working: Working, client: Client) -> None:
    world = Breached(credentials=ROTATABLE)
    servers = {
        "primary": ServerPolicy(secret="db-primary"),
        "replica-1": ServerPolicy(secret="db-replica-1"),
        "spare-1": ServerPolicy(secret="db-spare-1", spare=True),
    }
    database = DatabasePolicy(name="main", secret="database", servers=servers)
    world.service = world.service.model_copy(update={"database": database})
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST.model_copy(update={"rotate": ["login"]}), NAME)
        await asked(handle, "rotate-1")
        await says(handle, "ada", "rotate-1", "login")
        await asked(handle, "rotate-2")
        await says(handle, "ada", "rotate-2", "none")
        await ends(handle)
    (switched,), (retired,) = world.done("credentials.switch"), world.done("credentials.retire")
    assert (switched.copies, switched.spares) == (["db-primary", "db-replica-1"], ["db-spare-1"])
    assert retired.servers == ["primary", "replica-1"]


async def test_one_takes_one_person_and_the_rest_is_asked_about_again(working: Working, client: Client) -> None:
    world = Breached(credentials=ROTATABLE)
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST.model_copy(update={"rotate": ["login"]}), NAME)
        question = await asked(handle, "rotate-1")
        assert question.recommended == "login"
        await says(handle, "ada", "rotate-1", "login")
        assert list((await asked(handle, "rotate-2")).options) == ["signing", "all", "none"]
        await says(handle, "ada", "rotate-2", "none")
        result = await ends(handle)
    assert order(world) == ["switch login", "restart tensafe-server", "restart worker", "retire login"]
    assert result["credentials"] == {"login": "rotated", "signing": "not rotated"}


async def test_nothing_is_ended_where_a_reader_does_not_come_up(working: Working, client: Client) -> None:
    world = Breached(credentials=ROTATABLE)
    world.stuck = True
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await asked(handle, "rotate-1")
        await says(handle, "ada", "rotate-1", "login")
        question = await asked(handle, "rotate-2")
        assert "the old one still counts" in str(question.evidence)
        assert order(world) == ["switch login", "restart tensafe-server"]
        world.stuck = False
        await says(handle, "ada", "rotate-2", "login")  # goes on where it was
        await asked(handle, "rotate-3")
        await says(handle, "ada", "rotate-3", "none")
        result = await ends(handle)
    assert order(world)[2:] == ["restart tensafe-server", "restart worker", "retire login"]
    assert result["credentials"]["login"] == "rotated"
    assert len(world.done("paging.page")) >= 2


async def test_who_still_uses_the_old_one_is_thrown_out_by_a_word_alone(working: Working, client: Client) -> None:
    world = Breached(credentials=ROTATABLE)
    world.uses = ["2 × nightly job from 10.0.0.7"]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await asked(handle, "rotate-1")
        await says(handle, "ada", "rotate-1", "login")
        question = await asked(handle, "end-2")
        assert question.evidence == world.uses
        await says(handle, "ada", "end-2", "leave")
        await asked(handle, "rotate-3")
        assert "retire login" not in order(world)
        await says(handle, "ada", "rotate-3", "none")
        result = await ends(handle)
    assert result["credentials"]["login"] == "the new one is in use, and the old one still counts"


async def test_what_can_not_be_rotated_is_said_and_not_offered(working: Working, client: Client) -> None:
    world = Breached(credentials=ROTATABLE)
    world.problems = {"login": ["b is in use: 1 × psql from 10.0.0.9"]}
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        assert list((await asked(handle, "rotate-1")).options) == ["signing", "all", "none"]
        await says(handle, "ada", "rotate-1", "none")
        await ends(handle)
        assert "login can't be rotated by this run: b is in use" in await told(handle)
    assert order(world) == []


async def test_nobody_answering_rotates_nothing(working: Working, client: Client) -> None:
    world = Breached(credentials=ROTATABLE)
    async with working(world.activities()) as queue:
        result = await (await begin(client, queue, REQUEST, NAME)).result()
    assert order(world) == []
    assert result["credentials"] == {"login": "not rotated", "signing": "not rotated"}


async def test_leaked_keys_of_customers_are_replaced_by_runs_of_their_own(working: Working, client: Client) -> None:
    world = Breached()
    request = REQUEST.model_copy(update={"tenants": ["acme", "other"]})
    async with working(world.activities()) as queue:
        result = await (await begin(client, queue, request, NAME)).result()
    assert result["credentials"] == {
        "API key of acme": "rotated",
        "API key of other": "not rotated: there is no key to rotate",
    }


async def test_a_cancelled_run_says_what_is_half_done(working: Working, client: Client) -> None:
    world = Breached(credentials=ROTATABLE)
    world.uses = ["1 × a job from 10.0.0.7"]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await asked(handle, "rotate-1")
        await says(handle, "ada", "rotate-1", "login")
        await asked(handle, "end-2")
        await cancel(handle)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        assert "login: the new one is in use, and the old one still counts" in await told(handle)
    assert "retire login" not in order(world)


async def test_an_unknown_credential_is_refused_before_anything_is_done(working: Working, client: Client) -> None:
    world = Breached(credentials=ROTATABLE)
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST.model_copy(update={"rotate": ["nothing"]}), NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert "they have: login, signing" in cause(failed.value).message
    assert world.effects == []


async def test_a_plan_goes_through_every_phase_and_changes_nothing(working: Working, client: Client) -> None:
    world = Breached(credentials=ROTATABLE)
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST.model_copy(update={"dry_run": True}), NAME)
        await handle.result()
        timeline = await told(handle)
    assert world.effects == []
    for phase in ("Introduce signing: would", "Switch login: would", "End the old login: would"):
        assert phase in timeline
