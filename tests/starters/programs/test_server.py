"""The catalogue for programs, asked by the SDK's own client."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import tomli_w
from mcp import Client, StdioServerParameters
from pydantic import SecretStr

from activities.catalogue.service import ApprovalPolicy, IncidentPolicy
from starters.programs.server import server
from starters.steering.errors import Refused
from starters.steering.identity import Person
from starters.steering.session import Session
from tests.plugins.patience import HANGS
from tests.starters.support import SERVICE, working
from tests.starters.web.served import keys
from tests.workflows.steering import begin, until
from tests.workflows.worlds.world import World
from workers.clients import connect
from workers.settings import GatewaySettings, Settings, TemporalSettings
from workflows.incident_response.p1_incident import P1Request

ADA = Person("ada", "commander")
READS = {"catalogue", "runs", "search", "status", "commands", "plan"}


@dataclass
class Room:
    session: Session
    world: World
    queue: str


async def room_of(address: str, approvals: ApprovalPolicy, key: SecretStr | None) -> AsyncIterator[Room]:
    queue, world = f"q-{uuid4()}", World(IncidentPolicy(mitigation="approve"), approvals)
    settings = Settings(
        temporal=TemporalSettings(address=address, task_queue=queue),
        services={SERVICE: world.service},
        approvals=approvals,
        gateway=GatewaySettings(private_key=key),
    )
    async with working(address, queue, world):
        yield Room(Session(settings, await connect(settings.temporal)), world, queue)


@pytest.fixture
async def room(temporal_address: str) -> AsyncIterator[Room]:
    key, public = keys()
    async for one in room_of(temporal_address, ApprovalPolicy(public_keys=(public,)), key):
        yield one


async def text_of(client: Client, tool: str, **arguments: Any) -> str:
    answer = await client.call_tool(tool, arguments)
    return f"{'error: ' if answer.is_error else ''}{' '.join(getattr(one, 'text', '') for one in answer.content)}"


async def test_it_only_reads_unless_somebody_signs(room: Room) -> None:
    async with Client(server(room.session, ADA)) as client:
        tools = (await client.list_tools()).tools
        assert {one.name for one in tools} == READS
        assert all(one.annotations and one.annotations.read_only_hint for one in tools)
        assert "error" in await text_of(client, "start", procedure="morning-startup")
        assert "emergency-scale-up" in (told := await text_of(client, "catalogue")) or "EmergencyScaleUp" in told
    unsigned = Session(room.session.settings.model_copy(update={"gateway": GatewaySettings()}), room.session.client)
    with pytest.raises(Refused, match="signature"):
        server(unsigned, ADA, ADA)


async def test_what_a_procedure_would_do_is_told_and_not_done(room: Room) -> None:
    room.world.bad_release()
    async with Client(server(room.session, ADA)) as client:
        told = await text_of(client, "plan", procedure="p1-incident", input={"service": SERVICE, "mitigation": "auto"})
        assert not told.startswith("error"), told
        assert "no procedure" in await text_of(client, "plan", procedure="nothing")
        assert "title" in await text_of(client, "plan", procedure="p1-incident", input={"title": 5})
    assert room.world.effects == []


async def test_an_assistant_answers_what_can_be_taken_back(room: Room) -> None:
    room.world.bad_release()
    handle = await begin(room.session.client, room.queue, P1Request(), "p1_incident")
    (question,) = (await until(handle, lambda status: bool(status.questions))).questions
    said = {"run": handle.id, "question": question.id, "choice": "rollback", "reason": "its pods crash"}
    async with Client(server(room.session, ADA, ADA)) as client:
        assert "mitigate" in await text_of(client, "status", run=handle.id)
        assert "read it again" in await text_of(client, "answer", subject="another", **said)
        told = await text_of(client, "answer", subject=question.subject, **said)
        assert "decided by ada (commander)" in told
        assert "is decided" in await text_of(client, "answer", subject=question.subject, **said)
    await handle.terminate("the test has seen enough")


async def test_each_tool_of_the_process_that_an_assistant_starts(temporal_address: str, tmp_path: Path) -> None:
    key, public = keys()
    async for room in room_of(temporal_address, ApprovalPolicy(public_keys=(public,)), key):
        room.world.bad_release()
        config = tmp_path / "runbooks.toml"
        content = {
            "temporal": {"address": temporal_address, "task_queue": room.queue},
            "services": {SERVICE: room.world.service.model_dump(mode="json", exclude_none=True, exclude={"name"})},
            "approvals": {"public_keys": [public]},
            "gateway": {"private_key": key.get_secret_value()},
        }
        config.write_text(tomli_w.dumps(content), encoding="utf-8")
        process = StdioServerParameters(
            command=sys.executable,
            args=["-m", "starters", "mcp", "--write", "--as", "ada", "--role", "commander"],
            env={**os.environ, "RUNBOOKS_CONFIG": str(config)},
        )
        used: set[str] = set()
        async with Client(process, read_timeout_seconds=120) as client:

            async def ask(tool: str, used: set[str] = used, **arguments: Any) -> str:
                used.add(tool)
                told = await text_of(client, tool, **arguments)
                assert not told.startswith("error"), (tool, told)
                return told

            assert "p1-incident" in await ask("catalogue")
            assert "rollback" in await ask("plan", procedure="p1-incident", input={"service": SERVICE})
            given = {"service": SERVICE, "title": "Told by a program"}
            run = json.loads(await ask("start", procedure="p1-incident", input=given))["workflow_id"]
            handle = room.session.client.get_workflow_handle(run)
            (question,) = (await until(handle, lambda status: bool(status.questions))).questions
            assert question.subject in await ask("status", run=run)
            assert "runbooks approve" in await ask("commands", run=run)
            async with asyncio.timeout(HANGS):  # visibility shows a run a moment later
                while "Told by a program" not in await ask("search", text="told BY a program"):
                    await asyncio.sleep(0.1)
            assert run in await ask("runs", service=SERVICE, waiting=True)
            said = {"run": run, "question": question.id, "subject": question.subject, "choice": "rollback"}
            assert "decided by ada (commander)" in await ask("answer", reason="its pods crash", **said)
            assert used == {one.name for one in (await client.list_tools()).tools}
        await handle.terminate("the test has seen enough")


async def test_what_is_final_stays_with_people(temporal_address: str) -> None:
    key, public = keys()
    approvals = ApprovalPolicy(public_keys=(public,), second_person=("mitigate",))
    async for room in room_of(temporal_address, approvals, key):
        room.world.bad_release()
        handle = await begin(room.session.client, room.queue, P1Request(), "p1_incident")
        (question,) = (await until(handle, lambda status: bool(status.questions))).questions
        async with Client(server(room.session, ADA, ADA)) as client:
            told = await text_of(
                client,
                "answer",
                run=handle.id,
                question=question.id,
                subject=question.subject,
                choice="rollback",
                reason="",
            )
            assert "only people answer it" in told
            for procedure in (
                "point-in-time-restore",
                "database-failover",
                "full-service-recovery",
                "api-key-rotation",
            ):
                assert "only people start it" in await text_of(client, "start", procedure=procedure)
            told = await text_of(client, "start", procedure="rollback", input={"confirmed": True, "reason": "x"})
            assert "only a person may say so" in told
        assert (await handle.query("status"))["questions"][0]["first"] is None
        await handle.terminate("the test has seen enough")


ODD: list[Any] = ["", "a\x00b", "\u202e", "x" * 100_000, "' OR 1=1 --", "\ud800", 10**30, -1, None, [], {"a": []}]


async def test_whatever_a_program_asks_it_gets_a_sentence(room: Room) -> None:
    handle = await begin(room.session.client, room.queue, P1Request(), "p1_incident")
    fields = ("service", "alert", "a\x00b")
    asked: list[tuple[str, dict[str, Any]]] = [
        *(("runs", {"service": odd}) for odd in ODD),
        *(("runs", {"service": "nobody", name: odd}) for name in ("procedure", "closed", "limit") for odd in ODD),
        *(("search", {"text": "x", name: odd}) for name in ("text", "limit") for odd in ODD),
        *((tool, {"run": odd}) for tool in ("status", "commands") for odd in ODD),
        *(("plan", {"procedure": odd, "input": {}}) for odd in ODD),
        *(("plan", {"procedure": "p1-incident", "input": odd}) for odd in ODD),
        *(("plan", {"procedure": "p1-incident", "input": {name: odd}}) for name in fields for odd in ODD[1:]),
        *(("start", {"procedure": "rollback", "input": {"reason": odd, "service": "nobody"}}) for odd in ODD),
        *(
            ("answer", {"run": handle.id, "question": "q", "subject": "s", "choice": "c", "reason": "r", name: odd})
            for name in ("run", "choice")
            for odd in ODD
        ),
    ]
    async with Client(server(room.session, ADA, ADA)) as client:
        for tool, arguments in asked:
            try:
                told = await text_of(client, tool, **arguments)
            except UnicodeEncodeError:
                continue  # the client itself sends no half character
            assert "Traceback" not in told, (tool, arguments)
            assert "OverflowError" not in told, (tool, arguments)
            assert "has no attribute" not in told, (tool, arguments)
        assert handle.id in await text_of(client, "runs")
    await handle.terminate("the test has seen enough")
