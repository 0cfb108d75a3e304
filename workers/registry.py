"""The only list of all procedures: workers register it, starters and the catalogue read it.

It is data: an entry says where its workflow is, and imports it when somebody asks for the class or its request. So the
catalogue is listed without any procedure, and a command that starts one imports that one.
"""

import inspect
import typing
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workflows.platform.requests import RunbookRequest
    from workflows.platform.runbook import Runbook

_BY = {"service": "tensafe-server", "requested_by": "oncall@tensafe.io"}


def _workflow(module: str) -> Any:
    """Import a workflow's class."""
    return getattr(import_module(f"workflows.{module}"), _class_name(module.rpartition(".")[2]))


def _class_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


@dataclass(frozen=True)
class Procedure:
    """One procedure of the runbook; its class has the name of its module in capitals."""

    section: str
    module: str
    """Where it is in `workflows`, for example `scaling.manual_scale_up`."""

    title: str
    example: dict[str, Any]
    one_a_service: bool = False
    """Whether a service has one open run of it at most, which alerts and people join."""

    priority: int = 3
    """When its tasks' turn is where many wait, from 1 (an outage) to 5 (can wait for hours)."""

    needs: str = ""
    """The part of a service's settings without which it can't run at all, for example `gpu`."""

    @property
    def name(self) -> str:
        """Its name in settings, tests and recorded histories, for example `manual_scale_up`."""
        return self.module.rpartition(".")[2]

    @property
    def workflow_type(self) -> str:
        """The workflow type's name, as the Temporal UI shows it."""
        return _class_name(self.name)

    @property
    def command(self) -> str:
        """The name on the command line."""
        return self.name.replace("_", "-")

    @cached_property
    def workflow(self) -> "type[Runbook]":
        """Its class, imported now."""
        found: type[Runbook] = _workflow(self.module)
        return found

    @cached_property
    def request(self) -> "type[RunbookRequest]":
        """What its `run` takes; imports the procedure."""
        run = self.workflow.run  # type: ignore[attr-defined]
        (parameter,) = [name for name in inspect.signature(run).parameters if name != "self"]
        found: type[RunbookRequest] = typing.get_type_hints(run)[parameter]
        return found


@dataclass(frozen=True)
class System:
    """What runs beside the procedures: schedules start it, and nobody else needs to."""

    module: str

    @property
    def name(self) -> str:
        """Its module's name."""
        return self.module.rpartition(".")[2]

    @cached_property
    def workflow(self) -> type:
        """Its class, imported now."""
        found: type = _workflow(self.module)
        return found


