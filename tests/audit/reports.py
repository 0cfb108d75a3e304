"""Incidents of one month, and the report on them."""

from datetime import datetime, timedelta
from typing import Any

from audit.report import Month, Report
from audit.report_counting import Counting, count
from audit.story import RunIdentity, Said, Story, Timer
from tests.audit.stories import BEGAN, story

NOVEMBER = Month.of("2026-11")


S = timedelta(seconds=1)


def report(*stories: Story, month: Month = NOVEMBER, as_of: datetime | None = None) -> Report:
    counting = Counting(
        month,
        as_of or month.until,
        lambda one: one.started_at + 900 * S if one.severity == "P1" else None,
        {"P1": 900 * S},
    )
    return count(stories, counting)


def deadline(name: str, started: datetime, **ends: datetime) -> Timer:
    return Timer(event_id=5, kind="deadline", name=name, started_at=started, due_at=started + 300 * S, **ends)


def incident(
    number: int,
    *,
    severity: str = "P1",
    acknowledged: float | None = None,
    mitigated: float | None = None,
    lasting: float | None = 3600,
    **fields: Any,
) -> Story:
    began = BEGAN + number * timedelta(hours=1)
    reached = {"Acknowledged": acknowledged, "Mitigated": mitigated}
    met = {name: began + after * S for name, after in reached.items() if after is not None}
    return story(
        number,
        run=RunIdentity(workflow_id=f"p1-{number}", run_id=f"run-{number}", workflow_type="P1Incident"),
        severity=severity,
        incident_id=f"INC-{number}",
        outcome="closed" if lasting is not None else "",
        status="completed" if lasting is not None else "running",
        started_at=began,
        ended_at=began + lasting * S if lasting is not None else None,
        timers=[
            deadline(
                name,
                began,
                **(
                    {"canceled_at": met[name]}
                    if name in met and met[name] <= began + 300 * S
                    else {"fired_at": began + 300 * S}
                ),
            )
            for name in reached
        ],
        said=[Said(at=at, kind="deadline", text=f"{name} after 1.0 s") for name, at in met.items()],
        **fields,
    )
