"""Finding runs: `runbooks list`, and what people type where a command takes a RUN."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError
from typer.testing import CliRunner, Result

from activities.catalogue.service import ApprovalPolicy, IncidentPolicy
from activities.records.alerts import Alert
from starters.__main__ import application
from starters.cli import people
from tests.plugins.patience import HANGS
from tests.starters.support import RUN, no_incident, settings_file, waiting_for, working
from tests.workflows.worlds.world import World
from workflows.incident_response.p1_incident import P1Request
from workflows.platform.search_attributes import SEVERITY

Runbooks = Callable[..., Awaitable[Result]]


@pytest.fixture
def world() -> World:
    made = World(IncidentPolicy(mitigation="approve"), ApprovalPolicy(allow_unsigned=True))
    made.bad_release()
    return made


@pytest.fixture
def queue() -> str:
    return f"q-{uuid4()}"


@pytest.fixture
def runbooks(
    temporal_address: str, tmp_path: Path, queue: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> Runbooks:
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(settings_file(tmp_path, temporal_address, queue, world)))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("RUNBOOKS_USER", "ada")
    monkeypatch.delenv("RUNBOOKS_ROLE", raising=False)

    async def call(*arguments: str, columns: int = 80) -> Result:
        monkeypatch.setenv("COLUMNS", str(columns))
        vars(people.console).pop("_made", None)
        return await asyncio.to_thread(lambda: CliRunner().invoke(application(arguments), list(arguments)))

    return call


@pytest.fixture
async def worker(temporal_address: str, queue: str, world: World) -> AsyncIterator[Client]:
    await no_incident(temporal_address)
    async with working(temporal_address, queue, world) as client:
        yield client
    await no_incident(temporal_address)


async def listed(runbooks: Runbooks, *arguments: str) -> list[dict[str, Any]]:
    result = await runbooks("list", "--json", *arguments)
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


async def started(runbooks: Runbooks, *arguments: str) -> None:
    begun = await runbooks("start", "p1-incident", "--yes", "--set", "service=tensafe-server", *arguments)
    assert begun.exit_code == 0, begun.output


async def visible(client: Client, query: str) -> None:
    async with asyncio.timeout(HANGS):
        while not [one async for one in client.list_workflows(query)]:
            await asyncio.sleep(0.1)


async def test_what_is_open_is_listed_with_what_it_waits_for_and_for_whom(runbooks: Runbooks, worker: Client) -> None:
    await started(runbooks, "--set", "title=API down")
    await waiting_for(worker, RUN, "decide mitigation-1")
    await visible(worker, f"WorkflowId = '{RUN}' AND RunbookWaitingFor = 'decide mitigation-1'")

    (row,) = [one for one in await listed(runbooks) if one["workflow_id"] == RUN]
    assert (row["title"], row["severity"], row["service"]) == ("API down", "P1", "tensafe-server")
    assert row["waiting_for"] == "decide mitigation-1"
    assert "commander" in row["roles"]
    assert row["waiting_since"] < row["waiting_until"]
    assert (row["state"], row["started_by"], row["answers"]) == ("running", "ada", True)
    assert row["clock"] == "mitigate" or row["clock"]
    incident = row["name"]
    assert incident.startswith("INC-")

    for columns in (80, 200):
        shown = (await runbooks("list", columns=columns)).stdout
        assert all(len(line) <= columns for line in shown.splitlines())
        for part in (incident, "API down", "mitigation-1", "commander, on-call"):
            assert part in shown, shown
        # What goes on in a further line stands under its item, and never where an item begins.
        ours = shown[shown.index(incident) :].splitlines()[1:] if columns < 100 else []
        below = list(itertools.takewhile(lambda line: line.startswith(" "), ours))
        assert all(line.startswith("  ") for line in below), shown
        assert columns > 100 or "until" in " ".join(below), shown

    for arguments, there in (
        (("--waiting",), True),
        (("--mine",), True),
        (("--service", "tensafe-server"), True),
        (("--procedure", "p1-incident", "--since", "-1h"), True),
        (("--service", "elsewhere"), False),
        (("--procedure", "rollback"), False),
        (("--mine", "--as", "bob", "--role", "dba"), False),
        (("--mine", "--as", "bob", "--role", "commander"), True),
        (("--service", 'x" OR 1=1'), False),
    ):
        assert (RUN in {one["workflow_id"] for one in await listed(runbooks, *arguments)}) is there, arguments
    assert (await runbooks("list", "--procedure", "p9")).exit_code == 2
    assert "such as" in (await runbooks("list", "--since", "soon")).stderr

    # What a person can type for it.
    for reference in (
        incident,
        incident[:-4],
        incident[-6:],
        RUN,
        row["run_id"][:13],
        f"{RUN}@{row['run_id']}",
    ):
        found = await runbooks("status", reference)
        assert (found.exit_code, incident in found.stdout) == (0, True), (reference, found.output)

    await worker.get_workflow_handle(RUN).terminate("over")
    await visible(worker, f"RunId = '{row['run_id']}' AND ExecutionStatus = 'Terminated'")
    assert RUN not in {one["workflow_id"] for one in await listed(runbooks)}
    ended = [one for one in await listed(runbooks, "--all", "--limit", "1000") if one["run_id"] == row["run_id"]]
    assert [one["state"] for one in ended] == ["terminated"]
    assert "terminated" in (await runbooks("list", "--all", "--limit", "1000")).stdout


async def test_several_that_fit_are_named_and_nothing_is_done(runbooks: Runbooks, worker: Client, queue: str) -> None:
    part = uuid4().hex
    names = [f"{part}-one", f"{part}-two"]
    for name in names:  # each of an alert of its own, as services may group them
        alert = Alert(source="test", fingerprint=name, name="Down", starts_at=datetime.now(UTC))
        await worker.start_workflow("P1Incident", P1Request(alert=alert), id=name, task_queue=queue)
        await waiting_for(worker, name, "decide mitigation-1")
    for reference in (part, "-"):
        unclear = await runbooks("approve", reference, "--choice", "rollback")
        assert unclear.exit_code == 2, unclear.output
        assert "which one?" in unclear.stderr
        assert unclear.stderr.count("\n") >= 3
    for name in names:
        assert (await worker.get_workflow_handle(name).query("status"))["waiting_for"] == "decide mitigation-1"
        await worker.get_workflow_handle(name).terminate("over")


@pytest.fixture
async def alone(client: Client) -> None:
    """Nothing is open: other files' tests may have left runs on this server."""
    query = "ExecutionStatus = 'Running'"
    async with asyncio.timeout(HANGS):
        while left := [one async for one in client.list_workflows(query)]:
            for one in left:
                with contextlib.suppress(RPCError):
                    await client.get_workflow_handle(one.id, run_id=one.run_id).terminate(reason="the next test begins")
            await asyncio.sleep(0.1)


