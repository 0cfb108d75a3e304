"""CertificateRenewal decides: what is due, by whom, whether it is served, and when people are asked or paged."""

from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.testing import WorkflowEnvironment

from activities.catalogue.certificates import AcmePolicy, IngressPolicy, ServedName
from activities.certificates.orders import Window
from tests.workflows.conftest import Working
from tests.workflows.steering import Handle, begin, cancel, cause, told, until, waiting_for
from tests.workflows.worlds.certified import DAY, HOST, NOON, SECRET, Certified, by_cert_manager, certificate, refused
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


# -- what is due ---------------------------------------------------------------------------------------------


async def test_what_is_due_is_ordered_installed_and_served(working: Working, client: Client) -> None:
    world = Certified()
    result, timeline = await run(working, client, world)
    assert names(world) == [*EFFECTS, "slack.post"]
    (renewed,) = result["renewed"]
    assert renewed.startswith(f"{SECRET} ({HOST}): ")
    assert (result["failed"], result["not_served"], result["restarted"]) == ([], [], False)
    assert world.held == {}
    assert "due: 29.0 days of 90.0 days are left" in timeline
    assert world.done("acme.order")[0].names == [HOST]


async def test_with_31_days_left_nothing_is_done_or_told(working: Working, client: Client) -> None:
    world = Certified()
    world.put(SECRET, certificate(left=31 * DAY))
    result, timeline = await run(working, client, world)
    assert world.effects == []
    assert result["renewed"] == result["failed"] == []
    assert "not due: 31.0 days" in timeline


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


async def test_a_plan_changes_nothing(working: Working, client: Client) -> None:
    world = Certified()
    result, timeline = await run(working, client, world, dry_run=True)
    assert world.effects == []
    assert result["renewed"] == result["failed"] == []
    assert f"Order {HOST}: would: " in timeline


async def test_now_renews_what_is_named_though_it_is_not_due(working: Working, client: Client) -> None:
    world = Certified()
    world.put(SECRET, certificate(left=80 * DAY))
    result, _ = await run(working, client, world, only=[HOST], now=True)
    assert len(result["renewed"]) == 1


async def test_what_is_asked_for_must_be_there(working: Working, client: Client) -> None:
    world = Certified()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, CertificateRenewalRequest(only=["www.tensafe.test"]), NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        message = str(cause(failed.value).message)
    assert message == f"only: the service has no www.tensafe.test. It has: {HOST}, {SECRET}, web"


def test_now_needs_a_name() -> None:
    with pytest.raises(ValueError, match="name in `only`"):
        CertificateRenewalRequest(now=True)


async def test_a_service_without_certificates_is_bad_input(working: Working, client: Client) -> None:
    world = Certified()
    world.service = world.service.model_copy(update={"certificates": None})
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, CertificateRenewalRequest(), NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert "settings name no certificates" in str(cause(failed.value).message)


# -- an authority that says no -------------------------------------------------------------------------------


async def test_a_failed_challenge_is_one_question_and_no_storm(working: Working, client: Client) -> None:
    world = Certified()
    world.invalid = [[refused("connection")]] * 3
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, CertificateRenewalRequest(), NAME)
        status = await waiting_for(handle, "decide renewal-1")
        (question,) = status.questions
        assert question.title == f"{SECRET} could not be renewed. Try again?"
        assert question.evidence == [f"{SECRET}: {HOST}: connection: says the authority"]
        assert world.orders == 1
        # Nothing stays shown or held meanwhile. That people are asked is posted before or after this look.
        done = [name for name in names(world) if name != "slack.post"]
        assert done[-2:] == ["acme.clean", "tls_secrets.release"]
        await decides(handle, "renewal-1", "leave")
        result = await handle.result()
    assert world.orders == 1
    assert len(result["failed"]) == 1
    assert result["paged"] == []  # 29 days are left


async def test_it_is_tried_again_on_a_persons_word(working: Working, client: Client) -> None:
    world = Certified()
    world.invalid = [[refused("dns")]]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, CertificateRenewalRequest(), NAME)
        await decides(handle, "renewal-1", "retry")
        result = await handle.result()
    assert world.orders == 2
    assert len(result["renewed"]) == 1


