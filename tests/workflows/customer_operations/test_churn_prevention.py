"""ChurnPrevention on real records: found by the data, looked after once at a time, with an outcome on every way out."""

from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import CancelledError
from temporalio.testing import WorkflowEnvironment

from tests.workflows.conftest import Working
from tests.workflows.steering import Handle, begin, cancel, cause, days_pass, told, waiting_for
from tests.workflows.worlds.company import Company
from workflows.customer_operations.churn_prevention import ChurnPrevention, ChurnPreventionRequest
from workflows.customer_operations.customer_words import Outreach

CARL = {"who": "carl", "role": "csm"}
NAME = "churn_prevention"


def falling(company: Company, tenant_id: str) -> None:
    """Enter a tenant that has nearly stopped."""
    company.tenant(tenant_id, csm="carl")
    company.sql.execute(
        "UPDATE runbooks.tenants SET created_at = now() - interval '1 year' WHERE tenant_id = %s", (tenant_id,)
    )
    company.sql.execute(
        "INSERT INTO runbooks.tenant_usage (tenant_id, hour, kind, count) "
        "SELECT %s, date_trunc('hour', now() - ago * interval '1 day', 'UTC'), 'api_call', "
        "CASE WHEN ago > 30 THEN 100 ELSE 10 END FROM generate_series(1, 89) ago",
        (tenant_id,),
    )


def interventions(company: Company) -> list[tuple[Any, ...]]:
    return company.rows("SELECT tenant_id, csm, score, outcome FROM runbooks.interventions ORDER BY tenant_id, id")


async def look_after(client: Client, queue: str, **fields: Any) -> Handle:
    return await begin(client, queue, ChurnPreventionRequest(tenant_id="acme", **fields), NAME)


async def test_a_scan_starts_one_intervention_a_tenant_at_risk(
    working: Working, client: Client, company: Company
) -> None:
    falling(company, "acme")
    falling(company, "beta")
    company.tenant("fresh")
    async with working(company.activities()) as queue:
        scan = await begin(client, queue, ChurnPreventionRequest(), NAME)
        result = await scan.result()
        assert sorted(result["started"]) == ["acme", "beta"]
        runs = [client.get_workflow_handle(f"churn-prevention/{tenant}") for tenant in ("acme", "beta")]
        for run in runs:
            await waiting_for(run, "outreach")
        again = await begin(client, queue, ChurnPreventionRequest(), NAME)
        assert (await again.result())["started"] == []
        for run in runs:
            word = Outreach(**CARL, outcome="retained", note="They were on holiday.")
            await run.execute_update(ChurnPrevention.outreach, word)
            assert (await run.result())["outcome"] == "retained"
    assert interventions(company) == [("acme", "carl", 50, "retained"), ("beta", "carl", 50, "retained")]


async def test_the_manager_is_reminded_then_those_above_then_it_ends_without_an_outcome(
    working: Working, client: Client, company: Company, time_skipping: WorkflowEnvironment
) -> None:
    falling(company, "acme")
    async with working(company.activities()) as queue:
        handle = await look_after(client, queue)
        await waiting_for(handle, "outreach")
        seen = []
        for days in (1, 1.5, 3):
            await days_pass(time_skipping, days)
            texts = str(company.rows("SELECT channel, text FROM runbooks.messages"))
            seen.append(("no outreach yet" in texts, "#stakeholders" in texts))
        result = await handle.result()
    assert seen == [(False, False), (True, False), (True, True)]
    assert result["outcome"] == "no outcome"
    assert interventions(company) == [("acme", "carl", 50, "no outcome")]
    assert company.rows("SELECT FROM runbooks.pages") == []
    plan = company.rows("SELECT notes FROM runbooks.interventions")[0][0]
    assert plan.startswith("Usage down 90%")


async def test_a_second_intervention_is_refused_and_leaves_the_first_alone(
    working: Working, client: Client, company: Company
) -> None:
    falling(company, "acme")
    async with working(company.activities()) as queue:
        first = await look_after(client, queue)
        await waiting_for(first, "outreach")
        second = await look_after(client, queue)
        with pytest.raises(WorkflowFailureError) as failed:
            await second.result()
        assert "one at a time" in cause(failed.value).message
        assert interventions(company) == [("acme", "carl", 50, "")]
        await first.execute_update(ChurnPrevention.outreach, Outreach(**CARL, outcome="lost"))
        assert (await first.result())["outcome"] == "lost"


async def test_a_cancelled_intervention_is_closed(
    working: Working, client: Client, company: Company, time_skipping: WorkflowEnvironment
) -> None:
    falling(company, "acme")
    async with working(company.activities()) as queue:
        handle = await look_after(client, queue)
        await waiting_for(handle, "outreach")
        await cancel(handle)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert isinstance(failed.value.cause, CancelledError)
    assert interventions(company) == [("acme", "carl", 50, "cancelled")]


async def test_a_person_may_ask_for_a_tenant_that_is_not_at_risk(
    working: Working, client: Client, company: Company
) -> None:
    company.tenant("acme")
    async with working(company.activities()) as queue:
        handle = await look_after(client, queue)
        await waiting_for(handle, "outreach")
        for word in (Outreach(who="eve", role="guest", outcome="lost"),):
            with pytest.raises(WorkflowUpdateFailedError) as refused:
                await handle.execute_update(ChurnPrevention.outreach, word)
            assert "may not customer" in str(refused.value.cause)
        await handle.execute_update(ChurnPrevention.outreach, Outreach(**CARL, outcome="no_contact"))
        await handle.result()
        assert "since somebody asks" in await told(handle)
    assert "no CSM is assigned" in str(company.rows("SELECT text FROM runbooks.messages"))


async def test_plan_mode_opens_and_starts_nothing(working: Working, client: Client, company: Company) -> None:
    falling(company, "acme")
    async with working(company.activities()) as queue:
        for tenant_id in (None, "acme"):
            asked = ChurnPreventionRequest(tenant_id=tenant_id, dry_run=True)
            handle = await begin(client, queue, asked, NAME)
            await handle.result()
            assert "would" in await told(handle)
    assert interventions(company) == []
    assert company.rows("SELECT FROM runbooks.messages") == []


async def test_an_unknown_tenant_is_refused(working: Working, client: Client, company: Company) -> None:
    async with working(company.activities()) as queue:
        handle = await look_after(client, queue)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert "no such tenant" in cause(failed.value).message
