"""Runs that ask, and what was said to them."""

from datetime import UTC, datetime, timedelta

from workflows.platform.approval import Decided, OpenQuestion
from workflows.platform.run_status import RunStatus
from workflows.platform.timeline import Entry, Kind

AT = datetime(2026, 2, 4, 3, 0, tzinfo=UTC)


def question(name: str, *roles: str) -> OpenQuestion:
    return OpenQuestion(
        id=name,
        title="Which?",
        options={"keep": "as it is", "switch": "to the copy"},
        default="keep",
        kind="restore",
        reason_for=["switch"],
        timeout=timedelta(minutes=5),
        asked_at=AT,
        roles=list(roles),
        subject="s",
    )


def over(name: str, choice: str, by: str, reason: str = "") -> Decided:
    return Decided(question=name, choice=choice, by=by, reason=reason, at=AT)


def status(
    *questions: OpenQuestion,
    closed: tuple[Decided, ...] = (),
    said: tuple[tuple[Kind, str, str], ...] = (),
    waiting_for: str = "",
    procedure: str = "PointInTimeRestore",
) -> RunStatus:
    entries = [Entry(at=AT, kind=kind, phase="", text=text, who=who) for kind, text, who in said]
    return RunStatus(
        section="7.3",
        procedure=procedure,
        title="t",
        phase="p",
        started_at=AT,
        now=AT,
        dry_run=False,
        clocks=[],
        questions=list(questions),
        decided=list(closed),
        entries=entries,
        waiting_for=waiting_for,
    )
