"""ComplianceAudit: a package that verifies, gaps that are asked about, and nothing where it can't be meant."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool
from pydantic import ValidationError
from temporalio.client import Client, WorkflowFailureError

from activities.catalogue.service import CustomerPolicy
from audit.package_verify import verify
from audit.store_progress import Progress
from sandbox.mail_server import MailServer
from tests.activities.compliance.packaging import year
from tests.workflows.conftest import Working
from tests.workflows.steering import begin, until
from tests.workflows.worlds.audited import AWS, Audited
from workflows.platform.approval import Decision
from workflows.security.compliance_audit import ComplianceAudit, ComplianceAuditRequest

NAME = "compliance_audit"
YEAR = "2025-01-01 to 2025-12-31"
TODAY = date(2026, 2, 4)


@pytest.fixture
def world(records_pool: ConnectionPool[Any], records_sql: psycopg.Connection[Any], mail_server: MailServer) -> Audited:
    made = Audited(records_pool, records_sql, mail_server, CustomerPolicy())
    year(records_sql)
    return made


def said(world: Audited) -> list[str]:
    return [str(row[0]) for row in world.rows("SELECT text FROM runbooks.messages ORDER BY id")]


async def test_what_the_year_has_is_packaged(working: Working, client: Client, world: Audited) -> None:
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, ComplianceAuditRequest(framework="soc2", period=YEAR), NAME)
        result = await handle.result()
        status = await until(handle, lambda status: bool(status.outcome))
    assert (status.outcome, status.waiting_for) == ("packaged, with gaps", "")
    assert (result["audit_rows"], result["populations"]["deployments"]) == (120, 60)
    assert (result["start"], result["end"], result["seed"]) == (
        "2025-01-01",
        "2025-12-31",
        "soc2:2025-01-01:2025-12-31",
    )
    assert [gap.partition(":")[0] for gap in result["gaps"]] == ["Kubernetes Secrets in etcd"]
    assert world.signer is not None
    assert verify(Path(result["package"].removeprefix("file://")), [world.signer.public_key]).broken == ""
    assert any("soc2-evidence-package.zip" in text for text in said(world))


@pytest.mark.parametrize(("choice", "outcome"), [("package", "packaged, with gaps"), ("stop", "stopped")])
async def test_a_gap_is_asked_about(
    working: Working, client: Client, world: Audited, choice: str, outcome: str
) -> None:
    world.gaps = [[AWS]]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, ComplianceAuditRequest(framework="hipaa", period=YEAR), NAME)
        status = await until(handle, lambda status: bool(status.questions))
        (question,) = status.questions
        assert question.evidence == [str(AWS)]
        word = Decision(question=question.id, choice=choice, who="grace", role="security")
        await handle.execute_update(ComplianceAudit.decide, word)
        result = await handle.result()
        status = await until(handle, lambda status: bool(status.outcome))
    assert status.outcome == outcome
    assert bool(result["package"]) is (choice == "package")
    assert str(AWS) in result["gaps"]


async def test_what_was_mended_is_looked_at_again(working: Working, client: Client, world: Audited) -> None:
    world.gaps = [[AWS], []]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, ComplianceAuditRequest(framework="soc2", period=YEAR), NAME)
        await until(handle, lambda status: bool(status.questions))
        word = Decision(question="gaps-1", choice="retry", who="grace", role="security")
        await handle.execute_update(ComplianceAudit.decide, word)
        result = await handle.result()
    assert str(AWS) not in result["gaps"]
    assert result["package"]


async def test_an_archive_that_is_behind_is_asked_about_and_looked_at_again(
    working: Working, client: Client, world: Audited
) -> None:
    progress = Progress(world.pool)
    progress.move("default", datetime(2025, 12, 20, 3, tzinfo=UTC))
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, ComplianceAuditRequest(framework="soc2", period=YEAR), NAME)
        status = await until(handle, lambda status: bool(status.questions))
        progress.move("default", datetime(2026, 1, 1, tzinfo=UTC))
        word = Decision(question="gaps-1", choice="retry", who="grace", role="security")
        await handle.execute_update(ComplianceAudit.decide, word)
        result = await handle.result()
    (told,) = status.questions[0].evidence
    assert told.startswith("Archive of runs: it goes to 2025-12-20 03:00 UTC")
    assert [gap.partition(":")[0] for gap in result["gaps"]] == ["Kubernetes Secrets in etcd"]
    assert result["package"]


async def test_without_an_answer_it_is_packaged_and_says_so(working: Working, client: Client, world: Audited) -> None:
    world.gaps = [[AWS]]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, ComplianceAuditRequest(framework="soc2", period=YEAR), NAME)
        result = await handle.result()
    assert result["package"]
    assert sum("nobody has answered" in text for text in said(world)) == 1
    assert world.rows("SELECT count(*) FROM runbooks.pages") == [(0,)]


async def test_a_plan_makes_nothing(working: Working, client: Client, world: Audited) -> None:
    world.gaps = [[AWS]]
    async with working(world.activities()) as queue:
        asked = ComplianceAuditRequest(framework="soc2", period=YEAR, dry_run=True)
        handle = await begin(client, queue, asked, NAME)
        result = await handle.result()
        status = await until(handle, lambda status: bool(status.outcome))
    assert status.outcome == "planned"
    assert result["package"].endswith("/soc2-evidence-package.zip")
    assert world.store.keys(f"compliance/soc2-{result['start']}-{result['end']}/") == []


async def test_a_period_that_is_not_over_fails_at_once(working: Working, client: Client, world: Audited) -> None:
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, ComplianceAuditRequest(framework="soc2", period="2999"), NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert "period: its last day, 2999-12-31, is not over yet" in str(failed.value.cause)


async def test_without_a_key_it_fails_before_anything_is_looked_at(
    working: Working, client: Client, world: Audited
) -> None:
    world.signer = None
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, ComplianceAuditRequest(framework="soc2", period=YEAR), NAME)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        status = await handle.query(ComplianceAudit.status)
    assert any("can't be signed" in entry.text for entry in status.entries)
    assert world.store.keys("compliance/") == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("2025-12-31 to 2025-01-01", "before it begins"),
        ("yesterday", "expected"),
        ("2025-13", "expected"),
        ("2025-02-30 to 2025-03-01", "expected"),
        ("1999", "2000"),
        ("2001-01-01 to 2025-01-01", "three years"),
        ("2025-Q5", "expected"),
        ("", "expected"),
    ],
)
def test_a_period_that_cannot_be_meant_is_refused(text: str, wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        ComplianceAuditRequest(framework="soc2", period=text)


def test_an_unknown_framework_is_refused() -> None:
    with pytest.raises(ValidationError, match="'soc2' or 'hipaa'"):
        ComplianceAuditRequest.model_validate({"framework": "iso27001"})
