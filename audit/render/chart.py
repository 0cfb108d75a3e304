"""The chart of a run: phases as bands, everything that lasted as a bar, deadlines as lines, all on one time axis."""

import io
import math
import re
import warnings
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from audit.render.chart_rows import Row, rows
from audit.render.clean import iso, shortened
from audit.story import Story
from audit.text import counted, lasted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, LINE, BAND = "#1d2330", "#c5cbd5", "#eef1f5"
"""A page may put its own colours in their place."""
GOOD, BAD, WAIT, HELD, CHILD = "#2f6fb5", "#c0392b", "#b9770e", "#7d5ba6", "#2b8a6e"
_COLOURS = {
    "step": GOOD,
    "failed": BAD,
    "question": WAIT,
    "lease": HELD,
    "child": CHILD,
    "phase": "#8a93a3",
    "deadline": "#8a93a3",
    "met": CHILD,
    "missed": BAD,
}
_WIDTH, _ROW, _ROWS = 10.0, 0.235, 32
_LEFT, _TOP, _BOTTOM = 2.9, 0.05, 0.55
"""Inches; the same for all parts of a chart, so that they share one axis."""
_LETTER = 0.057
"""Inches that a letter of a note takes, on the wide side."""
_ROOM = 1.12
"""A chart is at most that much longer than its run, to show when a deadline would have been."""
_UNITS = (
    1e-3,
    2e-3,
    5e-3,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    10_800,
    21_600,
    43_200,
    86_400,
    172_800,
    604_800,
    1_209_600,
)
_TICKS = 9
_LABEL = 40
_ID = re.compile(r'(?<=[\s<]id=")|(?<=href="#)|(?<=url\(#)')


@dataclass(frozen=True)
class Chart:
    """A chart, in parts of so many rows, each an SVG on the same axis."""

    parts: tuple[str, ...]
    says: str
    """The same in words, for who can't see it."""


def chart(story: Story, now: datetime, prefix: str = "") -> Chart:
    """Draw a run; `prefix` keeps the IDs of several charts on one page apart.

    IDs: `run` (from start to end), `phase-N`, `step-EVENT`, `last-EVENT` (the last attempt of a step that had several),
    `question-ID`, `lease-EVENT`, `child-N`, `deadline-EVENT` (from its start to when it was met, missed or due).
    """
    found = rows(story, now)
    size = math.ceil(len(found) / max(math.ceil(len(found) / _ROWS), 1)) or 1
    pages = [found[start : start + size] for start in range(0, len(found), size)] or [[]]
    scale = _Scale(story, now, found)
    drawn = [_draw(scale, page, f"{prefix}{number}-") for number, page in enumerate(pages, start=1)]
    return Chart(tuple(drawn), _says(story, now))


def _says(story: Story, now: datetime) -> str:
    parts = [
        counted(len(story.phases), "phase"),
        counted(len(story.steps), "step"),
        f"{sum(step.attempts > 1 for step in story.steps)} of them tried again",
        counted(len(story.questions), "question to people", "questions to people"),
    ]
    took = lasted((story.ended_at or now) - story.started_at)
    return f"Timeline of {took}: {', '.join(parts)}. The tables say the same in numbers."


def _draw(scale: "_Scale", page: list[Row], prefix: str) -> str:
    import matplotlib as mpl  # noqa: PLC0415  half a second that other commands need not wait
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    # Text stays text, and the same run gives the same bytes. No pyplot: nothing is global, nothing needs a screen.
    with (
        mpl.rc_context(
            {
                "svg.fonttype": "none",
                "svg.hashsalt": "runbooks",
                "text.parse_math": False,
                "font.size": 8.5,
                "hatch.linewidth": 0.7,
                "axes.unicode_minus": False,
            }
        ),
        warnings.catch_warnings(),
    ):
        # Of letters that its font has not it only knows no width; whoever shows the SVG has fonts of their own.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        height = _TOP + _BOTTOM + (len(page) + 1.5) * _ROW
        figure = Figure(figsize=(_WIDTH, height))
        FigureCanvasSVG(figure)
        figure.patch.set_alpha(0)
        left, bottom = _LEFT / _WIDTH, _BOTTOM / height
        axes = figure.add_axes((left, bottom, 0.99 - left, 1 - bottom - _TOP / height))
        axes.patch.set_alpha(0)
        _Axis(axes, scale).draw(page)
        content = io.StringIO()
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    svg = content.getvalue()
    return _ID.sub(prefix, svg[svg.index("<svg") :])


