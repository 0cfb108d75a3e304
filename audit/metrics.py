"""What was counted as Prometheus metrics, the report's numbers above all; a scrape never waits for the counting."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Generic, TypeVar

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from audit.report import Report, Spread
from libraries import logger

Label = tuple[str, ...]
Row = tuple[Label, float]
_Found = TypeVar("_Found")

_log = logger(__name__)


class Refreshed(Collector, Generic[_Found]):
    """Shows what was found last, and has it looked for again when that is older than it may be.

    Looking goes on beside the scrapes, one at a time; until something is found only `<name>_up` is shown. Where a look
    fails, the last goes on being shown, with its age, and `<name>_up` is 0.
    """

    def __init__(
        self,
        name: str,
        what: str,
        make: Callable[[], _Found],
        show: Callable[[_Found], Iterable[Metric]],
        *,
        lasting: timedelta,
        patience: timedelta = timedelta(0),
    ) -> None:
        self._name, self._what, self._make, self._show = name, what, make, show
        self._lasting, self._patience = lasting.total_seconds(), patience.total_seconds()
        self._found: _Found | None = None
        self._up = False
        self._made = self._took = 0.0
        self._making: threading.Thread | None = None
        self._lock = threading.Lock()

    def describe(self) -> Iterable[Metric]:
        """Name nothing when it is registered: that would look at once."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Give the metrics of what was found, waiting for a look that is due no longer than `patience`."""
        making = self._refresh()
        if making is not None:
            making.join(self._patience)
        yield gauge(
            f"{self._name}_up", f"Whether the latest try to count {self._what} succeeded.", (), [((), self._up)]
        )
        found = self._found
        if found is None:
            return
        age = time.monotonic() - self._made
        yield gauge(f"{self._name}_age_seconds", "How old these metrics are.", (), [((), age)])
        yield gauge(f"{self._name}_counting_seconds", "How long counting took.", (), [((), self._took)])
        yield from self._show(found)

    def _refresh(self) -> threading.Thread | None:
        with self._lock:
            due = self._found is None or not self._up or time.monotonic() - self._made >= self._lasting
            if due and (self._making is None or not self._making.is_alive()):
                self._making = threading.Thread(target=self._count, name=self._name, daemon=True)
                self._making.start()
            return self._making if due else None

    def _count(self) -> None:
        began = time.monotonic()
        try:
            found = self._make()
        except Exception:  # noqa: BLE001  whatever it is, the endpoint goes on, and says that it is not up
            _log.exception("could not be counted", what=self._what)
            self._up = False
            return
        self._found, self._made, self._up = found, time.monotonic(), True
        self._took = self._made - began


class ReportCollector(Refreshed[Report]):
    """Shows the latest report, as `Refreshed` does."""

    def __init__(self, make: Callable[[], Report], *, lasting: timedelta, patience: timedelta = timedelta(0)) -> None:
        super().__init__("runbooks_audit", "the month", make, metrics, lasting=lasting, patience=patience)


