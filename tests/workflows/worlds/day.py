"""A company's day: real records and its chat in them, and around them a service as the test sets it up."""

import functools
from collections.abc import Callable
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.catalogue.daily import DailyPolicy
from activities.monitoring.prometheus import (
    Fired,
    FiredAlerts,
    FiredRequest,
    Metrics,
    MetricsRequest,
    Point,
    Series,
    SeriesRequest,
)
from activities.monitoring.runs import OpenRun, ScheduleState, ServiceRuns, ServiceRunsRequest
from activities.records.figures import Figures
from activities.records.windows import MaintenanceWindows
from tests.workflows.worlds.company import Company
from tests.workflows.worlds.world import World, instead
from workers.later import activities_of


class Day(Company):
    """The service's cluster and metrics are those of a `World`; what is in `down` does not answer."""

    world: World
    down: set[str]
    fired: list[Fired]
    figures: dict[str, float | None]
    """What Prometheus says, by the queries' names."""
    runs: list[OpenRun]
    schedules: list[ScheduleState]

    def __init__(self, *parts: Any, daily: DailyPolicy | None = None) -> None:
        super().__init__(*parts)
        self.world = World()
        self.down = set()
        self.fired, self.runs, self.schedules = [], [], []
        self.figures = {"error_rate": 0.001, "error rate": 0.001, "uptime": 0.9991, "errors": 12.0}
        self.service = self.world.service.model_copy(
            update={"daily": daily or DailyPolicy(), "customers": self.service.customers}
        )

    def activities(self) -> list[Callable[..., Any]]:
        outside = [one for one in self.world._reads() if not _name(one).startswith("records.")]
        pool = self.pool
        figures = activities_of(Figures, lambda: Figures(pool, None))
        windows = activities_of(MaintenanceWindows, lambda: MaintenanceWindows(pool))
        known = instead([*super().activities(), *figures, *windows], *outside, *self._measured())
        return [self._unless_down(one) for one in known]

    def _measured(self) -> list[Callable[..., Any]]:
        day = self

        @activity.defn(name="metrics.snapshot")
        def snapshot(request: MetricsRequest) -> Metrics:
            return Metrics(values={name: day.figures.get(name) for name in request.queries})

        @activity.defn(name="metrics.series")
        def series(request: SeriesRequest) -> Series:
            number = int((request.end - request.start) / request.step)
            return Series(
                points=[Point(at=request.start + request.step * n, value=0.001 * (n % 7)) for n in range(number + 1)]
            )

        @activity.defn(name="metrics.alerts")
        def alerts(request: FiredRequest) -> FiredAlerts:
            return FiredAlerts(items=day.fired)

        @activity.defn(name="runs.of_service")
        def of_service(request: ServiceRunsRequest) -> ServiceRuns:
            return ServiceRuns(items=day.runs, schedules=day.schedules)

        return [snapshot, series, alerts, of_service]

    def messages(self, channel: str = "#ops") -> list[str]:
        """Read what was said in a channel."""
        query = "SELECT text FROM runbooks.messages WHERE channel = %s ORDER BY id"
        return [text for (text,) in self.sql.execute(query, (channel,))]

    def _unless_down(self, method: Callable[..., Any]) -> Callable[..., Any]:
        name = _name(method)

        @functools.wraps(method)
        def run(*given: Any) -> Any:
            if name in self.down or name.partition(".")[0] in self.down:
                raise ApplicationError(f"{name} did not answer", type="Unavailable")
            return method(*given)

        return run


def _name(method: Callable[..., Any]) -> str:
    return str(activity._Definition.must_from_callable(method).name)
