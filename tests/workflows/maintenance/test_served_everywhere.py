"""A certificate is served at every address, and an ingress restarted only where settings say so."""

from temporalio.client import Client

from activities.catalogue.certificates import AcmePolicy, IngressPolicy
from tests.workflows.conftest import Working
from tests.workflows.maintenance.certificates import NAME, decides, run
from tests.workflows.steering import begin
from tests.workflows.worlds.certified import DAY, HOST, SECRET, Certified, certificate
from workflows.maintenance.certificate_renewal import CertificateRenewalRequest


async def test_the_second_address_still_serves_the_old_one(working: Working, client: Client) -> None:
    world = Certified()
    world.stuck = {"b"}
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, CertificateRenewalRequest(), NAME)
        status = await decides(handle, "ingress", "restart")
        assert status.questions[0].evidence == [f"{HOST} at b serves {certificate()}"]
        result = await handle.result()
    assert result["restarted"]
    assert result["not_served"] == []
    (restart,) = world.done("kubernetes.restart_rollout")
    assert (restart.namespace, restart.deployment) == ("ingress-nginx", "ingress-nginx")


async def test_an_ingress_is_left_where_nobody_says_so(working: Working, client: Client) -> None:
    world = Certified()
    world.stuck = {"b"}
    result, _ = await run(working, client, world)
    assert world.done("kubernetes.restart_rollout") == []
    assert result["not_served"] == [f"{HOST} at b serves {certificate()}"]


async def test_by_settings_it_is_restarted_at_once_and_only_then(working: Working, client: Client) -> None:
    world = Certified()
    world.policy(acme=AcmePolicy(secrets=("web",)), ingress=IngressPolicy(restart="auto"))
    result, _ = await run(working, client, world)
    assert not result["restarted"]
    world = Certified()
    world.policy(acme=AcmePolicy(secrets=("web",)), ingress=IngressPolicy(restart="auto"))
    world.never = {"b"}
    result, _ = await run(working, client, world)
    assert result["restarted"]
    assert len(result["not_served"]) == 1


async def test_what_was_renewed_before_and_is_not_served_is_mended_too(working: Working, client: Client) -> None:
    world = Certified()
    world.stuck = {"b"}
    world.put(SECRET, certificate("newer", left=80 * DAY))
    world.policy(acme=AcmePolicy(secrets=("web",)), ingress=IngressPolicy(restart="auto"))
    result, _ = await run(working, client, world)
    assert result["restarted"]
    assert (result["not_served"], world.orders) == ([], 0)
