"""Maintenance window: told ahead, silenced, a scale-up as its child, a tick; then ended, or cancelled in the middle."""

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import httpx
import psycopg
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle

from tests.crash.people import tell, when
from tests.crash.scenario import Case, EndState
from tests.crash.world import ServiceScenario
from workflows.maintenance.maintenance_window import MaintenanceWindow, MaintenanceWindowRequest
from workflows.maintenance.window_words import TickTask

_BEGINS_IN = timedelta(seconds=2)
_LEFT = {
    "silences": 1,
    "window notices page-scheduled": 1,
    "window notices page-in-progress": 1,
    "window notices page-completed": 1,
    "audit_log schedule-window": 1,
    "audit_log start-window": 1,
    "audit_log end-window": 1,
    "mails maintenance_scheduled": 1,
    "Deployment notes scale": 1,
    "replicas": 4,
    "messages post-ended": 1,
}


def _tenant(case: Case) -> str:
    return f"tenant-{case.name}"


class MaintenanceWindowScenario(ServiceScenario):
    """The window goes its way, while workers die."""

    name = "maintenance-window"
    procedure = "maintenance_window"
    leaves: ClassVar = {**_LEFT, "window completed": 1, "component shows operational": 1}

    def policy(self, case: Case) -> dict[str, Any]:
        return {"window": {"steady_for": "PT1S", "verify_within": "PT5M"}}

    async def prepare(self, case: Case) -> dict[str, Any]:
        settings = await super().prepare(case)
        with psycopg.connect(case.servers.records) as connection:
            connection.execute(
                "INSERT INTO runbooks.tenants (tenant_id, name, tier, email) VALUES (%s, %s, 'team', %s)",
                (_tenant(case), _tenant(case), f"{case.name}@example.org"),
            )
        return {**settings, "alertmanager": {"url": case.servers.alertmanager}}

    def request(self, case: Case) -> MaintenanceWindowRequest:
        starts_at = datetime.now(UTC) + _BEGINS_IN
        tasks = [
            {"procedure": "manual-scale-up", "input": {"target": "+1"}, "takes": "PT10M"},
            {"id": "swap", "check": "Swap the cable", "takes": "PT10M"},
        ]
        return MaintenanceWindowRequest.model_validate(
            {
                "title": "Cables",
                "starts_at": starts_at,
                "ends_at": starts_at + timedelta(hours=1),
                "tasks": tasks,
                "tenants": [_tenant(case)],
            }
        )

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        await when(handle, lambda status: status.waiting_for == "tick swap")
        await tell(handle, MaintenanceWindow.tick, TickTask(who="ada", role="on-call", task="swap"))

    def matters(self, kill: str, name: str) -> bool:
        # The keys of mails to many have a part for each address, which is the case's own; the mails are counted.
        return not name.startswith("audit_log mail-")

    def look(self, case: Case, api: httpx.Client, state: EndState) -> None:
        _look_at_the_silences(case, state)
        with psycopg.connect(case.servers.records) as connection:
            query = "SELECT window_id, status FROM runbooks.maintenance_windows WHERE workflow_id = %s"
            for window_id, status in connection.execute(query, (case.workflow_id,)):
                state.counts[f"window {status}"] += 1
                if status in {"scheduled", "in_progress"}:
                    state.paused.append(f"window {window_id} is {status}")
            query = (
                "SELECT regexp_replace(effect_key, '.*/', ''), status, component_shows "
                "FROM runbooks.maintenance_notices WHERE workflow_id = %s ORDER BY id"
            )
            said, shows = "", ""
            for step, said, shows in connection.execute(query, (case.workflow_id,)):  # noqa: B007  the last counts
                state.counts[f"window notices {step}"] += 1
            state.counts[f"component shows {shows}"] = 1
            if said != "Completed":
                state.paused.append(f"the page says {said or 'nothing'}")
            query = "SELECT template FROM runbooks.mails WHERE workflow_id = %s"
            state.counts.update(f"mails {template}" for (template,) in connection.execute(query, (case.workflow_id,)))


class CancelledWindowScenario(MaintenanceWindowScenario):
    """The run is cancelled while the window is in progress."""

    name = "maintenance-window-cancelled"
    end = WorkflowExecutionStatus.CANCELED
    leaves: ClassVar = {
        **_LEFT,
        "window cancelled": 1,
        "component shows operational": 1,
        "mails maintenance_cancelled": 1,
    }

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        await when(handle, lambda status: status.waiting_for == "tick swap")
        await handle.cancel()


def _look_at_the_silences(case: Case, state: EndState) -> None:
    items = httpx.get(f"{case.servers.alertmanager}/api/v2/silences", trust_env=False).raise_for_status().json()
    for silence in items:
        if silence["createdBy"] == f"durable-runbooks ({case.workflow_id})":
            state.counts["silences"] += 1
            if silence["status"]["state"] != "expired":
                state.paused.append(f"alerts are silenced until {silence['endsAt']}")
