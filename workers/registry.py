"""The only list of all procedures: workers register it, starters and the catalogue read it."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from workflows.audit.archive_runs import ArchiveRuns
from workflows.customer_operations.churn_prevention import ChurnPrevention, ChurnPreventionRequest
from workflows.customer_operations.enterprise_onboarding import EnterpriseOnboarding, EnterpriseOnboardingRequest
from workflows.customer_operations.issue_escalation import IssueEscalation, IssueEscalationRequest
from workflows.deployment.rollback import Rollback, RollbackRequest
from workflows.deployment.standard_deployment import StandardDeployment, StandardDeploymentRequest
from workflows.disaster_recovery.database_failover import DatabaseFailover, DatabaseFailoverRequest
from workflows.disaster_recovery.full_service_recovery import FullServiceRecovery, FullServiceRecoveryRequest
from workflows.disaster_recovery.point_in_time_restore import PointInTimeRestore, PointInTimeRestoreRequest
from workflows.incident_response.p1_incident import P1Incident, P1Request
from workflows.maintenance.database_maintenance import DatabaseMaintenance, DatabaseMaintenanceRequest
from workflows.scaling.add_gpu_node import AddGpuNode, AddGpuNodeRequest
from workflows.scaling.emergency_scale_up import EmergencyScaleUp, EmergencyScaleUpRequest
from workflows.scaling.manual_scale_up import ManualScaleUp, ManualScaleUpRequest
from workflows.security.api_key_rotation import ApiKeyRotation, ApiKeyRotationRequest
from workflows.shared.runbook import Runbook

_BY = {"service": "tensafe-server", "requested_by": "oncall@tensafe.io"}


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
    Procedure(
        section="3.1",
        name="manual_scale_up",
        title="Manual scale-up",
        workflow=ManualScaleUp,
        request=ManualScaleUpRequest,
        example={**_BY, "target": "+2"},
    ),
    Procedure(
        section="3.2",
        name="emergency_scale_up",
        title="Emergency scale-up",
        workflow=EmergencyScaleUp,
        request=EmergencyScaleUpRequest,
        example={**_BY, "lease": "PT30M"},
    ),
    Procedure(
        section="3.3",
        name="add_gpu_node",
        title="Add a GPU node",
        workflow=AddGpuNode,
        request=AddGpuNodeRequest,
        example=_BY,
    ),
    Procedure(
        section="4.1",
        name="standard_deployment",
        title="Standard deployment",
        workflow=StandardDeployment,
        request=StandardDeploymentRequest,
        example={**_BY, "version": "v1.2.4", "change_log": "Fixed bug #123, added feature #456"},
    ),
    Procedure(
        section="4.2",
        name="rollback",
        title="Rollback",
        workflow=Rollback,
        request=RollbackRequest,
        example={**_BY, "reason": "Error rate spiked to 5%"},
    ),
    Procedure(
        section="5.1",
        name="enterprise_onboarding",
        title="Enterprise onboarding",
        workflow=EnterpriseOnboarding,
        request=EnterpriseOnboardingRequest,
        example={**_BY, "name": "Acme Corp", "contact_name": "Their administrator", "email": "it@acme.example"},
    ),
    Procedure(
        section="5.2",
        name="issue_escalation",
        title="Customer issue escalation",
        workflow=IssueEscalation,
        request=IssueEscalationRequest,
        example={**_BY, "tenant_id": "acme", "summary": "Training jobs fail since this morning"},
    ),
    Procedure(
        section="5.3",
        name="churn_prevention",
        title="Customer churn prevention",
        workflow=ChurnPrevention,
        request=ChurnPreventionRequest,
        example=_BY,
    ),
    Procedure(
        section="6.2",
        name="database_maintenance",
        title="Database maintenance",
        workflow=DatabaseMaintenance,
        request=DatabaseMaintenanceRequest,
        example={**_BY, "min_duration": "PT60S"},
    ),
    Procedure(
        section="7.1",
        name="database_failover",
        title="Database failover",
        workflow=DatabaseFailover,
        request=DatabaseFailoverRequest,
        example={**_BY, "promote": "replica-1"},
    ),
    Procedure(
        section="7.2",
        name="full_service_recovery",
        title="Full service recovery",
        workflow=FullServiceRecovery,
        request=FullServiceRecoveryRequest,
        example={**_BY, "restore": "ask", "take_traffic_away": "auto"},
    ),
    Procedure(
        section="7.3",
        name="point_in_time_restore",
        title="Point-in-time restore",
        workflow=PointInTimeRestore,
        request=PointInTimeRestoreRequest,
        example={**_BY, "target_time": "2026-02-04T12:00:00+00:00"},
    ),
    Procedure(
        section="8.2",
        name="api_key_rotation",
        title="API key rotation",
        workflow=ApiKeyRotation,
        request=ApiKeyRotationRequest,
        example={**_BY, "tenant_id": "acme", "grace": "PT24H"},
    ),
)


SYSTEM: tuple[type, ...] = (ArchiveRuns,)
"""What runs beside the procedures: schedules start it, and nobody else needs to."""


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
