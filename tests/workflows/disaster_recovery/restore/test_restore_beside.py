"""What is said of a restore: whose writes are lost, and whether what was restored is in order."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio import workflow

from activities.database.backups.backups import Sealed
from activities.database.backups.system import Backup
from activities.database.integrity.contents import CheckResult, Contents
from activities.database.integrity.integrity import IntegrityReport
from tests.workflows.worlds.damaged import DamagedWorld
from workflows.disaster_recovery.restore.restore_beside import RestoreBeside
from workflows.disaster_recovery.restore.restore_plan import RestorePlan
from workflows.platform.runbook import Runbook

NOW = datetime(2026, 2, 4, 3, tzinfo=UTC)
BACKUP = Backup(backup_id="b1", status="done", verified=True, ended_at=NOW - timedelta(hours=1))


@pytest.fixture(autouse=True)
def at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "now", lambda: NOW)


def beside(target: datetime | None) -> RestoreBeside:
    database = DamagedWorld().service.database
    assert database is not None
    plan = RestorePlan(
        database=database,
        primary="db1",
        spare="db2",
        target=target,
        replicas_before=3,
        replicas_after=3,
        backups=[BACKUP],
        named=False,
    )
    return RestoreBeside(cast("Runbook", SimpleNamespace()), plan)


def sealed(at: datetime) -> Sealed:
    return Sealed(target="log", after="archived", applied=True, at=at)


def report(*, complete: bool = True) -> IntegrityReport:
    return IntegrityReport(relations=4, checked=4, damaged=[], checksum_failures=None, complete=complete, seconds=1)


def contents(*, passed: bool = True, last: datetime | None = None) -> Contents:
    checks = [CheckResult(name="balances", passed=passed)]
    return Contents(tables={}, last_transaction=last, checks=checks, complete=True, seconds=1)


def test_writes_ended_when_the_log_was_sealed_or_else_when_they_were_stopped() -> None:
    found = beside(NOW - timedelta(minutes=10))
    assert (found.ended_at, found.lost) == (NOW, timedelta(minutes=10))
    found.sealed = sealed(NOW - timedelta(minutes=4))
    assert found.lost == timedelta(minutes=6)
    assert found.span == "2026-02-04 02:50:00 to 2026-02-04 02:56:00 UTC"


def test_a_target_behind_the_end_of_writes_loses_nothing() -> None:
    found = beside(NOW + timedelta(minutes=1))
    assert found.lost == timedelta(0)
    assert beside(None).lost is None


@pytest.mark.parametrize(
    ("soundness", "after", "expected"),
    [
        (report(), contents(), True),
        (report(complete=False), contents(), False),
        (report(), contents(passed=False), False),
        (None, contents(), False),
        (report(), None, False),
    ],
)
def test_only_what_was_checked_all_through_is_in_order(
    soundness: IntegrityReport | None, after: Contents | None, *, expected: bool
) -> None:
    found = beside(NOW)
    found.soundness, found.after = soundness, after
    assert found.sound is expected


def test_a_person_sees_what_was_restored_and_what_is_lost() -> None:
    found = beside(NOW - timedelta(minutes=10))
    found.backup, found.after = BACKUP, contents(passed=False, last=NOW - timedelta(minutes=11))
    assert found.evidence() == [
        f"Restored from {BACKUP} to 2026-02-04 02:50:00.000000 UTC on db2",
        "Last transaction in it: 2026-02-04 02:49:00.000000 UTC",
        "Lost: what was committed in 0:10:00, 2026-02-04 02:50:00 to 2026-02-04 03:00:00 UTC",
        "Damaged database: could not be checked",
        "Rule balances: broken",
    ]


def test_of_a_database_that_was_not_restored_only_the_damage_is_said() -> None:
    found = beside(None)
    found.damage = report()
    assert found.evidence() == [f"Damaged database: {report()}"]


async def test_a_named_backup_is_taken_as_it_is_and_a_gap_in_the_log_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []
    found = beside(NOW)
    found.run = cast("Runbook", SimpleNamespace(say=lambda *told, **_: said.append(told)))
    found.plan.named, found.plan.backups = True, [BACKUP.model_copy(update={"verified": None})]

    async def check(*_: Any) -> Any:
        return SimpleNamespace(reaches=False, detail="a segment is missing")

    monkeypatch.setattr("workflows.disaster_recovery.restore.restore_beside.dry_check", check)
    with pytest.raises(Exception, match="a segment is missing"):
        await found.choose()
    assert found.backup is found.plan.backups[0]
