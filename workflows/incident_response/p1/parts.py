"""What the run of a P1 consists of, from when there is an incident."""

from dataclasses import dataclass

from workflows.incident_response.incident_run import IncidentParts
from workflows.incident_response.p1.alerts import P1Alerts
from workflows.incident_response.p1.closing import P1Closing
from workflows.incident_response.p1.deadlines import P1Deadlines
from workflows.incident_response.p1.findings import P1Findings
from workflows.incident_response.p1.happened import P1Happened
from workflows.incident_response.p1.health import P1Health
from workflows.incident_response.p1.mitigations import P1Mitigations
from workflows.incident_response.scaled import Scaled
from workflows.incident_response.watch import Watch


@dataclass(frozen=True)
class P1Parts(IncidentParts):
    """All of them are there, or none is."""

    happened: P1Happened
    watch: Watch
    scaled: Scaled
    alerts: P1Alerts
    findings: P1Findings
    mitigations: P1Mitigations
    deadlines: P1Deadlines
    health: P1Health
    closing: P1Closing
