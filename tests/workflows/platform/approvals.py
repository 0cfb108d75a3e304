"""Questions, and who answers them."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio import workflow

from activities.catalogue.service import ApprovalPolicy
from workflows.platform.approval import Approvals, Decision, Question

NOW = datetime(2026, 2, 4, 3, tzinfo=UTC)


QUESTION = Question(
    id="q",
    title="Which?",
    options={"a": "do a", "b": "do b", "none": "nothing"},
    default="none",
    kind="mitigate",
    reason_for=["b"],
    timeout=timedelta(minutes=5),
)


def approvals(**policy: Any) -> Approvals:
    made = Approvals()
    made.policy = ApprovalPolicy(**{"allow_unsigned": True, **policy})
    made.put(QUESTION)
    return made


def says(choice: str = "a", who: str = "ada", **fields: Any) -> Decision:
    return Decision(**{"who": who, "role": "on-call", "question": "q", "choice": choice, **fields})


@pytest.fixture(autouse=True)
def at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    info = SimpleNamespace(workflow_id="w", first_execution_run_id="r", run_id="later")
    monkeypatch.setattr(workflow, "now", lambda: NOW)
    monkeypatch.setattr(workflow, "info", lambda: info)
