"""`runbooks audit postmortem`: the draft of a real incident, and what becomes of people's edits."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from audit.sealing import Archivable
from audit.story import Step
from starters.cli.commands.audit import app
from tests.audit.reports import incident
from tests.audit.stories import BEGAN, history
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
        evidence={"directory": "evidence"},
    )
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(config))
    monkeypatch.setenv("RUNBOOKS_USER", "iris")

    async def call(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, list(arguments))

    return call


async def test_a_draft_keeps_what_people_wrote_when_the_archive_has_taken_over(
    past: Past, audit: Call, tmp_path: Path
) -> None:
    workflow_id, run_id = await past.incident()
    (incident_id,) = [row["incident"] for row in await found(audit, "--actor", "ada") if row["run_id"] == run_id]
    file = tmp_path / "post-mortem.md"
    made = await audit("postmortem", incident_id, "--output", str(file))
    assert made.exit_code == 0, made.output
    first = file.read_bytes()
    for part in ("rolled &lt;b&gt;back", "bad release", "kubernetes.undo_rollout", "v1.2.4", "## Action items"):
        assert part in first.decode(), part
    assert (await audit("postmortem", incident_id)).stdout_bytes == first

    await audit("postmortem", incident_id, "--output", str(file))
    assert file.read_bytes() == first

    edited = first.replace(b"- What went well:", b"- What went well: the rollback\r\n").replace(
        b"## Impact\n", b"## Impact\n\nTen customers noticed.\n"
    )
    file.write_bytes(edited)
    await past.archive(workflow_id, run_id)
    await past.forget(workflow_id, run_id)
    again = await audit("postmortem", incident_id, "--output", str(file))
    assert again.exit_code == 0, again.output
    assert file.read_bytes() == edited
    assert "edited by somebody: impact" in again.stderr
    assert [access.what for access in past.store.accesses() if access.action == "postmortem"] == [incident_id] * 4


async def test_a_file_of_somebody_elses_is_left_alone(past: Past, audit: Call, tmp_path: Path) -> None:
    _, run_id = await past.incident()
    (incident_id,) = [row["incident"] for row in await found(audit, "--actor", "ada") if row["run_id"] == run_id]
    file = tmp_path / "notes.md"
    for content in (b"my notes\n", b"\xff\xfe", f"<!-- runbooks:postmortem INC-other -->\n{run_id}".encode()):
        file.write_bytes(content)
        refused = await audit("postmortem", incident_id, "--output", str(file))
        assert refused.exit_code != 0
        assert "notes.md" in refused.stderr
        assert file.read_bytes() == content


@pytest.fixture
def collected(past: Past, tmp_path: Path) -> Callable[..., str]:
    """Archive an incident whose run collected metrics; gives its ID."""

    def archive(number: int, uri: str, sha256: str) -> str:
        step = Step(
            event_id=1,
            section="2.2/10",
            title="Export metrics",
            activity="evidence.export_metrics",
            scheduled_at=BEGAN,
            outcome="completed",
            result=f"uri: {uri}, sha256: {sha256}, size: 1, applied: True",
        )
        told = incident(number, acknowledged=1, mitigated=60, steps=[step])
        assert told.ended_at is not None
        past.store.append(Archivable(history(number), told, told.ended_at))
        return told.incident_id

    return archive


def document(number: int) -> bytes:
    began = BEGAN + number * timedelta(hours=1)
    values: list[Any] = [[(began + timedelta(minutes=n)).timestamp(), str(n / 10)] for n in range(-5, 5)]
    return json.dumps({"queries": {"error_rate": {"series": [{"metric": {}, "values": values}]}}}).encode()


async def test_the_impact_comes_from_the_metrics_that_the_run_stored(
    audit: Call, tmp_path: Path, collected: Callable[..., str]
) -> None:
    file = tmp_path / "evidence" / "incidents" / "x" / "metrics 1.json"
    file.parent.mkdir(parents=True)
    file.write_bytes(document(1))
    incident_id = collected(1, file.as_uri(), hashlib.sha256(document(1)).hexdigest())
    shown = (await audit("postmortem", incident_id)).stdout
    assert "| Error rate | -30.00 % | 0.00 % at 04:00:00 UTC | 40.00 % at 04:04:00 UTC | 40.00 % |" in shown
    file.write_bytes(document(2))
    assert "is not what the run stored (SHA-256 differs)" in (await audit("postmortem", incident_id)).stdout


async def test_metrics_are_read_from_nowhere_but_where_evidence_is_kept(
    audit: Call, tmp_path: Path, collected: Callable[..., str]
) -> None:
    outside = tmp_path / "secret.json"
    outside.write_bytes(document(1))
    for number, uri in enumerate(
        (
            outside.as_uri(),
            f"{(tmp_path / 'evidence').as_uri()}/../secret.json",
            "s3://bucket/key",
            "http://127.0.0.1:1/",
        )
    ):
        incident_id = collected(number, uri, hashlib.sha256(document(1)).hexdigest())
        shown = (await audit("postmortem", incident_id)).stdout
        assert "is not where the settings' \\[evidence\\] is" in shown, shown
        assert "Error rate" not in shown
