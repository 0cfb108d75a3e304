"""Stories as they are shown."""

import functools
import io
import json
import re
import xml.etree.ElementTree as ET
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pypdfium2
from rich.console import Console

from audit.payloads import Decoder
from audit.reading import read
from audit.render import show, show_terminal
from audit.render.chapters import Told
from audit.story import Effect, Phase, Question, Step, Story, Trigger, Word
from tests.audit.stories import BEGAN
from tests.audit.stories import story as made

HISTORIES = sorted((Path(__file__).parents[2] / "histories").glob("*.json"))


NOW = BEGAN + timedelta(days=1)


HOSTILE = (
    "a\x00b \x1b]0;owned\x07 <script>alert(1)</script> <img src=x onerror=alert(1)> $x^2$ #panic() *b* \u202etxet "
    + "W" * 300
)


def load(path: Path) -> tuple[dict[str, Any], Story]:
    history = json.loads(path.read_text(encoding="utf-8"))
    return history, read(history, namespace="default", workflow_id="wf", run_id="run", decoder=Decoder())


@functools.cache
def page_of(path: Path) -> str:
    """Draw a recorded run once: that takes a second."""
    return show.html([Told(load(path)[1])], NOW)


def printed(family: list[Told], width: int = 300) -> str:
    content = io.StringIO()
    Console(file=content, force_terminal=True, width=width).print(show_terminal.render(family, NOW))
    return content.getvalue()


def paper(family: list[Told]) -> tuple[str, int]:
    document = pypdfium2.PdfDocument(show.pdf(family, NOW))
    return "\n".join(one.get_textpage().get_text_range() for one in document), len(document)


def lasting(number: int, start: datetime, end: datetime | None, **fields: Any) -> Step:
    return Step(
        event_id=number,
        section="2.2/3",
        title=f"Step {number}",
        activity="x.y",
        scheduled_at=start,
        ended_at=end,
        outcome="completed" if end else "running",
        **fields,
    )


def edges(svg: str) -> dict[str, tuple[float, float]]:
    """Left and right edge of every bar that has an ID."""
    found = {}
    for group in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}g"):
        path = group.find("{http://www.w3.org/2000/svg}path")
        if "id" in group.attrib and path is not None:
            places = [float(x) for x in re.findall(r"[ML] (-?[\d.]+) ", path.attrib["d"])]
            if places:
                found[group.attrib["id"]] = (min(places), max(places))
    return found


def hostile() -> Story:
    step = lasting(
        5,
        BEGAN,
        BEGAN + timedelta(seconds=3),
        failure=HOSTILE,
        result=HOSTILE,
        worker=HOSTILE,
        effect=Effect(key="k", target=HOSTILE, before=HOSTILE, after=HOSTILE, note=HOSTILE),
    )
    question = Question(
        id=HOSTILE,
        title=HOSTILE,
        options={HOSTILE: HOSTILE},
        asked_at=BEGAN,
        choice=HOSTILE,
        by="eve",
        answered_at=BEGAN + timedelta(seconds=1),
        reason=HOSTILE,
    )
    word = Word(event_id=9, at=BEGAN, update="note", who=HOSTILE, fields={HOSTILE: HOSTILE}, standing="invalid")
    return made(
        title=HOSTILE,
        service=HOSTILE,
        outcome=HOSTILE,
        started_at=BEGAN,
        ended_at=BEGAN + timedelta(seconds=4),
        steps=[step.model_copy(update={"title": HOSTILE})],
        questions=[question],
        words=[word],
        result={HOSTILE: [HOSTILE]},
        phases=[Phase(name=HOSTILE, started_at=BEGAN)],
        trigger=Trigger(kind="alert", by=HOSTILE, alert={HOSTILE: HOSTILE}),
    )
