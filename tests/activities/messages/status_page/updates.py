"""Updates as runs publish them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from activities.messages.status_page.status_page import (
    LeaveStatusPage,
    UpdateMaintenance,
    UpdateStatusPage,
)
from tests.records_schema.fixtures import effect

KEY = "0b5f9d44-secret"


def update(
    status: Any, step: str, incident_id: str = "INC-1", component: str = "api", **plan: bool
) -> UpdateStatusPage:
    return UpdateStatusPage(
        component=component,
        incident_id=incident_id,
        title="API down",
        status=status,
        message="Issue identified, implementing fix",
        effect=effect(step, **plan),
    )


def maintenance(status: Any, step: str, shows: Any = None, **plan: bool) -> UpdateMaintenance:
    return UpdateMaintenance(
        component="api",
        window_id="MW-1",
        title="TenSafe maintenance: Upgrade",
        status=status,
        message=f"{status}.",
        starts_at=AT,
        ends_at=AT + timedelta(hours=2),
        shows=shows,
        effect=effect(step, **plan),
    )


def leave(step: str, incident_id: str = "INC-1", *, over: bool = False) -> LeaveStatusPage:
    return LeaveStatusPage(component="api", incident_id=incident_id, message="Bye", over=over, effect=effect(step))


AT = datetime(2026, 2, 5, 2, tzinfo=UTC)


WAY: tuple[tuple[Any, Any], ...] = (
    ("Scheduled", None),
    ("In progress", "under_maintenance"),
    ("Verifying", None),
    ("Completed", "operational"),
)
