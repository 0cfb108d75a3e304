"""`runbooks audit search` and `report` over live and archived runs of real servers."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pypdfium2
import pytest
from typer.testing import CliRunner, Result

from audit.store import Store
from starters.cli.commands.audit import app
from tests.audit.stories import archivable
from tests.starters.cli.audit.audit_support import Past, found
from tests.starters.support import settings_file
from tests.workflows.worlds.world import World

Call = Callable[..., Awaitable[Result]]


@pytest.fixture
def audit(past: Past, records_url: str, temporal_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    config = settings_file(
        tmp_path,
        temporal_address,
        past.queue,
        World(),
        records={"url": records_url},
        evidence={"directory": str(tmp_path / "evidence")},
    )
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(config))
    monkeypatch.setenv("RUNBOOKS_USER", "iris")
    monkeypatch.setenv("COLUMNS", "240")

    async def call(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, list(arguments))

    return call


async def test_a_run_is_found_once_live_archived_and_when_temporal_has_forgotten_it(past: Past, audit: Call) -> None:
    began = datetime.now(UTC)
    workflow_id, run_id = await past.incident()
    other, other_run = await past.incident()
    only = ("--incident", (await found(audit, "--limit", "1"))[0]["incident"])
    both = ("--since", f"{began:%Y-%m-%dT%H:%M:%S}", "--procedure", "p1-incident")

    def mine(rows: list[dict[str, str]]) -> list[tuple[str, str]]:
        return [(row["run_id"], row["from"]) for row in rows if row["run_id"] in {run_id, other_run}]

    assert mine(await found(audit, *both)) == [(other_run, "Temporal"), (run_id, "Temporal")]
    await past.archive(workflow_id, run_id)
    assert mine(await found(audit, *both)) == [(other_run, "Temporal"), (run_id, "archive")]
    await past.archive(other, other_run)
    await past.forget(other, other_run)
    assert mine(await found(audit, *both)) == [(other_run, "archive"), (run_id, "archive")]
    assert mine(await found(audit, *only)) == [(other_run, "archive")]
    assert [access.who for access in past.store.accesses()] == ["iris"] * 5
    assert {access.action for access in past.store.accesses()} == {"search"}


async def test_every_way_to_ask_finds_the_run_live_and_archived(past: Past, audit: Call) -> None:
    began = f"{datetime.now(UTC):%Y-%m-%d}"
    workflow_id, run_id = await past.incident()
    (row,) = [row for row in await found(audit, "--actor", "ada") if row["run_id"] == run_id]
    ended = f"{datetime.now(UTC):%Y-%m-%d}"
    for step in ("live", "archived"):
        for ask in (
            ("--procedure", "P1Incident"),
            ("--severity", "p1"),
            ("--service", "tensafe-server"),
            ("--incident", row["incident"]),
            ("--actor", "ada"),
            ("--actor", "grace"),
            ("--outcome", "closed"),
            ("--status", "completed"),
            ("--since", began),
            ("--until", ended),
            ("--since", began, "--until", ended),
            ("--touched", "kubernetes.undo_rollout"),
            ("--severity", "P1", "--actor", "ada", "--outcome", "closed"),
        ):
            assert run_id in [one["run_id"] for one in await found(audit, *ask)], (step, ask)
        for ask in (
            ("--severity", "P2"),
            ("--service", "other"),
            ("--actor", "mallory"),
            ("--outcome", "planned"),
            ("--status", "failed"),
            ("--until", "2020-01-01"),
            ("--since", "2199-01-01"),
            ("--tenant", "acme"),
            ("--touched", "deployment/other"),
            ("--procedure", 'P1" OR WorkflowType = "P1Incident'),
        ):
            assert run_id not in [one["run_id"] for one in await found(audit, *ask)], (step, ask)
        await past.archive(workflow_id, run_id)


async def test_the_newest_come_first_however_long_ago_they_were(past: Past, audit: Call) -> None:
    service = f"service-{uuid4().hex[:6]}"
    store: Store = past.store
    began = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=n * n) for n in range(60)]
    for number, at in enumerate(began):
        store.append(archivable(number, service=service, started_at=at, ended_at=at + timedelta(hours=1)))
    rows = await found(audit, "--service", service, "--limit", "45")
    assert [row["run_id"] for row in rows] == [f"run-{number}" for number in range(59, 14, -1)]
    assert len(await found(audit, "--service", service, "--limit", "1000")) == 60
    told = await audit("search", "--service", service, "--limit", "3")
    assert "the newest 3 are shown" in told.stderr
    # Where there is no terminal the table is narrow, and breaks the ID.
    assert told.stdout.index("wf-59@run") < told.stdout.index("wf-57@run")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("search", "--since", "soon"), "--since: a time is expected, such as 2026-11-01 14:00 Europe/Berlin"),
        (("search", "--until", "2026-13-01"), "--until: a time is expected"),
        (("search", "--since", "2026-11-02", "--until", "2026-11-01"), "--since is not before --until"),
        (("search", "--status", "odd"), "--status: 'odd' is no state of a run. There are: running, completed"),
        (("report", "--month", "2026-11-01"), "'2026-11-01' is no month"),
        (("report", "--zone", "Mars"), "'Mars' is no time zone"),
        (("metrics", "--zone", "Mars"), "'Mars' is no time zone"),
        (("postmortem", "INC-0"), "no run of an incident 'INC-0'"),
    ],
)
async def test_what_cannot_be_meant_is_said_in_a_sentence(audit: Call, arguments: tuple[str, ...], says: str) -> None:
    result = await audit(*arguments)
    assert result.exit_code in {2, 4}
    assert says in result.stderr
    assert "Traceback" not in result.output


async def test_without_the_archive_temporal_is_read_and_it_is_said(
    past: Past, audit: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, run_id = await past.incident()
    monkeypatch.setenv("RUNBOOKS_RECORDS__URL", "postgresql://nobody@127.0.0.1:1/none")
    result = await audit("search", "--format", "json", "--actor", "ada")
    assert run_id in result.stdout
    assert "this reading is not logged" in result.stderr


async def test_without_temporal_the_archive_is_read_and_it_is_said(
    past: Past, audit: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow_id, run_id = await past.incident()
    await past.archive(workflow_id, run_id)
    monkeypatch.setenv("RUNBOOKS_TEMPORAL__ADDRESS", "127.0.0.1:1")
    result = await audit("search", "--format", "json", "--actor", "ada")
    assert [row["run_id"] for row in json.loads(result.stdout)] == [run_id]
    assert "only the archive is read" in result.stderr


async def test_a_report_is_the_same_from_temporal_and_from_the_archive(past: Past, audit: Call, tmp_path: Path) -> None:
    workflow_id, run_id = await past.incident()
    month = f"{datetime.now(UTC):%Y-%m}"

    async def told() -> dict[str, object]:
        result = await audit("report", "--month", month, "--format", "json")
        assert result.exit_code == 0, result.output
        report = json.loads(result.stdout)
        (row,) = [row for row in report["incidents"] if row["run_id"] == run_id]
        return {name: report[name] for name in ("runs", "severities", "systems", "outcomes", "approvals")} | row

    live = await told()
    await past.archive(workflow_id, run_id)
    assert await told() == live
    await past.forget(workflow_id, run_id)
    assert await told() == live

    for form, begins in (("markdown", b"# Runbooks in"), ("html", b"<!doctype html>"), ("pdf", b"%PDF")):
        file = tmp_path / f"report.{form}"
        written = await audit("report", "--month", month, "--format", form, "--output", str(file))
        assert written.exit_code == 0, written.output
        assert file.read_bytes().startswith(begins)
    pdf = pypdfium2.PdfDocument(tmp_path / "report.pdf")
    assert "Incidents against the response times of 2.1" in pdf[0].get_textpage().get_text_range()
    shown = await audit("report", "--month", month)
    assert "Incidents against the response times of 2.1" in shown.stdout
    assert (await audit("report", "--output", str(tmp_path))).exit_code == 2


async def test_metrics_are_served_by_a_process_of_its_own_until_it_is_stopped(past: Past, audit: Call) -> None:
    await past.incident()
    code = "from starters.cli.commands.audit import app; app(['metrics', '--port', '0'])"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(240):
            url = (await process.stdout.readline()).decode().strip()
            async with httpx.AsyncClient(timeout=120) as http:
                text = ""
                while "runbooks_audit_up 1.0" not in text:
                    text = (await http.get(url)).text
        assert 'runbooks_incidents{severity="P1"}' in text
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 240) == 0
    finally:
        if process.returncode is None:
            process.kill()
    assert [access.action for access in past.store.accesses()] == ["metrics"]
