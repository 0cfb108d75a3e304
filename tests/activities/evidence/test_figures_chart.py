"""A picture of figures has what is known and says what is not; the same data give the same bytes."""

from datetime import UTC, datetime, timedelta
from typing import Any

from activities.evidence.figures_chart import LIMIT, LINE, Panel, draw

START = datetime(2026, 11, 23, 10, tzinfo=UTC)
END = START + timedelta(hours=1)


def series(*values: str) -> list[dict[str, Any]]:
    return [{"values": [(START.timestamp() + 60 * number, value) for number, value in enumerate(values)]}]


def drawn(*panels: Panel) -> str:
    return draw(panels, START, END).decode()


def test_figures_are_drawn_one_below_the_other_with_their_limits_and_are_the_same_each_time() -> None:
    panels = Panel("errors, %", series("0.01", "0.2"), 100, limit=0.05), Panel("p95, s", series("1", "2"))
    picture = drawn(*panels)
    for text in ("errors, %", "p95, s", "limit 5"):
        assert text in picture
    assert (LINE in picture, LIMIT in picture, "no data" in picture) == (True, True, False)
    assert drawn(*panels) == picture


def test_what_is_no_number_is_not_drawn_and_why_there_is_nothing_is_said() -> None:
    picture = drawn(Panel("errors", series("NaN", "+Inf")), Panel("p95", [], missing="bad_data: parse error"))
    assert ("no data" in picture, "bad_data: parse error" in picture, LINE in picture) == (True, True, False)


def test_a_title_is_text_and_no_formula() -> None:
    assert "$x^2$ &lt;b&gt; \u4e16" in drawn(Panel("$x^2$ <b> \u4e16", series("1")))
