"""The `runbooks` command against a real run: start, status, approve, note, close, cancel."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from temporalio.client import Client
from typer.testing import CliRunner, Result

from activities.catalogue.service import ApprovalPolicy, IncidentPolicy
from starters.__main__ import application
from starters.cli import following, starting
from tests.plugins.patience import HANGS
from tests.starters.support import RUN, no_incident, settings_file, waiting_for, working
from tests.workflows.worlds.world import World
from workflows.platform.run_status import RunStatus

Runbooks = Callable[..., Awaitable[Result]]
KEY = Ed25519PrivateKey.generate()


def pem(key: Ed25519PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(application(arguments), list(arguments))


@pytest.fixture
def queue() -> str:
    return f"q-{uuid4()}"


@pytest.fixture
def world() -> World:
    """Of workers that believe only what our gateway has signed."""
    public = base64.b64encode(KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
    return World(IncidentPolicy(mitigation="approve"), ApprovalPolicy(public_keys=(public,)))


@pytest.fixture
def runbooks(
    temporal_address: str, tmp_path: Path, queue: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> Runbooks:
    """The command line, which holds the gateway's key."""
    (tmp_path / "gateway.pem").write_text(pem(KEY))
    gateway = {"private_key": f"file:{tmp_path / 'gateway.pem'}"}
    config = settings_file(tmp_path, temporal_address, queue, world, gateway=gateway)
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(config))
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("RUNBOOKS_USER", "RUNBOOKS_ROLE"):
        monkeypatch.delenv(name, raising=False)

    async def call(*arguments: str) -> Result:
        # Commands have an event loop of their own.
        return await asyncio.to_thread(run, *arguments)

    return call


@pytest.fixture
async def worker(temporal_address: str, queue: str, world: World) -> AsyncIterator[Client]:
    await no_incident(temporal_address)
    async with working(temporal_address, queue, world) as client:
        yield client


def told(result: Result, name: str) -> str:
    """Read `name  value` of what `start` prints."""
    return next(line.removeprefix(name).strip() for line in result.stdout.splitlines() if line.startswith(name))


async def started(runbooks: Runbooks, *arguments: str) -> str:
    result = await runbooks("start", "p1-incident", "--yes", "--set", "service=tensafe-server", *arguments)
    assert result.exit_code == 0, result.output
    return told(result, "workflow ID")


async def incident_of(client: Client, workflow_id: str) -> str:
    """Wait until the run is found by its incident."""
    incident = (await client.get_workflow_handle(workflow_id).query("status"))["incident_id"]
    async with asyncio.timeout(HANGS):
        while not [r async for r in client.list_workflows(f'RunbookIncident = "{incident}"')]:
            await asyncio.sleep(0.1)
    return str(incident)


async def test_a_person_is_told_which_incident_is_open(runbooks: Runbooks, worker: Client, world: World) -> None:
    assert await started(runbooks) == RUN
    await waiting_for(worker, RUN, "close")
    incident = await incident_of(worker, RUN)
    for service in ([], ["--set", "service=tensafe-server"]):
        again = await runbooks("start", "p1-incident", "--yes", *service)
        assert again.exit_code != 0
        assert f"{RUN} runs already and has incident {incident}" in " ".join(again.output.split())
    planned = await runbooks("start", "p1-incident", "--dry-run", "--wait")
    assert planned.exit_code == 0, planned.output
    assert len(world.done("records.create_incident")) == 1


async def test_a_person_takes_an_incident_over_and_gives_it_back(
    runbooks: Runbooks, worker: Client, world: World
) -> None:
    world.bad_release()
    workflow_id = await started(runbooks)
    await waiting_for(worker, workflow_id, "decide mitigation-1")
    ada = ("--as", "ada", "--role", "commander")
    refused = await runbooks("hand-back", workflow_id, *ada)
    assert (refused.exit_code, "nobody has taken this incident over" in refused.stderr) == (1, True), refused.output
    taken = await runbooks("take-over", workflow_id, "--reason", "failing over", *ada, "--json")
    word = json.loads(taken.stdout)
    assert "is yours: the run only watches" in word["answer"], taken.output
    assert (word["word"], word["who"], word["role"], taken.stderr) == ("take-over", "ada", "commander", "")
    shown = await runbooks("status", workflow_id)
    assert "ada (commander) has it" in shown.stdout, shown.output
    given = await runbooks("hand-back", workflow_id, *ada)
    assert "by itself" in given.stdout, given.output
    await waiting_for(worker, workflow_id, "decide mitigation-2")


