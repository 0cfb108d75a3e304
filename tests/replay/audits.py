"""The audits whose histories are kept (runbook 8.3)."""

from collections.abc import Callable

from tests.activities.compliance.packaging import year
from tests.replay.cases import Case, Handle, waiting
from tests.replay.company import company
from tests.workflows.worlds.audited import AWS, Audited
from workflows.platform.approval import Decision
from workflows.security.compliance_audit import ComplianceAuditRequest

GRACE = {"who": "grace", "role": "security"}
YEAR = "2025-01-01 to 2025-12-31"


def audited() -> Audited:
    made = company()()
    year(made.sql)
    return Audited(made.pool, made.sql, made.server, made.service.customers)


def unseen(world: Audited) -> None:
    world.gaps = [[AWS], []]


def answers(choice: str) -> Callable[[Handle, Audited], object]:
    async def steer(handle: Handle, world: Audited) -> None:
        await waiting(handle, "decide gaps-1")
        await handle.execute_update("decide", Decision(**GRACE, question="gaps-1", choice=choice))

    return steer


SOC2 = ComplianceAuditRequest(framework="soc2", period=YEAR)

CASES: dict[str, Case] = {
    "compliance_audit-packaged": Case(SOC2, world=audited),
    "compliance_audit-again": Case(SOC2, answers("retry"), unseen, audited),  # type: ignore[arg-type]
    "compliance_audit-stopped": Case(SOC2, answers("stop"), unseen, audited),  # type: ignore[arg-type]
    "compliance_audit-planned": Case(SOC2.model_copy(update={"dry_run": True}), world=audited),
}
