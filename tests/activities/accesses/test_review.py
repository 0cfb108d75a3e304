"""What is found in a day's accesses beside those of the weeks before."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.exceptions import CancelledError
from temporalio.testing import ActivityEnvironment

from activities.accesses.access import Access
from activities.accesses.review import MOST_ROWS, MOST_SUBJECTS, Review, Subject, Window, review

NOW = datetime(2026, 6, 2, 12, tzinfo=UTC)
WINDOW = Window(since=NOW - timedelta(days=1), until=NOW + timedelta(seconds=1), known_since=NOW - timedelta(days=31))
OFTEN = 5


def access(minutes: float, address: str = "198.51.100.7", who: str = "", *, allowed: bool | None = True) -> Access:
    """Give one so many minutes before now."""
    return Access(NOW - timedelta(minutes=minutes), address, who, "POST /login", allowed)


def days(number: float) -> float:
    return number * 24 * 60


def judged(*accesses: Access) -> Review:
    found: Review = ActivityEnvironment().run(review, Subject("api", "database", WINDOW, OFTEN), accesses, [])
    return found


def named(found: Review) -> dict[str, list[str]]:
    kinds = dict.fromkeys(each.kind for each in found.findings)
    return {kind: [each.subject for each in found.findings if each.kind == kind] for kind in kinds}


USUAL = [access(days(3), "203.0.113.20", "ada"), access(60, "203.0.113.99", "ada")]
"""The same place the whole month."""


def test_what_is_as_always_is_no_finding() -> None:
    found = judged(*USUAL)
    assert found.findings == []
    assert (found.accesses, found.before, found.not_judged) == (1, 1, [])


def test_refused_often_from_one_address() -> None:
    found = judged(*USUAL, *(access(minute, "8.8.8.8", "ada", allowed=False) for minute in range(OFTEN)))
    assert named(found) == {"refused address": ["8.8.8.8"]}
    (finding,) = found.findings
    assert finding.times == len(finding.rows) == OFTEN
    assert finding.first == NOW - timedelta(minutes=OFTEN - 1)
    assert finding.last == NOW


def test_once_less_is_none() -> None:
    assert judged(*(access(minute, allowed=False) for minute in range(OFTEN - 1))).findings == []


def test_guessed_is_let_in_behind_the_refusals_alone() -> None:
    refused = [access(minute, "8.8.8.8", allowed=False) for minute in range(10, 10 + OFTEN)]
    assert "guessed" not in named(judged(*USUAL, *refused, access(30, "8.8.8.8")))  # before them: it went on to mistype
    found = judged(*USUAL, *refused, access(5, "8.8.8.8"))
    assert named(found)["guessed"] == ["8.8.8.8"]
    assert found.suspects(10) == ["8.8.8.8/32"]


def test_the_order_in_which_they_are_read_is_none() -> None:
    refused = [access(minute, "8.8.8.8", allowed=False) for minute in range(10, 30)]
    all_of_them = [*USUAL, *refused, access(5, "8.8.8.8")]
    assert judged(*all_of_them) == judged(*reversed(all_of_them))


def test_one_name_from_several_places() -> None:
    places = ["8.8.8.8", "8.8.4.4", "1.1.1.1"]
    spread = [access(minute, places[minute % 3], "ada", allowed=False) for minute in range(6)]
    assert named(judged(*USUAL, *spread)) == {"refused name": ["ada"]}
    at_home = [access(minute, f"8.8.8.{minute}", "ada", allowed=False) for minute in range(6)]
    assert named(judged(*USUAL, *at_home)) == {}  # one place


def test_a_key_from_a_new_place() -> None:
    found = judged(
        *USUAL,
        access(20, "8.8.8.8", "ada"),
        access(20, "203.0.113.30", "bob"),  # of a known place, and new: nothing is known of where bob comes from
    )
    assert named(found) == {"new place": ["ada"], "new address": ["8.8.8.8"]}
    assert [row.address for row in found.findings[0].rows] == ["8.8.8.8"]


def test_without_a_before_nothing_is_new_and_that_is_said() -> None:
    found = judged(access(20, "8.8.8.8", "ada"))
    assert found.findings == []
    assert found.not_judged == ["new place", "new address"]


def test_neither_allowed_nor_refused_is_no_finding() -> None:
    assert judged(*USUAL, *(access(minute, "8.8.8.8", allowed=None) for minute in range(20))).findings == []


def test_other_times_do_not_count() -> None:
    old = [access(days(40), "8.8.8.8", "ada"), access(-10, "8.8.8.8", "ada")]
    found = judged(*USUAL, *old, access(20, "8.8.8.8", "ada"))
    assert (found.accesses, found.before) == (2, 1)
    assert "new place" in named(found)


def test_many_are_counted_and_some_are_shown() -> None:
    addresses = [f"8.8.{number // 250}.{number % 250 + 1}" for number in range(MOST_SUBJECTS + 7)]
    found = judged(*(access(1 + n, each, allowed=False) for each in addresses for n in range(OFTEN)))
    assert len(found.findings) == MOST_SUBJECTS
    assert found.left_out == {"refused address": 7}
    (one,) = judged(*(access(1 + n / 100, "8.8.8.8", allowed=False) for n in range(MOST_ROWS + 50))).findings
    assert (one.times, len(one.rows)) == (MOST_ROWS + 50, MOST_ROWS)


def test_only_addresses_of_the_internet_are_suspects() -> None:
    refused = [access(n, each, allowed=False) for each in ("10.0.0.7", "2001:db8::1", "x", "2606::7") for n in range(6)]
    assert judged(*refused).suspects(10) == ["2606::7/128"]


def test_a_review_that_is_cancelled_ends() -> None:
    environment = ActivityEnvironment()
    of = Subject("api", "database", WINDOW, OFTEN)

    def endless() -> Iterator[Access]:
        while True:
            yield access(10)
            environment.cancel()

    with pytest.raises(CancelledError):
        environment.run(review, of, endless(), [])


def test_its_file_goes_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    judged(*USUAL)
    assert list(tmp_path.iterdir()) == []
