"""CertificateRenewal decides: what is due, by whom, whether it is served, and when people are asked or paged."""

import pytest
from temporalio.client import Client, WorkflowFailureError

from tests.workflows.conftest import Working
from tests.workflows.maintenance.certificates import EFFECTS, NAME, names, run
from tests.workflows.steering import begin, cancel, cause, until
from tests.workflows.worlds.certified import DAY, HOST, SECRET, Certified, certificate, refused
from workflows.maintenance.certificate_renewal import CertificateRenewalRequest


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
