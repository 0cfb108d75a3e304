"""Runs of 6.3, and what they did."""

from typing import Any

from temporalio.client import Client

from tests.workflows.conftest import Working
from tests.workflows.steering import Handle, begin, told, waiting_for
from tests.workflows.worlds.certified import Certified
from workflows.maintenance.certificate_renewal import CertificateRenewalRequest
from workflows.platform.approval import Decision
from workflows.platform.run_status import RunStatus

NAME = "certificate_renewal"


SAM = {"who": "sam", "role": "security"}


EFFECTS = [
    "tls_secrets.hold",
    "acme.order",
    "acme.show",
    "acme.validate",
    "acme.issue",
    "tls_secrets.install",
    "acme.clean",
    "tls_secrets.release",
]


async def run(working: Working, client: Client, world: Certified, **fields: Any) -> tuple[dict[str, Any], str]:
    """Run one that needs nobody; give its result and timeline."""
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, CertificateRenewalRequest(**fields), NAME)
        result = await handle.result()
        return result, await told(handle)


async def decides(handle: Handle, question: str, choice: str) -> RunStatus:
    status = await waiting_for(handle, f"decide {question}")
    await handle.execute_update("decide", Decision(**SAM, question=question, choice=choice))
    return status


def names(world: Certified) -> list[str]:
    return [name for name, _ in world.effects]
