"""A rotation of a tenant's API key, and what the records say of its keys."""

from typing import Any

from tests.workflows.steering import Handle, until
from tests.workflows.worlds.company import Company
from workflows.security.api_key_rotation import ApiKeyRotationRequest

ADA = {"who": "ada", "role": "security"}
OLD = "tsk_aaaaaaaa1"
NAME = "api_key_rotation"


def request(**fields: Any) -> ApiKeyRotationRequest:
    return ApiKeyRotationRequest(tenant_id="acme", **fields)


async def in_grace(handle: Handle) -> None:
    await until(handle, lambda status: "Deprecate the old key" in str(status.entries))


def keys(company: Company) -> dict[str, tuple[bool, bool]]:
    """Give each key's ID, and whether it is revoked, and whether it has an end."""
    rows = company.rows("SELECT key_id, revoked_at IS NOT NULL, expires_at IS NOT NULL FROM runbooks.api_keys")
    return {row[0]: (row[1], row[2]) for row in rows}