async def test_nobody_answers_and_nothing_is_tried(working: Working, client: Client) -> None:
    world = Certified()
    world.put(SECRET, certificate(left=6 * DAY))
    world.refusals = [[refused("caa", permanent=True)]]
    result, timeline = await run(working, client, world)
    assert world.orders == 1
    assert "No answer to renewal-1" in timeline
    levels = [(page.severity, page.incident_id.rpartition("-")[2]) for page in world.done("paging.page")]
    assert levels[-1] == ("P3", "168h")  # of the certificate, with 7 days left; before it, that nobody has answered
    assert "expires in 5.7 days" in result["paged"][0]  # people had eight hours


async def test_what_never_passes_is_not_recommended(working: Working, client: Client) -> None:
    world = Certified()
    world.refusals = [[refused("rejectedIdentifier", permanent=True)]]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, CertificateRenewalRequest(), NAME)
        status = await decides(handle, "renewal-1", "leave")
        await handle.result()
    assert status.questions[0].recommended == "leave"
    assert "will not pass by itself" in status.questions[0].evidence[0]


async def test_retry_after_is_waited_for(working: Working, client: Client, time_skipping: WorkflowEnvironment) -> None:
    world = Certified()
    asked = await time_skipping.get_current_time()
    until_then = asked + timedelta(hours=20)
    world.refusals = [[refused("rateLimited", not_before=until_then)]]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, CertificateRenewalRequest(), NAME)
        status = await decides(handle, "renewal-1", "retry")
        assert "not before" in status.questions[0].options["retry"]
        await handle.result()
        assert await time_skipping.get_current_time() >= until_then
    assert world.orders == 2


@pytest.mark.usefixtures("same_day")
async def test_a_retry_after_that_is_later_than_the_next_look_keeps_no_run_open(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    world = Certified()
    later = await time_skipping.get_current_time() + 5 * DAY
    world.refusals = [[refused("rateLimited", not_before=later)]]
    result, _ = await run(working, client, world)
    assert world.not_before == {SECRET: later}
    assert "rateLimited" in result["failed"][0]
    result, _ = await run(working, client, world)  # the next day's
    assert "has asked an earlier run not to come before" in result["failed"][0]
    assert world.orders == 1


async def test_a_challenge_that_we_cannot_see_ourselves_is_not_tried(working: Working, client: Client) -> None:
    world = Certified()
    world.hidden = [f"{HOST}: answers 404"]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, CertificateRenewalRequest(), NAME)
        await decides(handle, "renewal-1", "leave")
        await handle.result()
    assert world.done("acme.validate") == []


async def test_a_wildcard_takes_dns(working: Working, client: Client) -> None:
    world = Certified()
    world.put(SECRET, certificate(names=(HOST, "*.tensafe.test")))
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, CertificateRenewalRequest(), NAME)
        status = await decides(handle, "renewal-1", "leave")
        await handle.result()
    assert "*.tensafe.test: a wildcard takes the challenge dns-01" in status.questions[0].evidence[0]
    assert world.orders == 0
    world = Certified()
    world.put(SECRET, certificate(names=(HOST, "*.tensafe.test")))
    world.policy(acme=AcmePolicy(secrets=("web",), challenge="dns-01"))
    result, _ = await run(working, client, world)
    assert len(result["renewed"]) == 1
    assert world.done("acme.order")[0].names == [HOST, "*.tensafe.test"]


async def test_one_that_fails_keeps_no_other_from_being_renewed(working: Working, client: Client) -> None:
    world = Certified()
    world.secrets = {"tensafe/bad": certificate("bad", names=("bad.test",)), SECRET: certificate()}
    world.policy(acme=AcmePolicy(secrets=("web", "bad")))
    world.refusals = [[refused("caa", permanent=True)]]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, CertificateRenewalRequest(), NAME)
        await decides(handle, "renewal-1", "leave")
        result = await handle.result()
    assert len(result["renewed"]) == len(result["failed"]) == 1