async def test_an_incident_from_start_to_close(runbooks: Runbooks, worker: Client, world: World) -> None:
    world.bad_release()
    workflow_id = await started(runbooks, "--set", "title=API down", "--as", "ada", "--role", "commander")
    await waiting_for(worker, workflow_id, "decide mitigation-1")

    shown = await runbooks("status", workflow_id)
    assert shown.exit_code == 0, shown.output
    for part in ("API down", "mitigation-1", "rollback", "runbooks approve", "Assessed", "/workflows/p1-incident%2F"):
        assert part in shown.stdout, shown.stdout

    asked = await runbooks("approve", workflow_id)
    assert asked.exit_code == 0
    assert "recommended" in asked.stdout
    assert not world.done("kubernetes.undo_rollout")

    incident = await incident_of(worker, workflow_id)
    decided = await runbooks("approve", incident, "--choice", "rollback", "--as", "ada", "--role", "commander")
    assert decided.stdout.strip() == "mitigation-1: rollback, decided by ada (commander)"
    await waiting_for(worker, workflow_id, "close")
    assert len(world.done("kubernetes.undo_rollout")) == 1

    noted = await runbooks("note", incident, "DNS was fine")
    assert noted.stdout.strip() == f"noted on {incident}"
    assert world.done("records.note_incident")[-1].text == "DNS was fine"

    run_id = (await worker.get_workflow_handle(workflow_id).describe()).run_id
    done = await runbooks("close", f"{workflow_id}@{run_id}", "--resolution", "v1.2.3", "--root-cause", "v1.2.4")
    assert done.exit_code == 0, done.output
    result = await worker.get_workflow_handle(workflow_id).result()
    assert (result["outcome"], result["root_cause"]) == ("closed", "v1.2.4")
    assert world.done("records.create_incident")[0].effect.actor == "ada (commander)"

    ended = await runbooks("status", incident)
    assert ended.exit_code == 0
    for part in ("ended", "closed by ", "Closed: v1.2.3", "DNS was fine"):
        assert part in ended.stdout
    assert "running" not in ended.stdout
    document = json.loads((await runbooks("status", incident, "--json")).stdout)
    assert (document["state"], document["outcome"], document["ended"]["how"]) == ("completed", "closed", "closed")
    assert document["entries"][-1]["kind"]
    late = await runbooks("note", incident, "too late")
    assert late.exit_code == 9
    assert late.stderr.strip() == f"{workflow_id} is completed: nothing was sent"


async def test_an_answer_that_comes_too_late_is_told_who_was_first(
    runbooks: Runbooks, worker: Client, world: World
) -> None:
    world.bad_release()
    workflow_id = await started(runbooks)
    await waiting_for(worker, workflow_id, "decide mitigation-1")
    asked = json.loads((await runbooks("approve", workflow_id, "--json")).stdout)
    assert [one["id"] for one in asked] == ["mitigation-1"]
    first = await runbooks("approve", workflow_id, "--choice", "rollback", "--as", "ada", "--json")
    assert json.loads(first.stdout)["by"] == "ada (on-call)"
    await waiting_for(worker, workflow_id, "close")
    for which in ((), ("--question", "mitigation-1")):
        late = await runbooks("approve", workflow_id, *which, "--choice", "rollback", "--as", "bob")
        assert late.exit_code == 7, late.output
        assert "mitigation-1 is decided: rollback by ada (on-call) at " in late.stderr
    other = await runbooks("approve", workflow_id, "--question", "mitigation-9", "--choice", "rollback")
    assert (other.exit_code, other.stderr.strip()) == (8, "nothing is asked now")
    await runbooks("close", workflow_id, "--resolution", "r", "--root-cause", "c")
    await worker.get_workflow_handle(workflow_id).result()
    over = await runbooks("approve", workflow_id, "--choice", "rollback")
    assert (over.exit_code, "is completed: nothing was sent" in over.stderr) == (9, True), over.output


