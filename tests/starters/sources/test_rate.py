"""The rate of a source fills again, and never above its burst."""

from starters.sources.rate import Rate


def test_the_rate_fills_again_and_never_above_its_burst() -> None:
    now = 0.0
    rate = Rate(2, lambda: now)
    assert [rate.take() for _ in range(21)] == [True] * 20 + [False]
    assert rate.wait == 1
    now = 0.5
    assert [rate.take() for _ in range(2)] == [True, False]
    now = 3600.0
    assert sum(rate.take() for _ in range(100)) == 20
