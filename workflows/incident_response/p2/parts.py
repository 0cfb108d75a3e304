"""What the run of a P2 consists of, from when there is an incident."""

from dataclasses import dataclass

from workflows.incident_response.incident_run import IncidentParts
from workflows.incident_response.scaled import Scaled


@dataclass(frozen=True)
class P2Parts(IncidentParts):
    """All of them are there, or none is."""

    scaled: Scaled
