"""ApiKeyRotation on real records and a real mail server: one successor, never both keys dead, the end as promised."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from temporalio import activity
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError, WorkflowUpdateStage
from temporalio.exceptions import CancelledError
from temporalio.testing import WorkflowEnvironment

from activities.common.effects import Change
from activities.common.errors import Unavailable
from activities.customers.api_keys import DeprecateKey
from tests.workflows.conftest import Working
from tests.workflows.security.rotations import ADA, NAME, OLD, in_grace, keys, request
from tests.workflows.steering import Handle, begin, cancel, cause, told, waiting_for
from tests.workflows.worlds.company import Company
from workflows.platform.approval import Decision
from workflows.platform.lease import Extend
from workflows.security.api_key_rotation import ApiKeyRotation, ApiKeyRotationRequest
from workflows.security.words import RevokeNow

LATE_ATTEMPTS = 7  # with the pauses between them longer than the grace period


async def lasted(handle: Handle) -> timedelta:
    run = await handle.describe()
    assert run.close_time is not None
    return run.close_time - run.start_time


async def test_the_old_key_ends_after_24_hours_and_the_new_one_works(
    working: Working, client: Client, company: Company
) -> None:
    email = company.tenant("acme")
    old = company.key("acme", OLD)
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        result = await handle.result()
        took = await lasted(handle)
    assert result["rotated"]
    assert result["ended_by"] == "expiry"
    assert timedelta(hours=24) <= took < timedelta(hours=24, minutes=30)
    assert not company.accepts(old)
    mails = company.mails(email)
    assert [str(mail["Subject"]) for mail in mails] == [
        "TenSafe: your API key has been rotated",
        f"TenSafe: {OLD} has been revoked",
    ]
    handed_over = company.open_link(mails[0])
    assert list(handed_over) == [result["new_key"]]
    assert company.accepts(handed_over[result["new_key"]])


async def test_a_key_still_used_is_reminded_of_extended_and_then_revoked(
    working: Working, client: Client, company: Company, time_skipping: WorkflowEnvironment
) -> None:
    email = company.tenant("acme")
    old = company.key("acme", OLD)
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await in_grace(handle)
        # The service's calls go on; in the records' time, which the test can't skip: so the key's last use is moved.
        assert company.accepts(old)
        company.sql.execute("UPDATE runbooks.api_keys SET last_used_at = clock_timestamp() + interval '19 hours'")
        await time_skipping.sleep(timedelta(hours=20, seconds=10))
        status = await waiting_for(handle, "decide still-used-1")
        assert list(status.questions[0].options) == ["extend", "revoke"]
        decision = Decision(**ADA, question="still-used-1", choice="extend")
        await handle.execute_update(ApiKeyRotation.decide, decision)
        result = await handle.result()
        took = await lasted(handle)
    assert result["rotated"]
    assert result["old_key_calls"] == 1
    assert timedelta(hours=48) <= took < timedelta(hours=48, minutes=30)
    assert f"TenSafe: {OLD} is still in use and ends soon" in company.subjects(email)
    assert not company.accepts(old)


async def test_where_nobody_can_read_whether_the_old_key_is_used_people_are_asked(
    working: Working, client: Client, company: Company, time_skipping: WorkflowEnvironment
) -> None:
    email = company.tenant("acme")
    company.key("acme", OLD)
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await in_grace(handle)
        company.sql.execute("ALTER TABLE runbooks.tenant_usage RENAME TO tenant_usage_away")
        await time_skipping.sleep(timedelta(hours=20, seconds=10))
        status = await waiting_for(handle, "decide still-used-1")
        company.sql.execute("ALTER TABLE runbooks.tenant_usage_away RENAME TO tenant_usage")
        assert status.questions[0].evidence == [f"whether {OLD} is still used can't be read"]
        await handle.execute_update(ApiKeyRotation.decide, Decision(**ADA, question="still-used-1", choice="extend"))
        result = await handle.result()
        took = await lasted(handle)
    assert result["rotated"]
    assert timedelta(hours=48) <= took < timedelta(hours=48, minutes=30)
    assert f"TenSafe: {OLD} is still in use and ends soon" not in company.subjects(email)


async def test_nobody_answers_the_old_key_ends_as_the_customer_was_told(
    working: Working, client: Client, company: Company
) -> None:
    company.tenant("acme")
    company.key("acme", OLD)
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(grace=timedelta(hours=2)), NAME)
        await in_grace(handle)
        company.sql.execute("UPDATE runbooks.api_keys SET last_used_at = clock_timestamp() + interval '59 minutes'")
        result = await handle.result()
        took = await lasted(handle)
        timeline = await told(handle)
    assert result["rotated"]
    assert timedelta(hours=2) <= took < timedelta(hours=2, minutes=30)
    assert "No answer to still-used-1" in timeline
    assert company.rows("SELECT level FROM runbooks.pages") == [(1,)]


async def test_an_extension_moves_the_end_in_the_records_too(
    working: Working, client: Client, company: Company
) -> None:
    company.tenant("acme")
    company.key("acme", OLD)
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await in_grace(handle)
        before = company.rows(f"SELECT expires_at FROM runbooks.api_keys WHERE key_id = '{OLD}'")[0][0]
        await handle.execute_update(ApiKeyRotation.extend, Extend(**ADA, by=timedelta(hours=6)))
        after = company.rows(f"SELECT expires_at FROM runbooks.api_keys WHERE key_id = '{OLD}'")[0][0]
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update(ApiKeyRotation.extend, Extend(**ADA, by=timedelta(days=14)))
        await handle.result()
        took = await lasted(handle)
    assert after - before == timedelta(hours=6)
    assert "may be extended by" in str(refused.value.cause)
    assert timedelta(hours=30) <= took < timedelta(hours=30, minutes=30)


async def test_a_person_ends_the_grace_now(working: Working, client: Client, company: Company) -> None:
    company.tenant("acme")
    old = company.key("acme", OLD)
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await in_grace(handle)
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update(ApiKeyRotation.revoke, RevokeNow(who="bob", role="csm"))
        answer = await handle.execute_update(ApiKeyRotation.revoke, RevokeNow(**ADA, reason="switched"))
        result = await handle.result()
        took = await lasted(handle)
    assert "may not revoke" in str(refused.value.cause)
    assert str(answer) == f"{OLD} is revoked"
    assert result["ended_by"] == "ada (security)"
    assert took < timedelta(hours=1)
    assert not company.accepts(old)


async def test_a_compromised_key_ends_with_an_approval_in_the_moment_its_successor_begins(
    working: Working, client: Client, company: Company
) -> None:
    email = company.tenant("acme")
    old = company.key("acme", OLD)
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(compromised=True, reason="found in a public repository"), NAME)
        await waiting_for(handle, "decide revoke")
        assert list(keys(company)) == [OLD]
        await handle.execute_update(ApiKeyRotation.decide, Decision(**ADA, question="revoke", choice="revoke"))
        result = await handle.result()
    assert result["rotated"]
    assert result["ended_by"] == "compromised"
    assert not company.accepts(old)
    new = company.open_link(company.mails(email)[0])[result["new_key"]]
    assert company.accepts(new)
    row = company.rows(
        "SELECT n.created_at - o.revoked_at FROM runbooks.api_keys o JOIN runbooks.api_keys n ON n.replaces = o.key_id"
    )
    assert abs(row[0][0]) < timedelta(seconds=1)


async def test_without_an_approval_a_compromised_key_stays(working: Working, client: Client, company: Company) -> None:
    company.tenant("acme")
    old = company.key("acme", OLD)
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(compromised=True), NAME)
        result = await handle.result()
    assert not result["rotated"]
    assert result["new_key"] == ""
    assert company.accepts(old)
    assert list(keys(company)) == [OLD]


async def test_an_extension_said_in_time_holds_though_its_worker_is_down_at_the_end(
    working: Working, client: Client, company: Company
) -> None:
    company.tenant("acme")
    company.key("acme", OLD)
    real = next(one for one in company.activities() if one.__name__ == "deprecate")
    calls: list[DeprecateKey] = []

    @activity.defn(name="api_keys.deprecate")
    def deprecate(wanted: DeprecateKey) -> Change:
        calls.append(wanted)
        change: Change = real(wanted)
        if 1 < len(calls) <= LATE_ATTEMPTS:
            raise Unavailable("the worker died before it could say that it is done")
        return change

    others = [one for one in company.activities() if one.__name__ != "deprecate"]
    async with working([*others, deprecate]) as queue:
        handle = await begin(client, queue, request(grace=timedelta(seconds=20)), NAME)
        await in_grace(handle)
        extension = await handle.start_update(
            ApiKeyRotation.extend, Extend(**ADA, by=timedelta(hours=6)), wait_for_stage=WorkflowUpdateStage.ACCEPTED
        )
        await handle.result()
        took = await lasted(handle)
        assert "works until" in str(await extension.result())
    assert len(calls) > LATE_ATTEMPTS
    assert took >= timedelta(hours=6)


async def test_a_cancelled_rotation_leaves_both_keys_valid(working: Working, client: Client, company: Company) -> None:
    company.tenant("acme")
    old = company.key("acme", OLD)
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await in_grace(handle)
        await cancel(handle)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        timeline = await told(handle)
    assert isinstance(failed.value.cause, CancelledError)
    assert set(keys(company).values()) == {(False, False)}
    assert company.accepts(old)
    assert "both stay valid" in timeline


@pytest.mark.parametrize("told_to", [False, True])
async def test_records_without_the_new_key_keep_the_old_one(
    working: Working, client: Client, company: Company, *, told_to: bool
) -> None:
    """As after a restore of the records from before the rotation: the run knows of a key that is nowhere."""
    company.tenant("acme")
    old = company.key("acme", OLD)
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(grace=timedelta(seconds=20)), NAME)
        await in_grace(handle)
        company.sql.execute("DELETE FROM runbooks.api_keys WHERE replaces = %s", (OLD,))
        company.sql.execute("UPDATE runbooks.api_keys SET expires_at = NULL WHERE key_id = %s", (OLD,))
        if told_to:
            # Who says it is answered, and the run ends.
            with pytest.raises(WorkflowUpdateFailedError) as refused:
                await handle.execute_update(ApiKeyRotation.revoke, RevokeNow(**ADA))
            assert f"{OLD} could not be revoked, and stays valid" in str(refused.value.cause)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        assert f"the records know of no key in the place of {OLD}" in await told(handle)
    assert company.accepts(old)


async def test_plan_mode_changes_nothing(working: Working, client: Client, company: Company) -> None:
    email = company.tenant("acme")
    old = company.key("acme", OLD)
    async with working(company.activities()) as queue:
        for compromised in (False, True):
            handle = await begin(client, queue, request(dry_run=True, compromised=compromised), NAME)
            await handle.result()
            assert "would" in await told(handle)
    assert keys(company) == {OLD: (False, False)}
    assert company.accepts(old)
    assert company.mails(email) == []


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"key_id": "tsk_unknown11"}, "key_id"),
        ({"key_id": "tsk_revoked11"}, "revoked already"),
        ({}, "name one of the active keys: tsk_aaaaaaaa1, tsk_aaaaaaaa2"),
        ({"grace": timedelta(days=15)}, "longer than settings allow"),
        ({"tenant_id": "acne"}, "no such tenant"),
        ({"tenant_id": "closed"}, "is closed"),
    ],
)
async def test_what_cannot_be_rotated_is_refused_before_anything_changes(
    working: Working, client: Client, company: Company, fields: dict[str, Any], says: str
) -> None:
    company.tenant("acme")
    company.tenant("closed", status="closed")
    for key in (OLD, "tsk_aaaaaaaa2", "tsk_revoked11"):
        company.key("acme", key)
    company.sql.execute("UPDATE runbooks.api_keys SET revoked_at = now() WHERE key_id = 'tsk_revoked11'")
    before = keys(company)
    async with working(company.activities()) as queue:
        asked = ApiKeyRotationRequest.model_validate({"tenant_id": "acme", **fields})
        handle = await begin(client, queue, asked, NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert says in cause(failed.value).message
    assert keys(company) == before


async def test_two_rotations_of_one_key_make_one_successor(working: Working, client: Client, company: Company) -> None:
    company.tenant("acme")
    company.key("acme", OLD)
    async with working(company.activities()) as queue:
        runs = [await begin(client, queue, request(key_id=OLD, grace=timedelta(hours=1)), NAME) for _ in range(3)]
        rotated, refused = 0, 0
        for run in runs:
            try:
                rotated += (await run.result())["rotated"]
            except WorkflowFailureError as error:
                refused += "replaced already" in cause(error).message
    assert (rotated, refused) == (1, 2)
    assert len(keys(company)) == 2


def test_a_compromised_key_has_no_grace() -> None:
    with pytest.raises(ValidationError, match="a compromised key has none"):
        request(compromised=True, grace=timedelta(hours=1))


# -- a key found compromised while it is in its grace --------------------------------------------------------


async def test_a_compromised_key_has_to_be_named_where_two_work(
    working: Working, client: Client, company: Company
) -> None:
    company.tenant("acme")
    company.key("acme", OLD)
    async with working(company.activities()) as queue:
        rotation = await begin(client, queue, request(), NAME)
        await in_grace(rotation)
        leak = await client.start_workflow(
            ApiKeyRotation.run, request(compromised=True), id=f"{rotation.id}-leak", task_queue=queue
        )
        with pytest.raises(WorkflowFailureError) as failed:
            await leak.result()
        assert "name the compromised one" in str(cause(failed.value))
        assert not any(revoked for revoked, _ in keys(company).values())
        await rotation.cancel()
