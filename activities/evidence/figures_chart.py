"""A picture of a service's figures over a time: error rate above, latency below, the limits as lines (2.3 step 3)."""

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from libraries import uninterrupted

INK, GRID, LINE, LIMIT = "#1d2330", "#c5cbd5", "#2f6fb5", "#c0392b"
_SIZE = (9.0, 2.1)
"""Inches, of one panel."""


@dataclass(frozen=True)
class Panel:
    """One figure: what it is called, in which unit, and its series as Prometheus gives them."""

    title: str
    series: Sequence[Mapping[str, Any]]
    factor: float = 1.0
    """From Prometheus' unit to the one that is shown: 100 for per cent."""
    limit: float | None = None
    """In Prometheus' unit."""
    missing: str = ""
    """Why there is no series."""


def draw(panels: Sequence[Panel], start: datetime, end: datetime) -> bytes:
    """Draw the panels one below the other on one axis of time (UTC), as SVG; the same data give the same bytes."""
    with uninterrupted():
        import matplotlib as mpl  # noqa: PLC0415  half a second that other activities need not wait
        from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415
        from matplotlib.figure import Figure  # noqa: PLC0415

    with (
        mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "runbooks", "text.parse_math": False}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure = Figure(figsize=(_SIZE[0], _SIZE[1] * max(len(panels), 1)), layout="constrained")
        FigureCanvasSVG(figure)
        for place, panel in enumerate(panels, start=1):
            axes = figure.add_subplot(len(panels), 1, place)
            highest, drawn = 0.0, False
            for series in panel.series:
                points = [(float(at), float(text) * panel.factor) for at, text in series.get("values", ())]
                known = [(datetime.fromtimestamp(at, UTC), value) for at, value in points if math.isfinite(value)]
                if known:
                    drawn = True
                    axes.plot(*zip(*known, strict=True), color=LINE, linewidth=1.5)
                    highest = max(highest, *(value for _, value in known))
            if panel.limit is not None:
                limit = panel.limit * panel.factor
                axes.axhline(limit, color=LIMIT, linewidth=1, linestyle="--")
                axes.annotate(
                    f"limit {limit:g}",
                    (1, limit),
                    xycoords=("axes fraction", "data"),
                    ha="right",
                    va="bottom",
                    color=LIMIT,
                    fontsize=8,
                )
                highest = max(highest, limit)
            if not drawn:
                axes.annotate(panel.missing or "no data", (0.5, 0.5), xycoords="axes fraction", ha="center", color=INK)
            axes.set_title(panel.title, loc="left", fontsize=10, color=INK)
            axes.set_xlim(start, end)  # type: ignore[arg-type]  # its stubs know numbers only
            axes.set_ylim(0, highest * 1.15 or 1)
            locator = AutoDateLocator(tz=UTC)  # type: ignore[no-untyped-call]
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))  # type: ignore[no-untyped-call]
            axes.grid(color=GRID, linewidth=0.5)
            axes.tick_params(colors=INK, labelsize=8)
            for side, spine in axes.spines.items():
                spine.set_visible(side in {"left", "bottom"})
                spine.set_color(GRID)
        content = io.StringIO()
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    return content.getvalue().encode()
