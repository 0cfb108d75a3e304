"""What a mark of a run says, and for how long."""

from datetime import UTC, datetime, timedelta

import pytest

from activities.kubernetes import run_marks
from activities.kubernetes.run_marks import RunMark

NAME = "runbooks.dev/stopped"
GRACE = timedelta(minutes=10)


def marked(ends_in: timedelta, **fields: str) -> RunMark | None:
    mark = RunMark(run="restore/x", until=datetime.now(UTC) + ends_in)
    return run_marks.read({NAME: mark.model_dump_json(), **fields}, NAME)


@pytest.mark.parametrize(
    ("ends_in", "holds"),
    [
        (timedelta(hours=1), True),
        (-GRACE + timedelta(seconds=30), True),  # its run is still letting go
        (-GRACE - timedelta(seconds=30), False),
        (-GRACE * 2 + timedelta(minutes=1), False),
        (timedelta(days=-1), False),
    ],
)
def test_it_holds_for_a_while_after_its_end(ends_in: timedelta, *, holds: bool) -> None:
    found = marked(ends_in)
    assert (found is not None) is holds
    if found is not None:
        assert found.run == "restore/x"


@pytest.mark.parametrize("text", ["", "{}", "by hand", '{"run": "x", "until": "2026-02-04T03:00:00"}'])
def test_what_is_no_mark_holds_nothing(text: str) -> None:
    assert run_marks.read({NAME: text}, NAME) is None
    assert run_marks.read({}, NAME) is None
    assert run_marks.read({"another": marked(timedelta(hours=1)).model_dump_json()}, NAME) is None  # type: ignore[union-attr]


def test_it_says_who_and_until_when_and_stays_as_it_is() -> None:
    mark = RunMark(run="restore/x", until=datetime(2026, 2, 4, 3, tzinfo=UTC))
    assert str(mark) == "restore/x until 2026-02-04 03:00:00 UTC"
    with pytest.raises(ValueError, match="frozen"):
        mark.run = "another"  # type: ignore[misc]
