"""API key rotation: exactly one new key, the old one revoked at its end, and never both dead."""

from datetime import timedelta
from typing import Any, ClassVar

from temporalio.client import WorkflowHandle

from tests.crash.customers import CustomerScenario, key_id, tenant_id
from tests.crash.people import tell, when
from tests.crash.scenario import Case
from workflows.platform.approval import Decision
from workflows.platform.lease import Extend
from workflows.security.api_key_rotation import ApiKeyRotation, ApiKeyRotationRequest
from workflows.security.words import RevokeNow


class RotationScenario(CustomerScenario):
    """The grace ends by itself, while workers die."""

    name = "api-key-rotation"
    procedure = "api_key_rotation"
    leaves: ClassVar = {
        "old key revoked": 1,
        "new key accepted": 1,
        "api_keys issue": 1,
        "handovers issue": 1,
        "mails mail-api_key_rotated": 1,
        "mails mail-api_key_revoked": 1,
        "audit_log deprecate": 1,
        "audit_log revoke": 1,
    }

    def request(self, case: Case) -> ApiKeyRotationRequest:
        return ApiKeyRotationRequest(tenant_id=tenant_id(case), key_id=key_id(case), grace=timedelta(seconds=4))


class ExtendedScenario(RotationScenario):
    """A person moves the end, and the worker dies over it: before the records know, or before the run does.

    Then the person ends it.
    """

    name = "api-key-rotation-extended"

    def request(self, case: Case) -> ApiKeyRotationRequest:
        return ApiKeyRotationRequest(tenant_id=tenant_id(case), key_id=key_id(case), grace=timedelta(minutes=10))

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        await when(handle, lambda status: "Deprecate the old key" in str(status.entries))
        extension = Extend(who="lea", role="engineering-lead", by=timedelta(seconds=4))
        await tell(handle, ApiKeyRotation.extend, extension)
        await tell(handle, ApiKeyRotation.revoke, RevokeNow(who="lea", role="engineering-lead"))


class CompromisedScenario(CustomerScenario):
    """A person approves, and the old key ends in the moment in which the new one begins."""

    name = "api-key-rotation-compromised"
    procedure = "api_key_rotation"
    leaves: ClassVar = {"old key revoked": 1, "new key accepted": 1, "api_keys issue": 1, "handovers issue": 1}

    def request(self, case: Case) -> ApiKeyRotationRequest:
        return ApiKeyRotationRequest(tenant_id=tenant_id(case), compromised=True)

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        await when(handle, lambda status: status.waiting_for == "decide revoke")
        decision = Decision(who="lea", role="engineering-lead", question="revoke", choice="revoke")
        await tell(handle, ApiKeyRotation.decide, decision)
