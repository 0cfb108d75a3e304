"""The report as Markdown, HTML, PDF and for a terminal: whole, harmless, and with charts that fit the numbers."""

import json
import math
import re
import xml.etree.ElementTree as ET
from datetime import timedelta
from html.parser import HTMLParser
from io import StringIO
from typing import Any

import pypdfium2
import pytest
from rich.console import Console

from audit.render import report as rendering
from audit.render.report_blocks import blocks
from audit.render.report_charts import charts
from audit.report import Report
from audit.story import RunIdentity, Step, Story
from tests.audit.stories import BEGAN, story
from tests.audit.test_report import incident, report

HOSTILE = "</script><img src=x onerror=alert(1)>#eval(1) `$x$ *b* [a](http://evil) | & \"'"
SVG = "{http://www.w3.org/2000/svg}"
XLINK = "{http://www.w3.org/1999/xlink}href"


def step(activity: str, attempts: int = 1, outcome: Any = "completed") -> Step:
    return Step(
        event_id=1, section="", title="", activity=activity, scheduled_at=BEGAN, attempts=attempts, outcome=outcome
    )


def month() -> Report:
    return report(
        incident(1, acknowledged=10, mitigated=100, lasting=1000),
        incident(
            30,
            acknowledged=1000,
            mitigated=1200,
            lasting=10_000,
            steps=[step("slack.post", 4), step("helm.upgrade", 2, "failed"), step("helm.upgrade")],
        ),
        story(3),
        story(4),
        story(5, outcome="failed"),
    )


def hostile() -> Report:
    def named(number: int, **fields: Any) -> Story:
        run = RunIdentity(workflow_id=HOSTILE, run_id=str(number), workflow_type=HOSTILE)
        return incident(number, acknowledged=10, mitigated=20, severity=HOSTILE).model_copy(
            update={"run": run, "service": HOSTILE, "outcome": HOSTILE, "incident_id": f"{HOSTILE}{number}", **fields}
        )

    return report(*(named(n, steps=[step(f"{HOSTILE}.x", 3)]) for n in range(3)), named(9, dry_run=True))


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.outside: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.outside += [
            f"{tag} {name}={value}"
            for name, value in attrs
            if name.startswith("on") or (name in {"src", "href", "xlink:href"} and not (value or "").startswith("#"))
        ]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("made", [month, hostile, report])
def test_the_page_is_whole_self_contained_and_says_every_cell(made: Any) -> None:
    told = made()
    page = Page(rendering.html(told))
    assert page.outside == []
    assert len(set(page.ids)) == len(page.ids)
    assert not {"script", "img", "link", "iframe"} & set(page.tags)
    for block in blocks(told):
        for cell in (block.title, *(cell for row in block.rows for cell in row)):
            assert cell in page.text
        assert block.rows or block.empty in page.text


@pytest.mark.parametrize("made", [month, hostile, report])
def test_markdown_has_every_row_and_no_markup_of_others(made: Any) -> None:
    told = made()
    text = rendering.markdown(told)
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| Severity")]
    assert len(rows) >= sum(len(block.rows) for block in blocks(told))
    assert "<" not in text
    for block in blocks(told):
        start = text.index(f"## {block.title.replace('[', '')}")
        if block.rows:
            table = [line for line in text[start:].split("\n\n")[1].splitlines()]  # noqa: C416
            assert len(table) == len(block.rows) + 2
            assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {len(block.heads) + 1}


@pytest.mark.parametrize("made", [month, hostile, report])
def test_the_pdf_says_every_heading_and_row(made: Any) -> None:
    told = made()
    document = pypdfium2.PdfDocument(rendering.pdf(told))
    text = "".join(re.sub(r"[\s\u200b\ufffe\u0002-]", "", page.get_textpage().get_text_range()) for page in document)
    for block in blocks(told):
        assert re.sub(r"[\s-]", "", block.title) in text
        for row in block.rows:
            for cell in row:
                assert re.sub(r"[\s-]", "", cell.replace('"', '"').replace("'", "'")) in text


@pytest.mark.parametrize("made", [month, hostile, report])
def test_a_terminal_shows_every_row(made: Any) -> None:
    told = made()
    console = Console(width=400, record=True, file=StringIO())
    console.print(rendering.terminal(told))
    shown = console.export_text()
    for block in blocks(told):
        assert all(cell in shown for row in block.rows for cell in row)
    assert json.loads(rendering.as_json(told))["runs"] == told.runs


# -- charts --------------------------------------------------------------------------------------------


def marks(svg: str) -> dict[str, ET.Element]:
    return {element.get("id", ""): element for element in ET.fromstring(svg).iter(f"{SVG}g") if element.get("id")}


def place(element: ET.Element) -> tuple[float, float]:
    use = next(element.iter(f"{SVG}use"))
    return float(use.get("x", "nan")), float(use.get("y", "nan"))


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