async def test_the_only_open_run_is_a_dash(alone: None, runbooks: Runbooks, worker: Client) -> None:
    none = await runbooks("status", "-")
    assert (none.exit_code, "no run is open" in none.stderr) == (4, True), none.output
    await started(runbooks)
    await waiting_for(worker, RUN, "decide mitigation-1")
    await visible(worker, f"WorkflowId = '{RUN}' AND ExecutionStatus = 'Running'")
    shown = await runbooks("status", "-")
    assert (shown.exit_code, "mitigation-1" in shown.stdout) == (0, True), shown.output


async def test_an_old_p1_is_on_top_of_more_new_runs_than_are_shown(
    alone: None, runbooks: Runbooks, client: Client
) -> None:
    for severity in ("P1", "P3", "P3"):
        name = f"{severity}-{uuid4()}"
        await client.start_workflow(
            "P2Incident",
            id=name,
            task_queue="nobody-works-here",
            search_attributes=TypedSearchAttributes([SearchAttributePair(SEVERITY, severity)]),
        )
        await visible(client, f"WorkflowId = '{name}' AND ExecutionStatus = 'Running'")
    assert [one["severity"] for one in await listed(runbooks, "--limit", "2")] == ["P1", "P3"]
    shown = await runbooks("list", "--limit", "2")
    assert "the first 2 are shown" in shown.stderr
    nothing = await runbooks("list", "--service", "elsewhere")
    assert "nothing of that is open" in nothing.stdout, "something else is"
    assert "no service 'elsewhere' in the settings: tensafe-server" in nothing.stderr


async def test_runs_that_no_worker_answers_for_are_listed_all_the_same(
    alone: None, runbooks: Runbooks, temporal_address: str, client: Client
) -> None:
    await no_incident(temporal_address)
    await started(runbooks)
    await visible(client, f"WorkflowId = '{RUN}' AND ExecutionStatus = 'Running'")
    rows = await listed(runbooks)
    (row,) = [one for one in rows if one["workflow_id"] == RUN]
    assert row["answers"] is False
    shown = await runbooks("list")
    assert "no worker answers for 1 run" in shown.stderr
