"""A filter as Temporal's visibility understands it; what it can't tell is left to the stories."""

from datetime import UTC

from audit.store_filter import Filter
from starters.past.statuses import IN_VISIBILITY
from workflows.platform import search_attributes

_ATTRIBUTES = {
    "procedure": "WorkflowType",
    "severity": search_attributes.SEVERITY.name,
    "service": search_attributes.SERVICE.name,
    "tenant": search_attributes.TENANT.name,
    "incident": search_attributes.INCIDENT.name,
    "outcome": search_attributes.OUTCOME.name,
    "workflow_id": "WorkflowId",
    "run_id": "RunId",
}
_OURS = ("ArchiveRuns", "SweepHolds", "LookForWorkers")
"""What looks after the archive itself, for what is left and for workers is no procedure."""


def query_of(wanted: Filter) -> str:
    """Write the query."""
    parts = [f'WorkflowType != "{name}"' for name in _OURS]
    for name, attribute in _ATTRIBUTES.items():
        value = getattr(wanted, name)
        # Visibility has no way to quote these; the stories are compared anyway.
        if value and not set(value) & set("\"'`\\"):
            parts.append(f'{attribute} = "{value}"')
    if wanted.status:
        parts.append(f'ExecutionStatus = "{IN_VISIBILITY.get(wanted.status, wanted.status)}"')
    if wanted.since is not None:
        parts.append(f'StartTime >= "{wanted.since.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"')
    if wanted.until is not None:
        parts.append(f'StartTime < "{wanted.until.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"')
    return " AND ".join(parts)