async def test_what_a_run_refuses_is_told_in_its_words(
    runbooks: Runbooks, worker: Client, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.bad_release()
    workflow_id = await started(runbooks)
    await waiting_for(worker, workflow_id, "decide mitigation-1")

    for arguments, says in ((("--choice", "rollback", "--role", "intern"), "role: 'intern' may not mitigate"),):
        refused = await runbooks("approve", workflow_id, *arguments)
        assert (refused.exit_code, says in refused.stderr) == (1, True), refused.output
        assert "Traceback" not in refused.output
    wrong = await runbooks("approve", workflow_id, "--question", "mitigation-9", "--choice", "rollback")
    assert wrong.exit_code == 6
    assert "Open questions: mitigation-1" in wrong.stderr
    prayed = await runbooks("approve", workflow_id, "--choice", "pray")
    assert (prayed.exit_code, "choice: not offered by mitigation-1. Choices: rollback" in prayed.stderr) == (5, True)
    early = await runbooks("close", workflow_id, "--resolution", "r", "--root-cause", "c")
    assert early.exit_code == 1
    assert "can't be closed yet" in early.stderr

    # Somebody else's key, and none at all.
    (tmp_path / "gateway.pem").write_text(pem(Ed25519PrivateKey.generate()))
    forged = await runbooks("approve", workflow_id, "--choice", "rollback")
    assert (forged.exit_code, "fits none of the configured gateway keys" in forged.stderr) == (1, True)
    config = tmp_path / "runbooks.toml"
    config.write_text(config.read_text().split("[gateway]")[0])
    unsigned = await runbooks("approve", workflow_id, "--choice", "rollback")
    assert (unsigned.exit_code, "not signed" in unsigned.stderr) == (1, True)
    (tmp_path / "gateway.pem").write_text("nonsense")
    monkeypatch.setenv("RUNBOOKS_GATEWAY__PRIVATE_KEY", f"file:{tmp_path / 'gateway.pem'}")
    broken = await runbooks("approve", workflow_id, "--choice", "rollback")
    assert (broken.exit_code, "not an Ed25519 private key" in broken.stderr) == (2, True)
    assert "nonsense" not in broken.output
    assert not world.done("kubernetes.undo_rollout")
    assert (await worker.get_workflow_handle(workflow_id).query("status"))["waiting_for"] == "decide mitigation-1"


async def test_cancel_ends_a_run(runbooks: Runbooks, worker: Client, world: World) -> None:
    world.bad_release()
    workflow_id = await started(runbooks)
    await waiting_for(worker, workflow_id, "decide mitigation-1")
    asked = await runbooks("cancel", workflow_id, "--reason", "a drill", "--as", "ada", "--json")
    assert (asked.exit_code, json.loads(asked.stdout)["who"]) == (0, "ada")
    handle = worker.get_workflow_handle(workflow_id)
    async with asyncio.timeout(HANGS):
        while (description := await handle.describe()).close_time is None:
            await asyncio.sleep(0.05)
    assert description.status is not None
    assert description.status.name == "CANCELED"
    again = await runbooks("cancel", workflow_id)
    assert (again.exit_code, again.stderr.strip()) == (9, f"{workflow_id} is canceled already")
    shown = await runbooks("status", workflow_id)
    assert "cancelled by ada (on-call)" in shown.stdout
    assert "a drill" in shown.stdout
    assert "running" not in shown.stdout
    assert "runbooks approve" not in shown.stdout


async def test_who_terminated_a_run_is_told(runbooks: Runbooks, worker: Client, world: World) -> None:
    world.bad_release()
    workflow_id = await started(runbooks)
    await waiting_for(worker, workflow_id, "decide mitigation-1")
    await worker.get_workflow_handle(workflow_id).terminate(reason="enough")
    shown = await runbooks("status", workflow_id)
    assert "terminated by " in shown.stdout
    assert ": nothing was put back; enough" in shown.stdout


async def test_what_a_person_can_do_is_told_with_the_role_it_takes(
    runbooks: Runbooks, worker: Client, world: World
) -> None:
    world.bad_release()
    workflow_id = await started(runbooks, "--set", "title=P1 incident of the API")
    await waiting_for(worker, workflow_id, "decide mitigation-1")
    incident = await incident_of(worker, workflow_id)
    shown = await runbooks("status", workflow_id)
    lines = [line.strip() for line in shown.stdout.splitlines()]
    assert f"runbooks approve {incident} --choice rollback" in lines
    assert "P1 P1" not in shown.stdout
    # What happens now stands above all else.
    assert "waits for commander, on-call or engineering-lead to decide mitigation-1 until" in lines[1]
    other = await runbooks("status", workflow_id, "--role", "intern")
    assert f"runbooks approve {incident} --choice rollback --role commander" in other.stdout
    # The newest entry stands first.
    times = [line.split()[0] for line in lines if line[:2].isdigit() and line[2:3] == ":"]
    assert times == sorted(times, reverse=True)


async def test_a_plan_is_waited_for_and_changes_nothing(runbooks: Runbooks, worker: Client, world: World) -> None:
    world.bad_release()
    plan = ("start", "P1Incident", "--dry-run", "--wait", "--id", f"plan-{uuid4()}")
    result = await runbooks(*plan)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("ended        planned\nIt would, as things are now:\n")
    assert "Create P1 incident" in result.stdout
    assert "Assessed after" in result.stderr
    document = json.loads((await runbooks(*plan, "--json")).stdout)
    assert (document["outcome"], document["dry_run"]) == ("planned", True)
    # What a plan has not done it doesn't claim.
    assert (document["result"]["evidence"], document["result"]["resolved_after"]) == ([], None)
    assert world.effects == []


async def test_nothing_is_started_where_nobody_can_be_asked(runbooks: Runbooks, worker: Client, world: World) -> None:
    name = f"unasked-{uuid4()}"
    refused = await runbooks("start", "p1-incident", "--id", name)
    assert refused.exit_code == 2
    assert "--yes starts it, --dry-run --wait shows what it would do" in refused.stderr
    assert (await runbooks("status", name)).exit_code == 4


@pytest.mark.parametrize("answer", ["y", "n", ""])
async def test_on_a_terminal_the_plan_is_shown_and_asked_about(
    runbooks: Runbooks, worker: Client, world: World, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    world.bad_release()
    monkeypatch.setattr(starting, "somebody_there", lambda: True)
    result = await asyncio.to_thread(
        lambda: CliRunner().invoke(
            application(["start"]), ["start", "p1-incident"], input=f"{answer}\n" if answer else ""
        )
    )
    assert "It would, as things are now:" in result.stderr
    assert "Start it? [y/N]" in result.stderr
    if answer != "y":
        assert result.exit_code == 1
        assert world.effects == []
        return
    incident = (await worker.get_workflow_handle(RUN).query("status"))["incident_id"]
    assert told(result, "incident") == incident
    assert told(result, "next") == f"runbooks status {incident} --watch"


async def test_questions_and_progress_are_lines_where_nobody_looks(
    runbooks: Runbooks, worker: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.bad_release()
    said: list[str] = []
    told_so = following._commands

    def noted(session: Any, run: Any, status: RunStatus, out: Any) -> None:
        told_so(session, run, status, out)
        said.append(status.waiting_for)

    async def has_said(what: str) -> None:
        async with asyncio.timeout(HANGS):
            while what not in said:
                await asyncio.sleep(0.05)

    monkeypatch.setattr(following, "_commands", noted)
    name = RUN
    waiting = asyncio.ensure_future(runbooks("start", "p1-incident", "--yes", "--wait", "--json"))
    await has_said("decide mitigation-1")
    await runbooks("approve", name, "--choice", "rollback", "--as", "ada")
    await has_said("close")
    await runbooks("close", name, "--resolution", "v1.2.3", "--root-cause", "v1.2.4")
    result = await waiting
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["outcome"], document["result"]["root_cause"]) == ("closed", "v1.2.4")
    assert document["incident"].startswith("INC-")
    assert f"runbooks close {document['incident']}" in result.stderr
    lines = result.stderr.splitlines()
    assert sum("mitigation-1: rollback — ada (on-call)" in line for line in lines) == 1
    assert any(line.startswith("waits for commander, on-call") for line in lines)
    assert any(line.startswith(f"  runbooks approve {document['incident']} --choice rollback") for line in lines)


async def test_the_same_id_starts_once(runbooks: Runbooks, worker: Client) -> None:
    assert await started(runbooks, "--id", RUN) == RUN
    again = await runbooks("start", "p1-incident", "--yes", "--id", RUN)
    assert again.exit_code == 1
    assert f"{RUN} runs already" in again.stderr
    assert "http" in again.stderr


async def test_another_id_than_the_services_own_is_refused(runbooks: Runbooks, worker: Client, world: World) -> None:
    refused = await runbooks("start", "p1-incident", "--yes", "--id", f"mine-{uuid4()}")
    assert refused.exit_code == 1
    assert f"has the workflow ID {RUN}: leave --id out" in refused.stderr
    assert world.effects == []


async def test_a_run_that_failed_says_why(runbooks: Runbooks, worker: Client, queue: str) -> None:
    name = f"odd-{uuid4()}"
    handle = await worker.start_workflow("P1Incident", {"servcie": "hunter2"}, id=name, task_queue=queue)
    with pytest.raises(Exception, match="failed"):
        await handle.result()
    shown = await runbooks("status", name)
    assert (shown.exit_code, "the input: servcie: there is no such field" in shown.stdout) == (0, True), shown.output
    assert "2.2 P1Incident" in shown.stdout
    assert "hunter2" not in shown.output
    watched = await runbooks("status", name, "--watch")
    assert (watched.exit_code, "the input: servcie" in watched.stdout) == (0, True), watched.output


async def test_without_workers_status_says_so(runbooks: Runbooks, temporal_address: str) -> None:
    workflow_id = await started(runbooks)
    shown = await runbooks("status", workflow_id)
    assert shown.exit_code == 3
    assert f"{workflow_id}: running" in shown.stdout
    assert "no worker answers for this run" in shown.stderr
    await (await Client.connect(temporal_address)).get_workflow_handle(workflow_id).terminate()
    ended = await runbooks("status", workflow_id)
    assert ended.exit_code == 3
    assert "its record needs none (`runbooks audit show`)" in ended.stderr


async def test_a_word_that_a_run_does_not_take_is_refused_in_our_own_words(
    runbooks: Runbooks, worker: Client, world: World
) -> None:
    world.bad_release()
    workflow_id = await started(runbooks)
    await waiting_for(worker, workflow_id, "decide mitigation-1")
    refused = await runbooks("extend", workflow_id, "--by", "10m")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr == (
        f"{workflow_id} takes no 'extend': `runbooks status {workflow_id}` shows what can be said to it\n"
    )


async def test_watch_ends_with_the_run(runbooks: Runbooks, worker: Client, world: World) -> None:
    workflow_id = await started(runbooks, "--dry-run")
    watched = await runbooks("status", workflow_id, "--watch")
    assert watched.exit_code == 0
    assert "plan only" in watched.stdout
    assert "ended" in watched.stdout
    assert "planned" in watched.stdout


@pytest.mark.parametrize("command", [["status"], ["approve"], ["cancel"], ["note", "--as", "ada"]])
@pytest.mark.parametrize("reference", ["INC-20260204-030000-1a2b3c", 'x" or "1"="1', "x@5bd48f60-6a0e-4a0c-9a0e"])
async def test_no_such_run(runbooks: Runbooks, command: list[str], reference: str) -> None:
    text = ["text"] if command[0] == "note" else []
    result = await runbooks(*command, reference, *text)
    assert result.exit_code == 4
    assert result.stderr.startswith("no run ")
