"""One certificate is renewed by an order of ours or by cert-manager; what it refuses is for people."""

from datetime import timedelta

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from activities.catalogue.certificates import AcmePolicy
from tests.workflows.conftest import Working
from tests.workflows.maintenance.certificates import NAME, decides, names, run
from tests.workflows.steering import begin, waiting_for
from tests.workflows.worlds.certified import DAY, HOST, SECRET, Certified, by_cert_manager, certificate, refused
from workflows.maintenance.certificate_renewal import CertificateRenewalRequest


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
