"""A key is only changed for one that its customer has been told of, and no dead one is named as the one to use."""

import pytest
from temporalio.client import Client, WorkflowFailureError

from tests.workflows.conftest import Working
from tests.workflows.security.rotations import ADA, NAME, OLD, in_grace, keys, request
from tests.workflows.steering import begin, waiting_for
from tests.workflows.worlds.company import Company
from workflows.platform.approval import Decision
from workflows.security.api_key_rotation import ApiKeyRotation


async def test_a_customer_who_cannot_be_told_keeps_the_old_key(
    working: Working, client: Client, company: Company
) -> None:
    company.tenant("acme", email="it..x@acme.test")
    old = company.key("acme", OLD)
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        state = keys(company)
        company.sql.execute("UPDATE runbooks.tenants SET email = 'it@acme.test'")
        again = await begin(client, queue, request(), NAME)
        result = await again.result()
    assert state.pop(OLD) == (False, False)
    assert set(state.values()) == {(True, False)}
    assert result["rotated"]
    assert not company.accepts(old)


async def test_a_key_compromised_in_its_grace_is_revoked_and_the_good_one_stays(
    working: Working, client: Client, company: Company
) -> None:
    email = company.tenant("acme")
    old = company.key("acme", OLD)
    async with working(company.activities()) as queue:
        rotation = await begin(client, queue, request(), NAME)
        await in_grace(rotation)
        (new,) = [key for key in keys(company) if key != OLD]
        leak = await client.start_workflow(
            ApiKeyRotation.run, request(key_id=OLD, compromised=True), id=f"{rotation.id}-leak", task_queue=queue
        )
        status = await waiting_for(leak, "decide revoke")
        assert new in status.questions[0].options["revoke"]
        await leak.execute_update(ApiKeyRotation.decide, Decision(**ADA, question="revoke", choice="revoke"))
        result = await leak.result()
        assert not company.accepts(old)
        assert (result.rotated, result.ended_by, result.new_key) == (True, "compromised", new)
        assert keys(company) == {OLD: (True, True), new: (False, False)}
        rotated = await rotation.result()
    assert rotated["new_key"] == new
    assert keys(company)[new] == (False, False)
    assert f"TenSafe: {OLD} has been revoked" in [str(mail["Subject"]) for mail in company.mails(email)]


async def test_a_new_key_that_is_revoked_by_the_end_is_not_named_as_the_one_to_use(
    working: Working, client: Client, company: Company
) -> None:
    email = company.tenant("acme")
    company.key("acme", OLD)
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await in_grace(handle)
        company.sql.execute("UPDATE runbooks.api_keys SET revoked_at = clock_timestamp() WHERE key_id <> %s", (OLD,))
        await handle.result()
    pages = [str(row[0]) for row in company.rows("SELECT summary FROM runbooks.pages")]
    assert any("the customer was not told to use it" in page for page in pages)
    assert [str(mail["Subject"]) for mail in company.mails(email)] == ["TenSafe: your API key has been rotated"]
