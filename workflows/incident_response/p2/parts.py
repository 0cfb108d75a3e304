"""What the run of a P2 consists of, from when there is an incident."""

from dataclasses import dataclass

from workflows.incident_response.incident_run import IncidentParts
from workflows.incident_response.p2.alerts import P2Alerts
from workflows.incident_response.p2.findings import P2Findings
from workflows.incident_response.p2.fixes import P2Fixes
from workflows.incident_response.p2.watching import P2Watching
from workflows.incident_response.scaled import Scaled


@dataclass(frozen=True)
class P2Parts(IncidentParts):
    """All of them are there, or none is."""

    scaled: Scaled
    alerts: P2Alerts
    findings: P2Findings
    fixes: P2Fixes
    watching: P2Watching
