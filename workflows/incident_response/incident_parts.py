"""What an incident's run consists of, from when there is an incident."""

from dataclasses import dataclass

from workflows.incident_response.scaled import Scaled
from workflows.incident_response.watch import Watch
from workflows.shared.hushed_incident import HushedIncident
from workflows.shared.shared_causes import SharedCauses


@dataclass(frozen=True)
class P1Parts:
    """All of them are there, or none is."""

    incident: HushedIncident
    shared: SharedCauses
    watch: Watch


@dataclass(frozen=True)
class P2Parts:
    """All of them are there, or none is."""

    incident: HushedIncident
    scaled: Scaled
    shared: SharedCauses