# -- others --------------------------------------------------------------------------------------------------


async def test_of_two_runs_on_one_secret_one_leaves_it(working: Working, client: Client) -> None:
    world = Certified()
    world.held[SECRET] = "another-run"
    result, _ = await run(working, client, world)
    assert result["left"] == [f"{SECRET}: Refused: is being renewed by another-run"]
    assert world.orders == 0
    assert world.held == {SECRET: "another-run"}


async def test_what_a_person_has_put_in_meanwhile_stays(working: Working, client: Client) -> None:
    world = Certified()
    world.replaced_by = certificate("bought", left=365 * DAY, lifetime=365 * DAY)
    result, _ = await run(working, client, world)
    assert world.secrets[SECRET] == world.replaced_by
    assert result["renewed"] == result["failed"] == []
    assert "somebody has replaced it meanwhile" in result["left"][0]
    assert world.done("acme.clean")
    assert world.held == {}


async def test_a_run_that_comes_back_too_late_leaves_what_another_has_renewed(working: Working, client: Client) -> None:
    world = Certified()
    world.replaced_by = certificate("theirs", left=89 * DAY)
    world.key_is_gone = True  # the other began clean
    result, _ = await run(working, client, world)
    assert "somebody has replaced it meanwhile" in result["left"][0]
    assert (result["failed"], result["paged"]) == ([], [])


async def test_cert_manager_is_asked_and_waited_for(working: Working, client: Client) -> None:
    world = Certified()
    by_cert_manager(world)
    result, _ = await run(working, client, world)
    (trigger,) = world.done("cert_manager.trigger")
    assert trigger.revision == 3
    assert len(result["renewed"]) == 1
    assert world.orders == 0


async def test_cert_managers_refusal_is_a_question_too(working: Working, client: Client) -> None:
    world = Certified()
    by_cert_manager(world)
    world.unissued = "Failed: the order is in an invalid state"
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, CertificateRenewalRequest(), NAME)
        status = await decides(handle, "renewal-1", "leave")
        await handle.result()
    assert "cert-manager: Failed: the order" in status.questions[0].evidence[0]


# -- what is served ------------------------------------------------------------------------------------------


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


# -- warnings ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "expected"),
    [(29, None), (15, None), (13, ("P3", "336h")), (6, ("P3", "168h")), (2, ("P2", "72h")), (-1, ("P2", "72h"))],
)
async def test_what_nobody_can_renew_pages_in_time(
    working: Working, client: Client, left: float, expected: tuple[str, str] | None
) -> None:
    world = Certified()
    world.put(SECRET, certificate(left=left * DAY))
    world.policy()
    result, _ = await run(working, client, world)
    pages = [(page.severity, page.incident_id.rpartition("-")[2]) for page in world.done("paging.page")]
    assert pages == ([expected] if expected else [])
    assert len(result["failed"]) == 1  # told in the channel from the first day on


async def test_a_page_is_one_for_each_deadline_however_many_runs(working: Working, client: Client) -> None:
    world = Certified()
    world.policy()
    for left in (13.5, 13, 6.5, 6):
        world.put(SECRET, certificate(left=left * DAY))
        await run(working, client, world)
    assert len({page.incident_id for page in world.done("paging.page")}) == 2


async def test_a_page_is_taken_back_when_it_is_renewed(working: Working, client: Client) -> None:
    world = Certified()
    world.put(SECRET, certificate(left=6 * DAY))
    await run(working, client, world)
    ids = [page.incident_id.rpartition("-")[2] for page in world.done("paging.resolve")]
    assert ids == ["168h", "336h"]


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


# -- the end -------------------------------------------------------------------------------------------------


async def test_cancelled_in_a_question_nothing_is_held(working: Working, client: Client) -> None:
    world = Certified()
    world.invalid = [[refused("connection")]]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, CertificateRenewalRequest(), NAME)
        await until(handle, lambda status: status.waiting_for == "decide renewal-1")
        await cancel(handle)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert world.held == {}
