"""The impact of an incident, from the metrics that its run collected (`evidence.export_metrics`)."""

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from audit.text import counted

_SERIES_SHOWN = 20


class Series(BaseModel):
    """One series of one query, before and during the incident."""

    model_config = ConfigDict(frozen=True)

    name: str
    labels: str = Field(default="", description="For example `code=500`.")
    before: float | None = Field(default=None, description="Mean before the incident.")
    lowest: float | None = None
    lowest_at: datetime | None = None
    highest: float | None = None
    highest_at: datetime | None = None
    last: float | None = None
    trouble: str = Field(default="", description="Why there are no numbers.")


def read_metrics(document: bytes, began: datetime) -> list[Series]:
    """Read an export; `lowest`, `highest` and `last` are of the time since the incident began.

    Raises:
        ValueError: it is no such export.

    """
    content = json.loads(document)
    queries = content.get("queries") if isinstance(content, dict) else None
    if not isinstance(queries, dict):
        raise ValueError("no export of metrics")  # noqa: TRY004  the input's fault and not the caller's
    return [series for name, answer in queries.items() for series in _query(str(name), answer, began)]


def _query(name: str, answer: Any, began: datetime) -> Iterator[Series]:
    if not isinstance(answer, dict) or "error" in answer:
        reason = str(answer.get("error")) if isinstance(answer, dict) else "not readable"
        yield Series(name=name, trouble=f"Prometheus refused the query: {reason}")
        return
    series = answer.get("series") or []
    if not series:
        yield Series(name=name, trouble="Prometheus had no data")
    for one in series[:_SERIES_SHOWN]:
        yield _sum_up(name, one, began)
    if len(series) > _SERIES_SHOWN:
        yield Series(
            name=name,
            trouble=f"{counted(len(series) - _SERIES_SHOWN, 'more series is', 'more series are')} in the evidence",
        )


def _sum_up(name: str, one: dict[str, Any], began: datetime) -> Series:
    labels = ", ".join(f"{key}={value}" for key, value in sorted(one.get("metric", {}).items()))
    points = [(datetime.fromtimestamp(float(at), UTC), float(value)) for at, value in one.get("values", ())]
    points = [(at, value) for at, value in points if math.isfinite(value)]
    before = [value for at, value in points if at < began]
    during = [(at, value) for at, value in points if at >= began]
    found = Series(name=name, labels=labels, before=sum(before) / len(before) if before else None)
    if not during:
        return found.model_copy(update={"trouble": "no numbers since the incident began"})
    low, high = (choose(during, key=lambda point: point[1]) for choose in (min, max))
    return found.model_copy(
        update={
            "lowest": low[1],
            "lowest_at": low[0],
            "highest": high[1],
            "highest_at": high[0],
            "last": during[-1][1],
        }
    )
