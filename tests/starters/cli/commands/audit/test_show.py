"""`runbooks audit show` over real servers: live, archived, forgotten by Temporal, and with the archive down."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from starters.cli.commands.audit import app
from starters.cli.people import Exit
from tests.starters.cli.audit.audit_support import Past
from tests.starters.support import settings_file
from tests.workflows.worlds.world import World

Call = Callable[..., Awaitable[Result]]


def configured(past: Past, url: str, address: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    config = settings_file(folder, address, past.queue, World(), records={"url": url})
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(config))
    monkeypatch.setenv("RUNBOOKS_USER", "iris")
    monkeypatch.setenv("COLUMNS", "240")

    async def call(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, ["show", *arguments])

    return call


@pytest.fixture
def show(past: Past, records_url: str, temporal_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    return configured(past, records_url, temporal_address, tmp_path, monkeypatch)


async def test_a_run_is_the_same_story_live_archived_and_forgotten(past: Past, show: Call, tmp_path: Path) -> None:
    workflow_id, run_id = await past.incident()
    live = await show(workflow_id)
    assert live.exit_code == 0, live.output
    assert "Record in the archive" not in live.stdout
    stories = json.loads((await show(workflow_id, "--format", "json")).stdout)
    assert stories[0]["run"]["run_id"] == run_id

    await past.archive(workflow_id, run_id)
    assert "Record in the archive" in (await show(f"{workflow_id}@{run_id}")).stdout
    await past.forget(workflow_id, run_id)
    incident = stories[0]["incident_id"]
    other = [
        await past.client.start_workflow("P1Incident", id=f"{workflow_id}/{n}", task_queue="nobody's") for n in (1, 2)
    ]
    for reference in (workflow_id, f"{workflow_id}@{run_id}", incident):
        told = await show(reference, "--format", "json")
        assert told.exit_code == 0, told.output
        assert json.loads(told.stdout)[0] == stories[0]
    for run in other:  # the whole name of a run in the archive is also the beginning of theirs
        await run.terminate()
    for form, begins in (("pdf", b"%PDF"), ("html", b"<!doctype html>"), ("markdown", b"# ")):
        file = tmp_path / f"run.{form}"
        written = await show(incident, "--format", form, "--output", str(file))
        assert written.exit_code == 0, written.output
        assert file.read_bytes().startswith(begins)
    assert "<b>" not in (tmp_path / "run.html").read_text(encoding="utf-8"), "the resolution has HTML in it"

    accesses = list(await asyncio.to_thread(lambda: list(past.store.accesses())))
    assert {(access.who, access.action) for access in accesses} == {("iris", "show")}
    assert [access.what for access in accesses].count(incident) == 4


async def test_who_asks_for_the_unknown_or_writes_into_a_directory_is_told(
    show: Call, past: Past, tmp_path: Path
) -> None:
    unknown = await show("no-such-run")
    assert unknown.exit_code == Exit.NOT_FOUND
    assert "neither Temporal nor the archive has a run 'no-such-run'" in unknown.stderr
    workflow_id, _ = await past.incident()
    into = await show(workflow_id, "--format", "pdf", "--output", str(tmp_path))
    assert into.exit_code == Exit.USAGE
    assert "is a directory" in into.stderr


async def test_without_the_archive_a_live_run_is_shown_and_that_nobody_logged_it_is_said(
    past: Past, temporal_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow_id, _ = await past.incident()
    nobody = "postgresql://nobody@127.0.0.1:1/none"
    told = await configured(past, nobody, temporal_address, tmp_path, monkeypatch)(workflow_id)
    assert told.exit_code == 0, told.output
    assert "P1" in told.stdout
    assert "not logged" in told.stderr
