"""A small chart that goes with a message, as PNG (runbook 1.1, 1.3)."""

import io
import warnings
from datetime import datetime
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field

from audit.render.paper import of_charts

_INK, _GRID, _LINE, _BAD, _MARK = "#1d2330", "#d5d9e0", "#2f6fb5", "#c0392b", "#b9770e"
_SIZE, _DPI = (7.0, 2.6), 120
_HEADROOM = 1.15
_LATE = 0.7
"""Share of the time, from which a mark's text stands before its line: there is room."""


class Value(BaseModel):
    """One point."""

    at: datetime
    value: float


class Mark(BaseModel):
    """Something that happened, as an upright line."""

    at: datetime
    text: str


class Picture(BaseModel):
    """One line over time, its limit, and what happened meanwhile."""

    title: str
    unit: str = Field(description="Of the values, for example %.")
    begin: datetime
    end: datetime
    values: list[Value] = Field(description="In order of time; where they are far apart the line has a gap.")
    longest_gap: float = Field(description="Seconds between two values, beyond which the line is interrupted.")
    limit: float | None = None
    marks: list[Mark] = Field(default_factory=list)
    time_zone: str = "UTC"


def drawn(picture: Picture) -> bytes:
    """Draw it."""
    import matplotlib as mpl  # noqa: PLC0415  half a second that other steps need not wait
    from matplotlib import dates  # noqa: PLC0415
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    zone = ZoneInfo(picture.time_zone)
    text = "".join([picture.title, picture.unit, *(mark.text for mark in picture.marks)])

    def number(at: datetime) -> float:
        return float(dates.date2num(at))  # type: ignore[no-untyped-call]

    # No pyplot: nothing is global, nothing needs a screen. A title of people's has no mathematics in it.
    with (
        mpl.rc_context({"text.parse_math": False, "font.size": 9, "font.family": of_charts(text)}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the message beside it says it all
        figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        for part in _unbroken(picture):
            axes.plot(
                [number(value.at) for value in part],
                [value.value for value in part],
                color=_LINE,
                linewidth=1.4,
                marker="o" if len(part) == 1 else None,
                markersize=2.5,
            )
        top = max([value.value for value in picture.values] or [0.0])
        if picture.limit is not None:
            axes.axhline(picture.limit, color=_BAD, linewidth=1, linestyle="--")
            top = max(top, picture.limit)
        axes.set_ylim(0, top * _HEADROOM or 1)
        axes.set_xlim(number(picture.begin), number(picture.end))
        for mark in picture.marks:
            axes.axvline(number(mark.at), color=_MARK, linewidth=1)
            late = (mark.at - picture.begin) > (picture.end - picture.begin) * _LATE
            axes.annotate(
                mark.text,
                (number(mark.at), 1),
                xycoords=("data", "axes fraction"),
                xytext=(-3 if late else 3, -9),
                textcoords="offset points",
                color=_MARK,
                fontsize=8,
                ha="right" if late else "left",
            )
        if not picture.values:
            axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", va="center", color=_BAD)
        locator = dates.AutoDateLocator(tz=zone, maxticks=8)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        written = dates.ConciseDateFormatter(locator, tz=zone, show_offset=False)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_formatter(written)
        axes.set_ylabel(picture.unit, color=_INK)
        axes.set_title(picture.title, color=_INK, loc="left", fontsize=10)
        axes.grid(axis="y", color=_GRID, linewidth=0.6)
        axes.tick_params(colors=_INK, labelsize=8)
        for side, spine in axes.spines.items():
            spine.set_visible(side in {"left", "bottom"})
            spine.set_color(_GRID)
        content = io.BytesIO()
        figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()


def _unbroken(picture: Picture) -> list[list[Value]]:
    parts: list[list[Value]] = []
    for value in picture.values:
        if parts and (value.at - parts[-1][-1].at).total_seconds() <= picture.longest_gap:
            parts[-1].append(value)
        else:
            parts.append([value])
    return parts
