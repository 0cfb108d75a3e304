"""Charts of a report, as SVG; every mark has an ID that names what it shows."""

import io
import re
from typing import TYPE_CHECKING

from audit.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from matplotlib.axes import Axes

_INK, _GRID = "#4a5160", "#9aa1ad"
_COLOURS = {"acknowledged": "#2b8a8e", "mitigated": "#d98324", "resolved": "#5a6acf"}
_GOOD, _BAD = "#5a6acf", "#c0392b"
_SHOWN = 30
_ROW = 0.3
_UPRIGHT = 4
_LABEL = 48
_NUMBERED = re.compile(r' id="(?:figure|axes|patch|matplotlib\.axis|[xy]tick|line2d|text|legend)_\d+"')
"""Names that matplotlib gives in every chart, and that may be only once in a page."""


def charts(report: Report) -> dict[str, str]:
    """Draw what there is something to draw of: `incidents`, `outcomes`, `retries`."""
    drawn: dict[str, tuple[Callable[[Axes, Report], None], int, str]] = {}
    if report.incidents:
        drawn["incidents"] = (_incidents, 9, "Times of each incident")
    if report.outcomes:
        drawn["outcomes"] = (_outcomes, min(len(report.outcomes), _SHOWN), "Runs by procedure and outcome")
    if any(row.retries or row.failed for row in report.systems):
        drawn["retries"] = (_retries, len(report.systems), "Retries and failures by system")
    return {name: _svg(name, *what, report) for name, what in drawn.items()}


def _svg(name: str, draw: "Callable[[Axes, Report], None]", rows: int, title: str, report: Report) -> str:
    import matplotlib as mpl  # noqa: PLC0415  half a second that other commands need not wait
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    # Text stays text, and the same report gives the same bytes. No pyplot: nothing is global, nothing needs a screen.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": f"runbooks-{name}", "text.parse_math": False}):
        figure = Figure(figsize=(9, 1.1 + max(rows, 2) * _ROW), layout="constrained")
        FigureCanvasSVG(figure)
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        draw(axes, report)
        axes.set_title(title, color=_INK, loc="left", fontsize=11)
        axes.tick_params(colors=_INK, labelsize=9)
        for side, spine in axes.spines.items():
            spine.set_visible(side in {"left", "bottom"})
            spine.set_color(_GRID)
        content = io.StringIO()
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None, "Title": title})
    svg = content.getvalue()
    return _NUMBERED.sub("", svg[svg.index("<svg") :])


def _incidents(axes: "Axes", report: Report) -> None:
    """Each incident a column of dots, its target by 2.1 a short line: a dot above it came too late."""
    for place, row in enumerate(report.incidents):
        for name, colour in _COLOURS.items():
            took: timedelta | None = getattr(row, name)
            if took is not None:
                axes.plot(
                    [place],
                    [max(took.total_seconds(), 0.01)],
                    "o",
                    color=colour,
                    markersize=5,
                    gid=f"{name}-{row.incident_id}",
                )
        if row.due_at is not None:
            due = (row.due_at - row.started_at).total_seconds()
            axes.plot(
                [place - 0.4, place + 0.4], [due, due], color=_BAD, linewidth=1.5, gid=f"target-{row.incident_id}"
            )
    axes.set_yscale("log")
    ticks = {
        1: "1 s",
        10: "10 s",
        60: "1 min",
        300: "5 min",
        900: "15 min",
        3600: "1 h",
        14_400: "4 h",
        86_400: "1 d",
        604_800: "7 d",
    }
    low, high = axes.get_ylim()
    shown = {at: text for at, text in ticks.items() if low <= at <= high}
    axes.set_yticks(list(shown), list(shown.values()))
    axes.minorticks_off()
    axes.grid(axis="y", color=_GRID, alpha=0.3)
    axes.set_xlim(-0.7, max(len(report.incidents) - 0.3, 1.7))
    few = len(report.incidents) <= _SHOWN
    labels = [_label(f"{row.severity} {row.started_at:%d %H:%M}") if few else "" for row in report.incidents]
    crowded = len(labels) > _UPRIGHT
    axes.set_xticks(range(len(labels)), labels, rotation=60 if crowded else 0, ha="right" if crowded else "center")
    for name, colour in _COLOURS.items():
        axes.plot([], [], "o", color=colour, label=name)
    axes.plot([], [], color=_BAD, label="response time of 2.1")
    axes.legend(
        ncols=4, frameon=False, fontsize=8, labelcolor=_INK, loc="lower right", bbox_to_anchor=(1, 1), borderpad=0
    )


def _outcomes(axes: "Axes", report: Report) -> None:
    rows = sorted(report.outcomes, key=lambda row: -row.runs)[:_SHOWN][::-1]
    for place, row in enumerate(rows):
        axes.barh(place, row.runs, color=_GOOD, gid=f"outcome-{row.procedure}-{row.outcome}")
        axes.text(row.runs, place, f" {row.runs}", va="center", color=_INK, fontsize=9)
    axes.set_yticks(range(len(rows)), [_label(f"{row.procedure}: {row.outcome}") for row in rows])
    axes.locator_params(axis="x", integer=True)


def _retries(axes: "Axes", report: Report) -> None:
    rows = sorted(report.systems, key=lambda row: row.retries + row.failed)
    for place, row in enumerate(rows):
        axes.barh(place, row.retries, color=_COLOURS["mitigated"], gid=f"retries-{row.system}")
        axes.barh(place, row.failed, left=row.retries, color=_BAD, gid=f"failed-{row.system}")
    axes.set_yticks(range(len(rows)), [_label(row.system) for row in rows])
    axes.locator_params(axis="x", integer=True)
    axes.plot([], [], "s", color=_COLOURS["mitigated"], label="retries")
    axes.plot([], [], "s", color=_BAD, label="failed for good")
    axes.legend(
        frameon=False, fontsize=8, labelcolor=_INK, loc="lower right", bbox_to_anchor=(1, 1), borderpad=0, ncols=2
    )


def _label(text: str) -> str:
    """Cut what would leave no room for the chart; the table has it whole."""
    return text if len(text) <= _LABEL else f"{text[: _LABEL - 1]}…"