class _Scale:
    """The axis that all parts of a chart share: from the run's start to where its last note ends."""

    def __init__(self, story: Story, now: datetime, found: list[Row]) -> None:
        self.story = story
        self.ended = max(story.ended_at or now, story.started_at)
        self.length = max((self.ended - story.started_at).total_seconds(), 1e-3)
        dues = [(timer.due_at - story.started_at).total_seconds() for timer in story.timers if timer.kind == "deadline"]
        self.shown = max([self.length, *(due for due in dues if due <= self.length * _ROOM)])
        beside = max((len(shortened(row.note, _LABEL)) for row in found if self.spans(row)), default=0) * _LETTER
        self.right = self.shown * (1 + max(0.09, 1.01 * beside / (_WIDTH - _LEFT - beside)))

    def at(self, at: datetime) -> float:
        """Give seconds since the start."""
        return (at - self.story.started_at).total_seconds()

    def spans(self, row: Row) -> bool:
        """Whether a bar leaves no room for its note before or behind it: that stands at the right edge."""
        start = self.at(row.started_at)
        return max(self.at(row.ended_at or self.ended), start) > 0.8 * self.shown and start < 0.2 * self.shown


class _Axis:
    def __init__(self, axes: "Axes", scale: _Scale) -> None:
        self.axes, self.scale, self.story = axes, scale, scale.story
        self.ended, self.shown = scale.ended, scale.shown
        self._at = scale.at

    def draw(self, page: list[Row]) -> None:
        axes, depth = self.axes, len(page)
        axes.set_xlim(-0.01 * self.shown, self.scale.right)
        axes.set_ylim(depth - 0.4, -1.4)
        self._bands(depth)
        self._bar("run", -1.0, (self.story.started_at, self.ended), INK, 0.35)
        for place, row in enumerate(page):
            self._row(row, place)
        axes.set_yticks([-1, *range(depth)], ["the run", *(shortened(row.label, _LABEL) for row in page)], color=INK)
        self._ticks()
        axes.tick_params(colors=INK, length=0)
        axes.tick_params(axis="x", length=3, color=LINE)
        axes.grid(axis="x", color=LINE, linewidth=0.5)
        axes.set_axisbelow(True)
        for side, spine in axes.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color(LINE)

    def _bands(self, depth: int) -> None:
        for number, phase in enumerate(self.story.phases):
            if number % 2 == 0:
                left, right = self._at(phase.started_at), self._at(phase.ended_at or self.ended)
                self.axes.fill_between([left, right], -1.4, depth, color=BAND, linewidth=0, zorder=0)

    def _bar(
        self, gid: str, place: float, span: tuple[datetime, datetime], colour: str, height: float, **look: object
    ) -> None:
        start, end = span
        left = self._at(start)
        # The line around it shows also what took no time.
        style = {"facecolor": colour, "edgecolor": colour, "linewidth": 1.0, "zorder": 3, **look}
        self.axes.barh(place, self._at(end) - left, left=left, height=height, gid=gid, **style)  # type: ignore[arg-type]

    def _row(self, row: Row, place: int) -> None:
        colour = _COLOURS[row.kind]
        end = row.ended_at or self.ended
        height = 0.3 if row.kind in {"phase", "deadline", "met", "missed"} else 0.62
        if row.kind == "question":
            self._bar(row.gid, place, (row.started_at, end), colour, height, facecolor="none", hatch="////")
        elif row.last_at is not None:
            self._bar(row.gid, place, (row.started_at, end), colour, height, alpha=0.35)
            self._bar(f"last-{row.gid.partition('-')[2]}", place, (row.last_at, end), colour, height)
        else:
            self._bar(row.gid, place, (row.started_at, end), colour, height)
        if row.due_at is not None and self._at(row.due_at) <= self.shown:
            due = self._at(row.due_at)
            self.axes.axvline(
                due, color=_COLOURS["missed"], linewidth=1, linestyle=(0, (4, 3)), zorder=2, gid=f"due-{row.gid}"
            )
        edge = max(self._at(end), self._at(row.started_at))
        late = edge > 0.8 * self.shown
        where, side, shift = (self._at(row.started_at), "right", -3) if late else (edge, "left", 3)
        if self.scale.spans(row):
            where, side, shift = self.shown, "left", 3
        self.axes.annotate(
            shortened(row.note, _LABEL),
            (where, place),
            xytext=(shift, 0),
            textcoords="offset points",
            ha=side,
            va="center",
            color=INK,
            fontsize=7.5,
            zorder=4,
            annotation_clip=False,
        )

    def _ticks(self) -> None:
        unit = next((unit for unit in _UNITS if self.shown / unit <= _TICKS), self.shown / _TICKS)
        places = [unit * number for number in range(math.floor(self.shown / unit) + 1)]
        self.axes.set_xticks(places, [self._tick(place, unit) for place in places])
        self.axes.set_xlabel(
            f"time since the start, {iso(self.story.started_at)}",
            color=INK,
        )

    @staticmethod
    def _tick(place: float, unit: float) -> str:
        if unit < 1:
            return f"{place:.3f}".rstrip("0").rstrip(".") + " s"
        return lasted(timedelta(seconds=place)) if place else "0"
