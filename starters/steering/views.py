"""Lists of runs in the Temporal UI: a link to each, which saves it there as a view, and the columns to tell them apart.

The UI keeps views and columns in the browser, so nobody can set them up for somebody else: each opens a link once, or
pastes the script once.
"""

import json
from typing import NamedTuple
from urllib.parse import quote, urlencode

from workers.settings import Settings
from workflows.platform.search_attributes import INCIDENT, OUTCOME, PROCEDURE, SERVICE, SEVERITY, WAITING_FOR

_OPEN = "ExecutionStatus = 'Running'"
_OURS = f"{PROCEDURE.name} IS NOT NULL"
_COLUMNS = (
    "Status",
    "Workflow ID",
    SEVERITY.name,
    SERVICE.name,
    INCIDENT.name,
    WAITING_FOR.name,
    OUTCOME.name,
    "Start",
    "End",
)
_VIEWS, _TABLE = "saved-workflow-queries", "namespace-workflow-table-columns"
"""Where the UI keeps them in the browser."""


class View(NamedTuple):
    """One list of runs."""

    name: str
    query: str
    link: str


def views(settings: Settings) -> list[View]:
    """Give them all: what is open, what waits for somebody, incidents, what failed, and each service's runs."""
    asked = {
        "Waits for somebody": f"{_OPEN} AND {WAITING_FOR.name} IS NOT NULL",
        "Open runs": f"{_OPEN} AND {_OURS}",
        "P1": f"{SEVERITY.name} = 'P1'",
        "P2": f"{SEVERITY.name} = 'P2'",
        "Failed or terminated": f"ExecutionStatus IN ('Failed', 'Terminated', 'TimedOut') AND {_OURS}",
        **{f"Runs of {name}": f"{SERVICE.name} = '{name}'" for name in settings.services if "'" not in name},
    }
    return [View(name, query, _link(settings, name, query)) for name, query in asked.items()]


def _link(settings: Settings, name: str, query: str) -> str:
    namespace = quote(settings.temporal.namespace, safe="")
    asked = urlencode({"query": query, "savedQuery": name}, quote_via=quote)
    return f"{settings.temporal.ui_url}/namespaces/{namespace}/workflows?{asked}"


def script(settings: Settings) -> str:
    """Give the JavaScript that saves all of them in a browser, and the columns; done twice it is done once."""
    namespace = settings.temporal.namespace
    saved = [
        {"id": f"runbooks-{view.name}", "name": view.name, "query": view.query, "type": "user"}
        for view in views(settings)
    ]
    columns = [{"label": label} for label in _COLUMNS]
    return f"""\
((namespace, views, columns) => {{
  const change = (key, to) => {{
    const all = JSON.parse(localStorage.getItem(key) ?? "{{}}");
    localStorage.setItem(key, JSON.stringify({{...all, [namespace]: to(all[namespace] ?? [])}}));
  }};
  const ours = new Set(views.map((view) => view.name));
  change({json.dumps(_VIEWS)}, (old) => [...old.filter((view) => !ours.has(view.name)), ...views]);
  change({json.dumps(_TABLE)}, () => columns);
  location.reload();
}})({json.dumps(namespace)}, {json.dumps(saved)}, {json.dumps(columns)});
"""