def metrics(report: Report) -> Iterator[Metric]:
    """Give a report's numbers as gauges: they are of one month, and begin anew with the next."""
    month = report.month.name
    yield gauge(
        "runbooks_month_info", "The month these numbers are of.", ("month", "zone"), [((month, report.month.zone), 1)]
    )
    yield gauge(
        "runbooks_runs",
        "Runs of the month.",
        ("procedure", "outcome"),
        [((row.procedure, row.outcome), row.runs) for row in report.outcomes],
    )
    yield gauge(
        "runbooks_planned_runs",
        "Runs of the month in plan mode.",
        ("procedure", "outcome"),
        [((row.procedure, row.outcome), row.runs) for row in report.planned],
    )
    yield gauge("runbooks_unreadable_runs", "Runs of which something could not be read.", (), [((), report.unreadable)])
    yield from _incidents(report)
    yield gauge(
        "runbooks_deadlines",
        "Deadlines by how they ended.",
        ("procedure", "deadline", "result"),
        [
            ((row.procedure, row.name, how), getattr(row, how))
            for row in report.deadlines
            for how in ("kept", "missed", "open")
        ],
    )
    yield from _approvals(report)
    for name, text in (("steps", "Steps."), ("retries", "Attempts after the first."), ("failed", "Steps that failed.")):
        yield gauge(
            f"runbooks_system_{name}",
            f"{text} By outside system.",
            ("system",),
            [((row.system,), getattr(row, name)) for row in report.systems],
        )
    yield gauge(
        "runbooks_leases",
        "Leases by how they ended.",
        ("lease", "end"),
        [
            ((row.name, how), getattr(row, how))
            for row in report.leases
            for how in ("expired", "by_person", "by_failure", "open")
        ],
    )
    yield gauge(
        "runbooks_lease_extensions",
        "How often a lease's end was moved.",
        ("lease",),
        [((row.name,), row.extended) for row in report.leases],
    )
    yield _spread(
        "runbooks_lease_seconds",
        "How long leases were held.",
        ("lease",),
        [((row.name,), row.lasted) for row in report.leases],
    )


def _incidents(report: Report) -> Iterator[Metric]:
    rows = report.severities
    yield gauge(
        "runbooks_incidents",
        "Incidents of the month.",
        ("severity",),
        [((row.severity,), row.incidents) for row in rows],
    )
    yield gauge(
        "runbooks_incidents_running",
        "Incidents that are still open.",
        ("severity",),
        [((row.severity,), row.running) for row in rows],
    )
    yield gauge(
        "runbooks_responses",
        "Incidents by whether the response time of 2.1 was kept.",
        ("severity", "result"),
        [((row.severity, how), getattr(row, how)) for row in rows for how in ("kept", "missed", "open")],
    )
    yield gauge(
        "runbooks_response_target_seconds",
        "Response time of 2.1.",
        ("severity",),
        [((row.severity,), row.target.total_seconds()) for row in rows if row.target],
    )
    yield gauge(
        "runbooks_incidents_mitigated",
        "Incidents that were mitigated.",
        ("severity",),
        [((row.severity,), row.mitigated) for row in rows],
    )
    yield gauge(
        "runbooks_incidents_automatic",
        "Of the mitigated: without a human.",
        ("severity",),
        [((row.severity,), row.automatic) for row in rows],
    )
    for name in ("acknowledge", "mitigate", "resolve"):
        yield _spread(
            f"runbooks_{name}_seconds",
            f"Time to {name} an incident.",
            ("severity",),
            [((row.severity,), getattr(row, name)) for row in rows],
        )


def _approvals(report: Report) -> Iterator[Metric]:
    asked = report.approvals
    results = ("answered", "by_events", "unanswered", "open")
    yield gauge(
        "runbooks_questions",
        "Questions to people, by how they ended.",
        ("result",),
        [((how,), getattr(asked, how)) for how in results],
    )
    yield gauge("runbooks_questions_escalated", "Questions that were escalated.", (), [((), asked.escalated)])
    yield _spread(
        "runbooks_answer_seconds",
        "How long people took to answer, by role.",
        ("role",),
        [((row.role,), row.delay) for row in asked.roles],
    )


def gauge(name: str, text: str, labels: Label, rows: Iterable[Row]) -> GaugeMetricFamily:
    """Make one metric: a number for each set of labels."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family


def _spread(name: str, text: str, labels: Label, rows: Iterable[tuple[Label, Spread | None]]) -> GaugeMetricFamily:
    numbers = (
        ((*values, statistic), took.total_seconds())
        for values, spread in rows
        if spread is not None
        for statistic, took in (("median", spread.median), ("p90", spread.p90), ("max", spread.longest))
    )
    return gauge(name, text, (*labels, "statistic"), numbers)
