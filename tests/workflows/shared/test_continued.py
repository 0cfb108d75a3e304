"""Other runs' open incidents, and a word to them; that a run has ended and hears nothing is said."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio import workflow
from temporalio.exceptions import ApplicationError

from activities.records.incidents import OpenIncident, OpenIncidents
from tests.workflows.worlds.world import World
from workflows.platform.runbook import Runbook
from workflows.shared.continued import HandedOver, hands_over, open_incidents, tell

AT = datetime(2026, 2, 4, tzinfo=UTC)
WORD = HandedOver(so_far=None)


def incident(number: int, severity: Any, run: str, hours: int = 0) -> OpenIncident:
    return OpenIncident(
        incident_id=f"I-{number}",
        severity=severity,
        title="",
        status="open",
        opened_at=AT + timedelta(hours=hours),
        workflow_id=run,
    )


class Run:
    """A run to whom the records answer `found`."""

    def __init__(self, found: OpenIncidents | None = None) -> None:
        self.found = found
        self.said: list[str] = []

    async def attempt(self, *_: Any) -> OpenIncidents | None:
        return self.found

    def say(self, _: str, text: str) -> None:
        self.said.append(text)


@pytest.fixture(autouse=True)
def reached(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs that were told; of `gone` none is open."""
    told: list[str] = []

    def handle(workflow_id: str) -> Any:
        async def signal(name: str, _: Any) -> None:
            if workflow_id == "gone":
                raise ApplicationError("not found")
            told.append(f"{workflow_id} {name}")

        return SimpleNamespace(signal=signal)

    monkeypatch.setattr(workflow, "info", lambda: SimpleNamespace(workflow_id="me"))
    monkeypatch.setattr(workflow, "get_external_workflow_handle", handle)
    return told


async def found(items: list[OpenIncident] | None) -> list[str]:
    run = Run(None if items is None else OpenIncidents(items=items))
    service = World().service
    others = await open_incidents(cast("Runbook", run), "2.3", service, ["P1", "P2"])
    return [one.incident_id for one in others]


async def test_the_most_severe_and_then_the_oldest_come_first_without_ones_own() -> None:
    items = [
        incident(1, "P2", "a"),
        incident(2, "P1", "b", hours=2),
        incident(3, "P1", "c", hours=1),
        incident(4, "P1", "me"),
    ]
    assert await found(items) == ["I-3", "I-2", "I-1"]


async def test_where_the_records_cannot_be_read_a_run_goes_on_alone() -> None:
    assert await found(None) == []


async def test_a_run_that_is_open_is_told(reached: list[str]) -> None:
    run = Run()
    assert await tell(cast("Runbook", run), incident(1, "P1", "other"), "joined", WORD)
    assert reached == ["other joined"]
    assert run.said == []


@pytest.mark.parametrize(("of", "said"), [("", 0), ("gone", 1)])
async def test_a_run_that_is_not_there_is_not_and_an_ended_one_is_said(of: str, said: int, reached: list[str]) -> None:
    run = Run()
    assert not await tell(cast("Runbook", run), incident(1, "P1", of), "joined", WORD)
    assert reached == []
    assert len(run.said) == said


@pytest.mark.parametrize(
    ("pinned", "expected"),
    [(None, False), (SimpleNamespace(takes_over=False), False), (SimpleNamespace(takes_over=True), True)],
)
def test_only_runs_that_began_with_it_hand_over(pinned: Any, *, expected: bool) -> None:
    assert hands_over(cast("Runbook", SimpleNamespace(pinned=pinned))) is expected
