"""A month's report, one with hostile texts, and what is read of its pages and charts."""

import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from typing import Any

from audit.report import Report
from audit.story import RunIdentity, Step, Story
from tests.audit.reports import incident, report
from tests.audit.stories import BEGAN, story

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


def marks(svg: str) -> dict[str, ET.Element]:
    return {element.get("id", ""): element for element in ET.fromstring(svg).iter(f"{SVG}g") if element.get("id")}


def place(element: ET.Element) -> tuple[float, float]:
    use = next(element.iter(f"{SVG}use"))
    return float(use.get("x", "nan")), float(use.get("y", "nan"))
