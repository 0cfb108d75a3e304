"""When a certificate is due: its authority's word, else what is left of its life."""

from datetime import timedelta

import pytest

from activities.certificates.orders import Window
from tests.workflows.worlds.certified import DAY, NOON, certificate
from workflows.maintenance.renewal_windows import due

HOUR = timedelta(hours=1)


def is_due(lifetime: timedelta, left: timedelta) -> bool:
    return due(certificate(left=left, lifetime=lifetime), NOON, None, every=DAY).due


@pytest.mark.parametrize(
    ("lifetime", "left", "expected"),
    [
        (90, 29, True),
        (90, 31, False),
        (90, 30, True),
        (398, 29, True),
        (398, 31, False),
        (100, 29, True),
        (100, 31, False),
        (47, 15, True),
        (47, 16, False),
        (10, 3.3, True),
        (10, 3.4, False),
        (6, 2.9, True),
        (6, 3.1, False),
        (6, 3, True),
        (90, 0, True),
        (90, -1, True),
    ],
)
def test_what_is_left_counts_by_its_lifetime(lifetime: float, left: float, *, expected: bool) -> None:
    assert is_due(lifetime * DAY, left * DAY) is expected


def test_ninety_days_less_a_second_as_authorities_issue_them() -> None:
    lifetime = 90 * DAY - timedelta(seconds=1)
    assert is_due(lifetime, 29 * DAY)
    assert not is_due(lifetime, 31 * DAY)


def window(start: timedelta, end: timedelta) -> Window:
    return Window(offered=True, start=NOON + start, end=NOON + end)


@pytest.mark.parametrize(
    ("left", "begins", "ends", "expected"),
    [
        (60, -2, -1, True),  # moved forward: now, though two thirds are left
        (25, 5, 6, False),  # the authority spreads its load: later than by the rule
        (60, 0.5, 0.9, True),  # before the next look
        (60, 1.1, 2, False),
        (60, 59.5, 60, False),  # too late to be meant; and by the rule there is time
        (20, 19.5, 20, True),
    ],
)
def test_the_authoritys_window_counts_first(left: float, begins: float, ends: float, *, expected: bool) -> None:
    found = due(certificate(left=left * DAY), NOON, window(begins * DAY, ends * DAY), every=DAY)
    assert found.due is expected


def test_many_certificates_are_spread_over_the_window() -> None:
    wide = window(10 * DAY, 20 * DAY)
    moments = [wide.moment(certificate(f"{number:04x}" * 2)) for number in range(0, 0x10000, 0x1000)]
    days = sorted((moment - NOON) / DAY for moment in moments if moment)
    assert 10 <= days[0] < days[-1] <= 20
    assert wide.moment(certificate("a")) == wide.moment(certificate("a"))


def test_what_is_revoked_is_due_whatever_is_left() -> None:
    assert due(certificate(left=80 * DAY), NOON, None, every=DAY, revoked=True).due


def test_it_says_by_which_rule() -> None:
    assert (
        due(certificate(), NOON, None, every=DAY).because == "29.0 days of 90.0 days are left, renewed from 30.0 days"
    )
    assert "its authority wants it renewed from 2026-02-14 12:00 UTC" in str(
        due(certificate(), NOON, window(10 * DAY, 20 * DAY), every=DAY)
    )
    assert "expired at 2026-02-03" in due(certificate(left=-DAY), NOON, None, every=DAY).because