PROCEDURES: tuple[Procedure, ...] = (
    Procedure("1.1", "daily_operations.morning_startup", "Morning startup", _BY, priority=4),
    Procedure("1.2", "daily_operations.hourly_health_pulse", "Hourly health pulse", _BY, priority=4),
    Procedure("1.3", "daily_operations.end_of_day", "End of day", _BY, priority=4),
    Procedure(
        "2.2",
        "incident_response.p1_incident",
        "P1 incident response",
        {
            "service": "tensafe-server",
            "title": "API down",
            "commander": "oncall@tensafe.io",
            "requested_by": "oncall@tensafe.io",
        },
        one_a_service=True,
        priority=1,
    ),
    Procedure(
        "2.3",
        "incident_response.p2_incident",
        "P2 incident response",
        {
            "service": "tensafe-server",
            "title": "Answers take more than 2 s",
            "commander": "oncall@tensafe.io",
            "requested_by": "oncall@tensafe.io",
        },
        one_a_service=True,
        priority=2,
    ),
    Procedure("3.1", "scaling.manual_scale_up", "Manual scale-up", {**_BY, "target": "+2"}),
    Procedure("3.2", "scaling.emergency_scale_up", "Emergency scale-up", {**_BY, "lease": "PT30M"}, priority=2),
    Procedure("3.3", "scaling.add_gpu_node", "Add a GPU node", _BY, needs="gpu"),
    Procedure(
        "4.1",
        "deployment.standard_deployment",
        "Standard deployment",
        {**_BY, "version": "v1.2.4", "change_log": "Fixed bug #123, added feature #456"},
        needs="release",
    ),
    Procedure("4.2", "deployment.rollback", "Rollback", {**_BY, "reason": "Error rate spiked to 5%"}, priority=2),
    Procedure(
        "5.1",
        "customer_operations.enterprise_onboarding",
        "Enterprise onboarding",
        {**_BY, "name": "Acme Corp", "contact_name": "Their administrator", "email": "it@acme.example"},
        priority=5,
    ),
    Procedure(
        "5.2",
        "customer_operations.issue_escalation",
        "Customer issue escalation",
        {**_BY, "tenant_id": "acme", "summary": "Training jobs fail since this morning"},
    ),
    Procedure("5.3", "customer_operations.churn_prevention", "Customer churn prevention", _BY, priority=5),
    Procedure(
        "6.1",
        "maintenance.maintenance_window",
        "Scheduled maintenance window",
        {
            **_BY,
            "title": "Database upgrade",
            "starts_at": "2026-02-05T02:00:00+00:00",
            "ends_at": "2026-02-05T04:00:00+00:00",
            "impact": "Brief service interruption possible",
            "tasks": [{"procedure": "database-maintenance", "takes": "PT1H"}],
        },
    ),
    Procedure(
        "6.2",
        "maintenance.database_maintenance",
        "Database maintenance",
        {**_BY, "min_duration": "PT60S"},
        needs="database",
        priority=4,
    ),
    Procedure(
        "6.3",
        "maintenance.certificate_renewal",
        "Certificate renewal",
        {**_BY, "only": ["api.tensafe.io"]},
        needs="certificates",
        priority=4,
    ),
    Procedure(
        "7.1",
        "disaster_recovery.failover.database_failover",
        "Database failover",
        {**_BY, "promote": "replica-1"},
        needs="database",
        priority=1,
    ),
    Procedure(
        "7.2",
        "disaster_recovery.recovery.full_service_recovery",
        "Full service recovery",
        {**_BY, "restore": "ask", "take_traffic_away": "auto"},
        priority=1,
    ),
    Procedure(
        "7.3",
        "disaster_recovery.restore.point_in_time_restore",
        "Point-in-time restore",
        {**_BY, "target_time": "2026-02-04T12:00:00+00:00"},
        needs="database",
        priority=2,
    ),
    Procedure(
        "8.1",
        "security.security_incident",
        "Security incident response",
        {
            **_BY,
            "severity": "critical",
            "type": "potential-breach",
            "initial_findings": "Unknown process in one pod",
            "nodes": ["node-a"],
        },
        priority=1,
    ),
    Procedure("8.2", "security.api_key_rotation", "API key rotation", {**_BY, "tenant_id": "acme", "grace": "PT24H"}),
    Procedure(
        "8.3",
        "security.compliance_audit",
        "Compliance audit preparation",
        {**_BY, "framework": "soc2", "period": "2025-01-01 to 2025-12-31"},
        priority=5,
    ),
)

SYSTEM: tuple[System, ...] = (
    System("audit.archive_runs"),
    System("upkeep.sweep_holds"),
    System("upkeep.give_back_hold"),
    System("upkeep.leave_incident"),
    System("upkeep.end_left_incident"),
    System("upkeep.look_for_workers"),
    System("upkeep.missing_worker"),
)


def procedure(name: str) -> Procedure:
    """Find a procedure by its name, command or workflow type.

    Raises:
        KeyError: there is none; names those there are.

    """
    found = _by_name().get(name)
    if found is None:
        known = ", ".join(candidate.command for candidate in PROCEDURES)
        raise KeyError(f"no procedure {name!r}. Known: {known}")
    return found


@cache
def _by_name() -> dict[str, Procedure]:
    return {name: one for one in PROCEDURES for name in (one.name, one.command, one.workflow_type)}
