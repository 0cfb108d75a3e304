"""An audit's package: each of its parts is kept once, and what is kept is whole."""

from pathlib import Path
from typing import Any, ClassVar

from temporalio.client import WorkflowHandle

from audit.package_verify import key_inside, verify
from tests.audit.stories import new_pem
from tests.crash.customers import CustomerScenario
from tests.crash.people import tell, when
from tests.crash.scenario import Case, EndState
from workflows.platform.approval import Decision
from workflows.security.compliance_audit import ComplianceAudit, ComplianceAuditRequest


class ComplianceAuditScenario(CustomerScenario):
    """AWS doesn't answer: a person has it packaged all the same."""

    name = "compliance-audit"
    procedure = "compliance_audit"
    has_a_tenant = False
    leaves: ClassVar = {
        "kept access-review.csv": 1,
        "kept encryption-status.json": 1,
        "kept soc2-evidence-package.zip": 1,
        "whole packages": 1,
        "messages post-packaged": 1,
    }

    def _prepare(self, case: Case) -> dict[str, Any]:
        settings = super()._prepare(case)
        settings["evidence"] = {"directory": str(_folder(case))}
        settings["audit"] = {"private_key": new_pem()}
        # A port that is closed: refused at once, like an endpoint that is down.
        settings["aws"] = {"region": "eu-central-1", "endpoint_url": settings["handover"]["base_url"]}
        return settings

    def request(self, case: Case) -> ComplianceAuditRequest:
        return ComplianceAuditRequest(framework="soc2", period="2025-01-01 to 2025-01-31", samples=3)

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        await when(handle, lambda status: bool(status.questions))
        word = Decision(question="gaps-1", choice="package", who="grace", role="security")
        await tell(handle, ComplianceAudit.decide, word)

    async def end_state(self, case: Case) -> EndState:
        state = await super().end_state(case)
        for file in _folder(case).rglob("*"):
            if not file.is_file() or file.name.startswith("."):
                continue
            state.counts[f"kept {file.name}"] += 1
            if file.suffix == ".zip":
                key = key_inside(file)
                state.counts["whole packages"] += int(key is not None and not verify(file, [key]).broken)
        return state


def _folder(case: Case) -> Path:
    return case.directory / "evidence"
