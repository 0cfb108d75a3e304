"""A report's charts stand where its numbers are."""

import math
import re
from datetime import timedelta

import pytest

from audit.render.report_charts import charts
from tests.audit.render.months import SVG, marks, month, place
from tests.audit.reports import incident, report
from tests.audit.stories import BEGAN


def test_dots_stand_where_the_times_are_and_the_targets_where_2_1_wants_them() -> None:
    told = month()
    found = marks(charts(told)["incidents"])
    first, second = (row.incident_id for row in told.incidents)
    heights = {
        seconds: place(found[f"{name}-{number}"])[1]
        for number, row in ((first, told.incidents[0]), (second, told.incidents[1]))
        for name in ("acknowledged", "mitigated", "resolved")
        if (seconds := getattr(row, name).total_seconds())
    }
    assert sorted(heights) == [10, 100, 1000, 1200, 10_000]
    # A scale of logarithms: every tenfold is the same height.
    tenfold = heights[10] - heights[100]
    assert tenfold > 20
    for seconds, height in heights.items():
        assert height == pytest.approx(heights[10] - tenfold * math.log10(seconds / 10), abs=0.05)
    line = next(found[f"target-{first}"].iter(f"{SVG}path")).get("d", "")
    target = {float(y) for _, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", line)}
    assert target.pop() == pytest.approx(heights[10] - tenfold * math.log10(90), abs=0.05)
    assert target == set()
    assert place(found[f"resolved-{first}"])[0] < place(found[f"resolved-{second}"])[0]


def test_bars_are_as_long_as_what_they_count() -> None:
    drawn = charts(month())

    def length(chart: str, mark: str) -> float:
        path = next(marks(drawn[chart])[mark].iter(f"{SVG}path")).get("d", "")
        xs = [float(x) for x, _ in re.findall(r"[ML] ([\d.]+) ([\d.]+)", path)]
        return max(xs) - min(xs)

    one = length("outcomes", "outcome-Rollback-failed")
    assert length("outcomes", "outcome-Rollback-rolled back") == pytest.approx(2 * one, abs=0.01)
    assert length("retries", "retries-slack") == pytest.approx(3 * length("retries", "retries-helm"), abs=0.01)
    assert length("retries", "failed-helm") == pytest.approx(length("retries", "retries-helm"), abs=0.01)


def test_the_same_report_gives_the_same_charts_and_an_empty_one_none() -> None:
    told = month()
    assert charts(told) == charts(told)
    assert charts(report()) == {}


def test_an_incident_that_nobody_has_acknowledged_yet_is_drawn_by_what_is_known() -> None:
    told = report(incident(1, lasting=None), as_of=BEGAN + timedelta(hours=2))
    found = marks(charts(told)["incidents"])
    assert {name for name in found if name.endswith(told.incidents[0].incident_id)} == {
        f"target-{told.incidents[0].incident_id}"
    }
