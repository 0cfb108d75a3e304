"""The order in which the alerts of a post are taken: the worst first, so that a storm of others doesn't delay it."""

from collections.abc import Sequence
from typing import Any

_LEADING = ("p0", "p1", "critical", "page", "emergency", "disaster", "p2", "error", "high", "major", "p3", "warning")
"""What `severity` says in the runbook (2.1) and in common rules, the worst first."""


def worst_first(alerts: Sequence[Any]) -> list[int]:
    """Give the places of raw alerts in the order of their severity; what doesn't say one comes behind what does.

    Alerts of one severity keep their order: a firing and its end may be in one post.
    """
    return sorted(range(len(alerts)), key=lambda place: rank(alerts[place]))


def rank(alert: Any) -> int:
    """Give how bad a raw alert says it is: 0 is worst."""
    labels = alert.get("labels") if isinstance(alert, dict) else None
    severity = labels.get("severity") if isinstance(labels, dict) else None
    said = severity.lower() if isinstance(severity, str) else ""
    return _LEADING.index(said) if said in _LEADING else len(_LEADING)
