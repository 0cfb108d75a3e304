"""A breach is what was seen beyond a limit for long enough, and not what nobody saw."""

import pytest

from activities.monitoring.figures import Breaches, Figures, worse

ABOVE = {"error rate": "error rate 9 %", "latency": ""}
WELL = {"error rate": "", "latency": ""}
UNKNOWN: dict[str, str | None] = {"error rate": None, "latency": ""}


def watched(*samples: tuple[float, dict[str, str | None]], before: float = 0.0) -> Breaches:
    breaches = Breaches({"error rate": before} if before else {}, enough=60)
    for at, judged in samples:
        breaches.see(at, judged)
    return breaches


@pytest.mark.parametrize(
    ("samples", "broken"),
    [
        ([(0.0, ABOVE), (60.0, ABOVE)], True),
        ([(0.0, ABOVE), (59.0, ABOVE)], False),
        ([(0.0, ABOVE), (30.0, WELL), (70.0, ABOVE)], False),
        ([(0.0, ABOVE), (30.0, WELL), (70.0, ABOVE), (130.0, ABOVE)], True),
        # The time in which nothing was known counts for neither.
        ([(0.0, ABOVE), (30.0, ABOVE), (40.0, UNKNOWN), (80.0, ABOVE)], False),
        ([(0.0, ABOVE), (30.0, ABOVE), (40.0, UNKNOWN), (80.0, ABOVE), (110.0, ABOVE)], True),
        # It stays one.
        ([(0.0, ABOVE), (60.0, ABOVE), (70.0, WELL)], True),
    ],
)
def test_only_what_was_seen_for_long_enough_is_a_breach(
    samples: list[tuple[float, dict[str, str | None]]], *, broken: bool
) -> None:
    assert watched(*samples).broken is broken


def test_an_attempt_goes_on_with_what_the_one_before_saw() -> None:
    assert watched((0.0, dict(ABOVE)), (20.0, dict(ABOVE)), before=40).broken
    assert not watched((0.0, dict(ABOVE)), (20.0, dict(ABOVE)), before=39).broken


def test_what_is_a_breach_is_told_and_only_where_there_is_none_what_is_beyond() -> None:
    both = {"error rate": "errors", "latency": "slow"}
    breaches = watched((0.0, {"error rate": "errors", "latency": ""}), (50.0, dict(both)))
    assert breaches.told == "errors for 50 s; slow for 0 s"
    assert breaches.see(60.0, dict(both))
    assert breaches.told == "errors for 60 s"


def test_of_two_the_worse_is_each_figures_own() -> None:
    one, other = Figures(error_rate=0.1, p95_latency=None), Figures(error_rate=0.2, p95_latency=0.04)
    assert worse(one, other) == Figures(error_rate=0.2, p95_latency=0.04)
    assert worse(one, Figures()) == one
    assert worse(Figures(), Figures()) == Figures()
