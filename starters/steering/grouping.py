"""Which run an alert or a person belongs to: its workflow ID says it, so that Temporal lets only one be open.

By default all alerts of a service are one trouble: five pods, two Prometheus replicas, several rules (`alerts_by` of
the service says otherwise). Alerts that ask for something else, by the labels that a rule takes as input, are not.
"""

import hashlib

from activities.catalogue.service import Grouping
from activities.records.alerts import Alert
from starters.steering.catalogue import service_run_id
from starters.steering.routes import Route


def of_alert(route: Route, service: str, alert: Alert, by: Grouping) -> str:
    """Give the ID of the run that takes an alert; one without a group counts as its service's."""
    parts = [service_run_id(route.target, service)]
    if by == "alert":
        parts.append(alert.fingerprint)
    elif by == "group" and alert.group_key:
        parts.append(_short(alert.group_key))
    if route.input_labels:
        parts.append(_short(*(alert.labels.get(label, "") for label in route.input_labels.values())))
    return "/".join(parts)


def _short(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]
