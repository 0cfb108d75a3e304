"""Runs of every procedure with hostile texts, and Slack's own rules for what is taken."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from starters.slack import head, limits
from starters.steering.ending import Ending
from tests.activities.contracts.block_kit import faults
from workers.registry import PROCEDURES, Procedure
from workflows.platform.approval import OpenQuestion
from workflows.platform.clocks import Clock
from workflows.platform.run_status import RunStatus
from workflows.platform.timeline import Entry

NOW = datetime(2026, 2, 4, 3, tzinfo=UTC)


HOSTILE = [
    "",
    " ",
    "<!channel> <@U123> <https://evil.example|the Temporal UI>",
    "&" * 5000,
    "<" * 5000,
    "&amp;" * 2000,
    "x" * 20_000,
    "🔥" * 3000,
    "\n" * 4000,
    "`*_~>" * 900,
    "a\x1b[31mb\u202ec\u200bd",
    "]|>{}" * 50,
    "é" * 2999,
]


every = pytest.mark.parametrize("procedure", PROCEDURES, ids=lambda one: one.command)


def question(text: str, number: int, choices: int = 3) -> OpenQuestion:
    name = text or "nothing"
    options = {f"{name}-{one}": text for one in range(choices)}
    return OpenQuestion(
        id=f"{name}-{number}",
        title=text,
        options=options,
        recommended=f"{name}-0",
        default=f"{name}-1",
        kind="mitigate",
        timeout=timedelta(minutes=5),
        asked_at=NOW,
        roles=[text, "on-call"],
        subject="0" * 64,
        reason_for=[f"{name}-2"],
    )


def status(procedure: str, text: str, *, questions: int = 2, choices: int = 3, **more: Any) -> RunStatus:
    entries = [Entry(at=NOW, kind="decision", phase=text[:500], text=text, who=text[:500]) for _ in range(30)]
    return RunStatus(
        section="2.2",
        procedure=procedure,
        title=text,
        phase=text,
        started_at=NOW,
        now=NOW,
        dry_run=True,
        service=text,
        severity=text,
        incident_id=text,
        waiting_for=text,
        board=text,
        entries=entries,
        clocks=[Clock(name=text, due_at=NOW, missed=True), Clock(name=text, due_at=NOW, met_at=NOW)] * 10,
        questions=[question(text, one, choices) for one in range(questions)],
        **more,
    )


def taken(procedure: Procedure, text: str) -> None:
    run = (f"{procedure.command}/{text}"[:1000], "0" * 36)
    for shown in (
        head.head(run, status(procedure.workflow_type, text), f"http://ui/{text}".replace("\n", "")),
        head.head(run, status(procedure.workflow_type, text), "http://ui", Ending(how=text, by=text, why=text)),
    ):
        assert faults(shown.blocks) == []
        assert 0 < limits.size(shown.text) <= limits.TEXT
