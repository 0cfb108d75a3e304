"""An onboarding looks again when something is due next, and not where nothing is to come."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tests.workflows.worlds.world import World
from workflows.customer_operations.checklist import Checklist, checklist
from workflows.customer_operations.checklist_watch import ChecklistWatch
from workflows.customer_operations.day_0 import meeting_day

SIGNED = datetime(2026, 2, 4, 9, tzinfo=UTC)
SERVICE = World().service
POLICY = SERVICE.customers.onboarding
FAR = SIGNED + timedelta(days=300)


@pytest.fixture
def items() -> Checklist:
    return checklist(SIGNED)


def watch(items: Checklist, next_look: datetime = FAR) -> ChecklistWatch:
    day_0: Any = SimpleNamespace(run=None, desk=SimpleNamespace(service=SERVICE), account=None)
    return ChecklistWatch(day_0, items, lambda *_, **__: None, SIGNED, next_look)


def done(items: Checklist, *, but: tuple[str, ...] = ()) -> None:
    for phase in items.phases:
        for item in phase.items:
            item.done_at = None if item.id in but else SIGNED


def test_a_phase_is_reminded_of_then_late_and_then_left(items: Checklist) -> None:
    done(items, but=("kickoff-call",))
    phase = items.phase("kickoff")
    assert watch(items).next() == phase.due_at - POLICY.remind_before
    phase.reminded = True
    assert watch(items).next() == phase.due_at + POLICY.escalate_after
    phase.late = True
    assert watch(items).next() is None


def test_data_are_looked_at_as_long_as_they_may_tick_something(items: Checklist) -> None:
    soon = SIGNED + timedelta(minutes=1)
    done(items, but=("first-api-call",))
    assert watch(items, soon).next() == soon
    done(items)
    assert watch(items, soon).next() is None


def test_the_invitation_goes_out_a_week_before_the_check_in(items: Checklist) -> None:
    done(items, but=("qbr",))
    items.phase("post-launch").reminded = items.phase("post-launch").late = True
    assert watch(items).next() == meeting_day(SERVICE, SIGNED + timedelta(days=30)) - timedelta(days=7)
