"""6.3 is reset on a real Temporal after it had renewed: it tells what it renewed, though nothing is due any more."""

from typing import Any
from uuid import uuid4

import pytest

from activities.monitoring.resets import Resets
from tests.crash.leftovers import reset
from tests.workflows.steering import begin, result_of
from tests.workflows.worlds.certified import Certified, by_cert_manager
from tests.workflows.worlds.world import instead
from workers.clients import connect
from workers.settings import TemporalSettings
from workers.worker import build
from workflows.maintenance.certificate_renewal import CertificateRenewal, CertificateRenewalRequest


async def twice(temporal_address: str, world: Certified) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run it to its end, reset it, and let it end again; gives both results."""
    queue, client, resets = f"renewed-{uuid4()}", await connect(TemporalSettings(address=temporal_address)), Resets()
    activities = instead(world.activities(), resets.done, resets.before_reset)
    async with build(client, TemporalSettings(task_queue=queue), activities, workflows=[CertificateRenewal]):
        first = await begin(client, queue, CertificateRenewalRequest(), "certificate_renewal")
        before = await result_of(first)
        again = await reset(client, first)
        return before, await result_of(again)


@pytest.mark.parametrize("whose", ["ours", "cert-manager's"])
async def test_what_was_renewed_and_let_go_is_told_again(temporal_address: str, whose: str) -> None:
    world = Certified()
    if whose == "cert-manager's":
        by_cert_manager(world)
    before, after = await twice(temporal_address, world)
    assert len(before["renewed"]) == 1
    assert after["renewed"] == before["renewed"]
    assert world.orders == (1 if whose == "ours" else 0)
    assert len({asked.effect.key for asked in world.done("cert_manager.trigger")}) == (0 if whose == "ours" else 1)
