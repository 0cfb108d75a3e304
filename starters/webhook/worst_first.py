"""The order in which the alerts of a post are taken: the worst first, so that a storm of others doesn't delay it."""

from collections.abc import Callable, Sequence
from typing import Any

from starters.steering.mapping import text
from starters.steering.routes import Routes, classified

_LEADING = ("p0", "p1", "critical", "page", "emergency", "disaster", "p2", "error", "high", "major", "p3", "warning")
"""What `severity` says in the runbook (2.1) and in common rules, the worst first."""

_LAST = len(_LEADING)
_OF_PROCEDURE = {"p1-incident": "p1", "p2-incident": "p2"}
"""What a rule that names no severity makes of an alert, whatever that says of itself."""

Rank = Callable[[Any], int]
"""How bad a raw alert is: 0 is worst."""


def worst_first(alerts: Sequence[Any], rank: Rank) -> list[int]:
    """Give the places of raw alerts in the order of their rank.

    Alerts of one rank keep their order: a firing and its end may be in one post.
    """
    return sorted(range(len(alerts)), key=lambda place: rank(alerts[place]))


def rank(alert: Any, routes: Routes | None = None) -> int:
    """Give how bad a raw alert is: by its severity, or by that of the rule which takes it, where that is worse.

    What says no severity comes behind what does; what no rule takes comes behind all that one does.
    """
    labels = alert.get("labels") if isinstance(alert, dict) else None
    if not isinstance(labels, dict):
        return _LAST if routes is None else 2 * _LAST + 1
    if routes is None:
        return _of(labels.get("severity"))
    told = classified({name: text(value) for name, value in labels.items()})
    route = routes.find(told)
    by_itself = _of(told.get("severity"))
    if route is None:
        return _LAST + 1 + by_itself
    return min(by_itself, _of(route.severity or _OF_PROCEDURE.get(route.procedure)))


def _of(severity: Any) -> int:
    said = severity.lower() if isinstance(severity, str) else ""
    return _LEADING.index(said) if said in _LEADING else _LAST
