"""An open question as the Temporal UI shows it."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from activities.catalogue.service import ApprovalPolicy
from workflows.platform.approval import Approvals, Decision, OpenQuestion
from workflows.platform.questions import in_ui

QUESTION = OpenQuestion(
    id="switch-1",
    title="Switch <over>?",
    options={"keep": "as it is", "switch": "to `the` copy"},
    default="keep",
    recommended="switch",
    kind="restore",
    reason_for=["switch"],
    timeout=timedelta(minutes=5),
    asked_at=datetime(2026, 2, 4, 3, 0, tzinfo=UTC),
    roles=["dba", "commander"],
    subject="s",
)


def test_what_is_to_be_pasted_is_an_answer_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflows.platform.approval.workflow.now", lambda: QUESTION.asked_at)
    shown = in_ui(QUESTION)
    (block,) = re.findall(r"```json\n(.*)\n```", shown)
    approvals = Approvals()
    approvals.policy = ApprovalPolicy(allow_unsigned=True)
    approvals.open[QUESTION.id] = QUESTION
    decision = Decision.model_validate(json.loads(block))
    approvals.check(decision)
    assert approvals.answer(decision).choice == "switch"


def test_it_says_what_is_asked_who_may_decide_and_until_when_and_obeys_nothing() -> None:
    shown = in_ui(QUESTION)
    assert shown.startswith("### Asked: Switch &lt;over&gt;?")
    assert "- **keep**: as it is (without an answer)" in shown
    assert "(recommended)" in shown
    assert "dba, commander, until 03:05:00 UTC" in shown
    hostile = in_ui(QUESTION.model_copy(update={"recommended": "```\n# x", "options": {"```\n# x": "y"}}))
    assert hostile.count("```") == 2
