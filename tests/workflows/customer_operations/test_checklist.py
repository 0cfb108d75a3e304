"""The checklist of an onboarding: what is open, what comes first, and how it is shown."""

from datetime import UTC, datetime, timedelta

import pytest

from activities.common.errors import InvalidInput
from workflows.customer_operations.checklist import Checklist, Item, checklist

SIGNED = datetime(2026, 2, 4, 9, tzinfo=UTC)


@pytest.fixture
def items() -> Checklist:
    return checklist(SIGNED)


def tick(items: Checklist, *phases: str) -> None:
    for phase in phases:
        for item in items.phase(phase).items:
            item.done_at, item.done_by = SIGNED, "ada"


def test_nothing_is_ticked_and_no_id_is_there_twice(items: Checklist) -> None:
    ids = [item.id for phase in items.phases for item in phase.open]
    assert len(ids) == len(set(ids)) == sum(len(phase.items) for phase in items.phases)
    assert not items.done


def test_due_dates_count_from_the_contract_and_come_one_after_another(items: Checklist) -> None:
    due = [phase.due_at - SIGNED for phase in items.phases]
    assert due == sorted(due)
    assert due[0] == timedelta(days=1)


def test_the_first_phase_with_something_open_is_the_current_one(items: Checklist) -> None:
    tick(items, "day-0", "implementation")
    assert items.current is items.phase("kickoff")
    tick(items, "kickoff", "go-live", "post-launch")
    assert items.current is None
    assert items.done


def test_the_data_tick_only_what_is_still_open(items: Checklist) -> None:
    assert set(items.awaited) == {"api_call", "training_job", "monitoring"}
    items.item("first-api-call").done_at = SIGNED
    assert set(items.awaited) == {"training_job", "monitoring"}


def test_a_pause_moves_what_is_open_alone(items: Checklist) -> None:
    tick(items, "day-0")
    before = [phase.due_at for phase in items.phases]
    items.shift(timedelta(days=3))
    assert [phase.due_at - was for phase, was in zip(items.phases, before, strict=True)] == [
        timedelta(0),
        *[timedelta(days=3)] * (len(before) - 1),
    ]


def test_what_is_not_there_is_refused_with_what_is(items: Checklist) -> None:
    with pytest.raises(InvalidInput, match=r"'golive'\. Phases: day-0, kickoff"):
        items.phase("golive")
    tick(items, "day-0")
    with pytest.raises(InvalidInput, match=r"'tennant'\. Open: kickoff-call"):
        items.item("tennant")
    tick(items, "kickoff", "implementation", "go-live", "post-launch")
    with pytest.raises(InvalidInput, match="Open: nothing"):
        items.item("tennant")


def test_a_phase_that_is_late_says_so_as_long_as_it_is_open(items: Checklist) -> None:
    items.phase("kickoff").late = True
    assert "due 2026-02-07 ⚠ late" in items.markdown()
    tick(items, "kickoff")
    assert "⚠ late" not in items.markdown()
    assert str(items.phase("kickoff")).endswith("0 of 5 open")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "- [ ] Integration timeline agreed (`timeline-agreed`)"),
        ({"done_at": SIGNED, "done_by": "ada"}, "- [x] Integration timeline agreed (2026-02-04, ada)"),
        (
            {"done_at": SIGNED, "done_by": "ada", "needed": False, "note": "they wait"},
            "- [x] Integration timeline agreed (2026-02-04, ada, not needed: they wait)",
        ),
        (
            {"done_at": SIGNED, "done_by": "ada", "evidence": "https://wiki.example/1"},
            "- [x] Integration timeline agreed (2026-02-04, ada) — [evidence](<https://wiki.example/1>)",
        ),
    ],
)
def test_an_item_is_shown_with_who_ticked_it_and_why(
    items: Checklist, fields: dict[str, object], expected: str
) -> None:
    phase = items.phase("kickoff")
    phase.items[2] = Item.model_validate(phase.items[2].model_dump() | fields)
    assert expected in items.markdown().splitlines()
