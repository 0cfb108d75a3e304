"""The only list of all procedures: workers register it, starters and the catalogue read it."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from workflows.incident_response.p1_incident import P1Incident, P1Request
from workflows.shared.runbook import Runbook


@dataclass(frozen=True)
class Procedure:
    """One procedure of the runbook."""

    section: str
    name: str
    title: str
    workflow: type[Runbook]
    request: type[BaseModel]
    example: dict[str, Any]

    @property
    def workflow_type(self) -> str:
        """The workflow type's name, as the Temporal UI shows it."""
        return self.workflow.__name__

    @property
    def command(self) -> str:
        """The name on the command line."""
        return self.name.replace("_", "-")


PROCEDURES: tuple[Procedure, ...] = (
    Procedure(
        section="2.2",
        name="p1_incident",
        title="P1 incident response",
        workflow=P1Incident,
        request=P1Request,
        example={
            "service": "tensafe-server",
            "title": "API down",
            "commander": "oncall@tensafe.io",
            "requested_by": "oncall@tensafe.io",
        },
    ),
)


def procedure(name: str) -> Procedure:
    """Find a procedure by its name, command or workflow type.

    Raises:
        KeyError: there is none; names those there are.

    """
    for candidate in PROCEDURES:
        if name in {candidate.name, candidate.command, candidate.workflow_type}:
            return candidate
    known = ", ".join(candidate.command for candidate in PROCEDURES)
    message = f"no procedure {name!r}. Known: {known}"
    raise KeyError(message)
