"""Every benchmark can be asked for by its name."""

from bench.__main__ import ALL, BENCHMARKS


def test_no_benchmark_hides_another() -> None:
    assert [*BENCHMARKS.values()] == [*ALL]
