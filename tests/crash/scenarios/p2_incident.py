"""P2: too few pods; two more are added behind a paused autoscaler, watched, and the incident is resolved."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from activities.records.alerts import Alert
from tests.crash.scenario import Case
from tests.crash.world import ServiceScenario
from workflows.incident_response.p2_incident import P2Request


class P2Scenario(ServiceScenario):
    name = "p2-incident"
    procedure = "p2_incident"
    leaves: ClassVar = {
        "replicas": 5,
        "replicas ready": 5,
        "incidents create-incident": 1,
        "Deployment notes scale": 1,
        "ScaledObject notes pause-autoscaler": 1,
        "ScaledObject notes resume-autoscaler": 1,
        "evidence figures.svg": 1,
    }

    def policy(self, case: Case) -> dict[str, Any]:
        return {
            # Saturated for ever, and no figures to be watched: what is watched is the service's own health.
            "metrics": {"saturation": "vector(1)"},
            "degradation": {"watch_for": "PT6S", "watch_every": "PT0.5S", "better_for": "PT1S"},
        }

    def request(self, case: Case) -> P2Request:
        alert = Alert(source="crash", fingerprint=case.workflow_id, name="HighLatency", starts_at=datetime.now(UTC))
        return P2Request(alert=alert)
