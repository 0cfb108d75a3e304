"""A run with its family as Markdown, HTML, PDF or JSON."""

import json
from collections.abc import Sequence
from datetime import datetime

from audit.render.chapters import Chapter, Told, chapters, generated
from audit.render.chart import BAND, INK, LINE, chart
from audit.render.paper import typeset
from audit.render.parts import Part
from audit.text import plain, table
from libraries import jinja2

_DARK = ((INK, "var(--ink)"), (LINE, "var(--line)"), (BAND, "var(--band)"))


def heading(told: Sequence[Chapter]) -> str:
    """Give the title of the whole."""
    first = told[0]
    return f"{first.title}: {first.outcome}"


def as_json(family: Sequence[Told]) -> str:
    """Write the stories themselves."""
    stories = [told.story.model_dump(mode="json") for told in family]
    return json.dumps(stories, indent=2, ensure_ascii=False) + "\n"


def markdown(family: Sequence[Told], now: datetime) -> str:
    """Write Markdown; its tables say what the chart shows."""
    told = chapters(family, now)
    written = [f"# {plain(heading(told))}", plain(generated(now))]
    for one in told:
        if len(told) > 1:
            written.append(f"## {plain(one.title)}: {plain(one.outcome)}")
        written.append(table(("", ""), ((plain(fact.name), plain(fact.text)) for fact in one.facts)))
        for part in (*one.before, *one.after):
            written += [f"### {plain(part.title)}", _table(part)]
    return "\n\n".join(written) + "\n"


def _table(part: Part) -> str:
    if part.facts:
        return table(("", ""), ((plain(fact.name), plain(fact.text)) for fact in part.facts))
    return table(part.heads, ([plain(cell) for cell in row] for row in part.rows))


def html(family: Sequence[Told], now: datetime) -> str:
    """Write one self-contained page, with the charts."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("audit.render", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    told = chapters(family, now)
    charts = []
    for number, one in enumerate(told, start=1):
        drawn = chart(one.story, now, f"chart{number}-")
        charts.append(([_themed(svg) for svg in drawn.parts], drawn.says))
    page = environment.get_template("show.html.j2")
    return page.render(title=heading(told), chapters=list(zip(told, charts, strict=True)), generated=generated(now))


def _themed(svg: str) -> str:
    """Let a chart have the colours of the page, in the light and in the dark."""
    for colour, name in _DARK:
        svg = svg.replace(colour, name)
    return svg


def pdf(family: Sequence[Told], now: datetime) -> bytes:
    """Write a PDF, with the charts."""
    told = chapters(family, now)
    data = {
        "title": heading(told),
        "generated": generated(now),
        "chapters": [_for_paper(number, one, now) for number, one in enumerate(told, start=1)],
    }
    return typeset("show.typ", data)


def _for_paper(number: int, one: Chapter, now: datetime) -> dict[str, object]:
    drawn = chart(one.story, now, f"chart{number}-")
    return {
        "title": one.title,
        "outcome": one.outcome,
        "tone": one.tone,
        "facts": [[fact.name, fact.text] for fact in one.facts],
        "before": [_part(part) for part in one.before],
        "charts": drawn.parts,
        "says": drawn.says,
        "after": [_part(part) for part in one.after],
    }


def _part(part: Part) -> dict[str, object]:
    return {
        "title": part.title,
        "facts": [[fact.name, fact.text] for fact in part.facts],
        "heads": part.heads,
        "rows": part.rows,
        "tones": part.tones or [""] * len(part.rows),
        "widths": part.widths or [1] * len(part.heads),
    }
