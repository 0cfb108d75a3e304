"""The figures of the stretch until now, and its chart (runbook 1.1 step 4, 1.3 steps 1 and 2)."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta

from pydantic import BaseModel
from temporalio import workflow

from activities.catalogue.daily import DailyPolicy, in_window
from activities.catalogue.service import Service
from activities.messages.chat.pictures import Mark, Picture, Value
from activities.monitoring.prometheus import MetricsRequest, PrometheusMetrics, SeriesRequest
from activities.records.figures import Figures, FiguresRequest
from workflows.platform import policies
from workflows.platform.runbook import Runbook

_POINTS = 120
"""Of a chart: more than it has room for would only be more to keep."""
_GAP = 2.5
"""Steps between two values, beyond which some are missing."""
_NEARLY_ALL = 0.95
_SHARES = {"uptime", "error rate"}
_PERCENT = 100


class Stretch(BaseModel):
    """Figures by name, None where there is no number, and why some are missing."""

    values: dict[str, float | None]
    missing: dict[str, str]
    picture: Picture | None
    known: float | None
    """Share of the stretch for which Prometheus has an error rate; None where it could not be asked."""

    @property
    def gaps(self) -> str:
        """Say for how much of the time figures are known; empty where it is nearly all."""
        if self.known is None or self.known >= _NEARLY_ALL:
            return ""
        return f"known for {self.known:.0%} of the time"

    def shown(self, name: str) -> str:
        """Give a figure as people read it."""
        value = self.values.get(name)
        if value is None:
            return self.missing.get(name, "no data")
        if name in _SHARES:
            return f"{value:.3%}"
        return f"{value:,.0f}"


class Reading:
    """Reads the figures of one service over one stretch."""

    def __init__(self, run: Runbook, section: str, service: Service, policy: DailyPolicy, over: timedelta) -> None:
        self.run, self.section, self.service, self.policy, self.over = run, section, service, policy, over

    async def figures(self, business: Iterable[str]) -> Stretch:
        """Read them of Prometheus, and those of `business` of the SQL files."""
        (values, missing), (theirs, unknown), picture = await asyncio.gather(
            self._measured(), self._business(list(business)), self._chart()
        )
        known = len(picture.values) / (self.over / self._step + 1) if picture else None
        return Stretch(values=values | theirs, missing=missing | unknown, picture=picture, known=known)

    @property
    def _step(self) -> timedelta:
        return max(self.over / _POINTS, timedelta(seconds=1))

    async def _measured(self) -> tuple[dict[str, float | None], dict[str, str]]:
        settings = {"uptime": self.policy.uptime, "errors": self.policy.errors}
        queries = {name: in_window(query, self.over) for name, query in settings.items() if query}
        if self.service.metrics.error_rate:
            queries["error rate"] = self.service.metrics.error_rate
        where = f"services.{self.service.name}.daily"
        missing = {name: f"not measured ({where}.{name})" for name, query in settings.items() if not query}
        if not queries:
            return {}, missing
        asked = MetricsRequest(queries=queries)
        found = await self.run.attempt(
            self.section, "Figures of Prometheus", PrometheusMetrics.snapshot, asked, policies.READ
        )
        if found is None:
            return dict.fromkeys(queries), missing | dict.fromkeys(queries, "not known: Prometheus could not be asked")
        return found.values, missing | found.errors

    async def _business(self, names: list[str]) -> tuple[dict[str, float | None], dict[str, str]]:
        asked = FiguresRequest(names=names, at=workflow.now(), zone=self.service.time_zone)
        found = await self.run.attempt(self.section, "Figures of the business", Figures.read, asked, policies.READ)
        if found is None:
            return dict.fromkeys(names), dict.fromkeys(names, "not known: the records could not be asked")
        return found.values, found.errors

    async def _chart(self) -> Picture | None:
        query, now = self.service.metrics.error_rate, workflow.now()
        if not query:
            return None
        step = self._step
        asked = SeriesRequest(query=query, start=now - self.over, end=now, step=step)
        found = await self.run.attempt(
            self.section, "Error rate over time", PrometheusMetrics.series, asked, policies.READ
        )
        if found is None:
            return None
        return Picture(
            title=f"{self.service.name}: failed requests",
            unit="%",
            begin=now - self.over,
            end=now,
            values=[Value(at=point.at, value=round(point.value * _PERCENT, 3)) for point in found.points],
            longest_gap=step.total_seconds() * _GAP,
            limit=self.policy.error_rate_below * _PERCENT,
            time_zone=self.service.time_zone,
        )


def marked(picture: Picture | None, marks: list[Mark]) -> Picture | None:
    """Give a picture with what happened meanwhile."""
    return picture and picture.model_copy(update={"marks": marks})
