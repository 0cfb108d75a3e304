"""What is due, by the rule or the authority's own window; and what can't be looked at."""

from temporalio.client import Client

from activities.catalogue.certificates import AcmePolicy, ServedName
from activities.certificates.orders import Window
from tests.workflows.conftest import Working
from tests.workflows.maintenance.certificates import NAME, run
from tests.workflows.steering import begin
from tests.workflows.worlds.certified import DAY, HOST, NOON, SECRET, Certified, certificate
from workflows.maintenance.certificate_renewal import CertificateRenewalRequest
from workflows.platform.run_status import RunStatus


async def test_a_window_that_moved_forward_renews_now(working: Working, client: Client) -> None:
    world = Certified()
    old = certificate(left=80 * DAY)
    world.put(SECRET, old)
    world.windows[old.fingerprint] = Window(offered=True, start=NOON - 2 * DAY, end=NOON - DAY)
    result, _ = await run(working, client, world)
    assert len(result["renewed"]) == 1
    assert world.done("acme.order")[0].replaces == old.renewal_id


async def test_an_authority_that_does_not_tell_its_window_leaves_the_rule(working: Working, client: Client) -> None:
    world = Certified()
    world.down = {"acme.window"}
    result, timeline = await run(working, client, world)
    assert len(result["renewed"]) == 1
    assert "Renewal window of tensafe/web: Unavailable" in timeline


async def test_a_name_that_does_not_resolve_is_not_fine(working: Working, client: Client) -> None:
    world = Certified()
    world.put(SECRET, certificate(left=80 * DAY))
    world.policy(served=(ServedName(host=HOST), ServedName(host="gone.tensafe.test")))
    world.unresolved = {"gone.tensafe.test"}
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, CertificateRenewalRequest(), NAME)
        result = await handle.result()
        status: RunStatus = await handle.query("status", result_type=RunStatus)
    assert status.outcome == "not all seen"
    assert result["unseen"] == ["gone.tensafe.test: could not look, the name does not resolve"]
    (page,) = world.done("paging.page")
    assert page.incident_id == "CERT-unseen-gone.tensafe.test"


async def test_a_cluster_that_does_not_answer_is_not_fine(working: Working, client: Client) -> None:
    world = Certified()
    world.down = {"tls_secrets.list"}
    result, _ = await run(working, client, world)
    assert result["unseen"] == ["the TLS Secrets of the cluster"]


async def test_a_secret_of_the_settings_that_is_gone_is_told(working: Working, client: Client) -> None:
    world = Certified()
    world.policy(acme=AcmePolicy(secrets=("web", "gone")))
    result, _ = await run(working, client, world)
    assert result["unseen"] == ["tensafe/gone: settings name it, and it is not there"]
