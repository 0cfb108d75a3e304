"""Only a tenant that is active is worked for."""

from datetime import UTC, datetime
from typing import Any

import pytest

from activities.common.errors import Refused
from activities.customers.tenants import Tenant
from workflows.shared.customers import must_be_active


def tenant(status: Any) -> Tenant:
    return Tenant(
        tenant_id="acme",
        name="Acme",
        tier="team",
        status=status,
        contact_name="Grace",
        email="grace@acme.example",
        csm="",
        se="",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize("status", ["suspended", "closed"])
def test_who_is_not_active_is_refused_with_what_to_do(status: str) -> None:
    with pytest.raises(Refused, match=f"tenant_id: acme is {status}: reopen it first"):
        must_be_active(tenant(status))


def test_who_is_active_is_not() -> None:
    must_be_active(tenant("active"))
