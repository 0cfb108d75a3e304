"""Which runs are meant: the same question to the archive's index and to a story at hand."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from audit.story import Story
from audit.text import kept


class Filter(BaseModel):
    """What a run must have; what is empty does not count."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    namespace: str = ""
    procedure: str = Field(default="", description="Workflow type, e.g. `P1Incident`.")
    severity: str = ""
    service: str = ""
    tenant: str = ""
    incident: str = Field(default="", description="Incident ID.")
    actor: str = Field(default="", description="Who had a say in it, or started it.")
    target: str = Field(
        default="",
        description="What an effect was on: `deployment/tensafe-server`, or only the name behind the last slash.",
    )
    outcome: str = Field(default="", description="The procedure's own word.")
    status: str = Field(default="", description="Temporal's word.")
    since: datetime | None = Field(default=None, description="Started then or later.")
    until: datetime | None = Field(default=None, description="Started before.")
    workflow_id: str = ""
    run_id: str = ""
    first_run_id: str = ""
    parent_run: str = Field(default="", description="Run ID of the run that started it.")

    def matches(self, story: Story) -> bool:
        """Tell whether a story is meant."""
        wanted = {name: value for name, value in self.model_dump(exclude={"since", "until"}).items() if value}
        had = keys_of(story)
        if not all(
            value in had[name] if isinstance(had[name], list) else value == had[name]
            for name, value in _columns(wanted)
        ):
            return False
        return not (
            (self.since is not None and story.started_at < self.since)
            or (self.until is not None and story.started_at >= self.until)
        )

    def condition(self) -> tuple[str, dict[str, Any]]:
        """Give the condition on `archive_index` as SQL, and its parameters."""
        wanted = {name: value for name, value in self.model_dump(exclude={"since", "until"}).items() if value}
        parts: list[str] = []
        parameters: dict[str, Any] = {}
        for column, value in _columns(wanted):
            many = column in {"actors", "targets"}
            parts.append(f"i.{column} @> %({column})s" if many else f"i.{column} = %({column})s")
            parameters[column] = [value] if many else value
        if self.since is not None:
            parts.append("i.started_at >= %(since)s")
            parameters["since"] = self.since
        if self.until is not None:
            parts.append("i.started_at < %(until)s")
            parameters["until"] = self.until
        return " AND ".join(parts) or "true", parameters


def keys_of(story: Story) -> dict[str, Any]:
    """Give what a story is found by: the columns of `archive_index`."""
    names = {target.rpartition("/")[2] for target in story.targets}
    return {name: _kept(value) for name, value in _keys(story, names).items()}


def _kept(value: Any) -> Any:
    """Make a key one that PostgreSQL can have in its index, alike in what is stored and in what is asked for."""
    if isinstance(value, list):
        return sorted({kept(one) for one in value})
    return kept(value) if isinstance(value, str) else value


def _keys(story: Story, names: set[str]) -> dict[str, Any]:
    return {
        "namespace": story.namespace,
        "workflow_id": story.run.workflow_id,
        "run_id": story.run.run_id,
        "first_run_id": story.first_run_id,
        "parent_workflow": story.parent.workflow_id if story.parent else "",
        "parent_run": story.parent.run_id if story.parent else "",
        "procedure": story.run.workflow_type,
        "severity": story.severity,
        "service": story.service,
        "tenant": story.tenant,
        "incident": story.incident_id,
        "outcome": story.outcome,
        "status": story.status,
        "started_at": story.started_at,
        "ended_at": story.ended_at,
        "actors": story.actors,
        "targets": sorted({*story.targets, *names}),
    }


def _columns(wanted: dict[str, str]) -> list[tuple[str, str]]:
    plural = {"actor": "actors", "target": "targets"}
    return [(plural.get(name, name), kept(value)) for name, value in wanted.items()]
