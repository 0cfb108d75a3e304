"""The page about a missing worker is as severe as the worst run that waits, and its ID is one of ours."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from temporalio import workflow

from activities.messages.paging.pagerduty import is_ours
from activities.monitoring.workers import WaitingRun
from workflows.upkeep.missing_worker import MissingSoFar, _back, _page_id, _severity

SINCE = datetime(2026, 2, 4, 3, 0, 5, tzinfo=UTC)


def waiting(run_id: str = "r1", severity: str = "") -> WaitingRun:
    return WaitingRun(workflow_id="w", run_id=run_id, step="slack.post", since=SINCE, severity=severity)


@pytest.mark.parametrize(("severity", "expected"), [("P1", "P1"), ("P2", "P2"), ("P4", "P2"), ("", "P2")])
def test_only_a_p1_that_waits_pages_as_one(severity: str, expected: str) -> None:
    assert _severity(waiting(severity=severity)) == expected


def test_the_page_is_known_as_ours_and_another_runs_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = []
    for first in ("r1", "r2", "r1"):
        info = SimpleNamespace(first_execution_run_id=first)
        monkeypatch.setattr(workflow, "info", lambda info=info: info)
        ids.append(_page_id(MissingSoFar(since=SINCE)))
    assert ids[0] == ids[2] != ids[1]
    assert ids[0].startswith("OPS-20260204-030005-")
    assert all(is_ours(f"{one}/L1") for one in ids)


def test_who_was_told_is_told_that_it_is_back() -> None:
    so_far = MissingSoFar(since=SINCE, told={"r1": waiting(), "r2": waiting("r2")})
    word = _back("database", so_far)
    assert (word.role, word.back, [run.run_id for run in word.runs]) == ("database", True, ["r1", "r2"])
