"""Which run an alert belongs to, and why: what the webhook does, and what `runbooks routes test` tells beforehand."""

from collections.abc import Mapping
from dataclasses import dataclass

from activities.catalogue.service import Service
from activities.records.alerts import Alert
from starters.steering import grouping
from starters.steering.routes import Route, Routes, classified
from workflows.incident_response.severity import SEVERITIES

_WORST_FIRST = [*SEVERITIES]


@dataclass(frozen=True)
class Routed:
    """An alert, and the run that it belongs to."""

    alert: Alert
    route: Route
    service: str
    workflow_id: str

    @property
    def rank(self) -> int:
        """How bad it says it is: 0 is worst; what it doesn't say comes last."""
        severity = self.route.severity or classified(self.alert.labels).get("severity", "")
        return _WORST_FIRST.index(severity) if severity in _WORST_FIRST else len(_WORST_FIRST)


@dataclass(frozen=True)
class Unrouted:
    """An alert that begins nothing."""

    why: str


def decide(alert: Alert, routes: Routes, services: Mapping[str, Service]) -> Routed | Unrouted:
    """Find the rule, the service and the run of an alert."""
    route = routes.find(alert.labels)
    if route is None:
        return Unrouted("no routing rule matches its labels")
    service = route.service_of(alert.labels, services)
    if service is None and (foreign := route.foreign_to(alert.labels, services)):
        return Unrouted(f"labels.{route.service_label}: {foreign}")
    if service is None:
        known = ", ".join(sorted(services)) or "none"
        return Unrouted(f"labels.{route.service_label}: not a known service. Known: {known}")
    by = services[service].alerts_by
    return Routed(alert, route, service, grouping.of_alert(route, service, alert, by))
