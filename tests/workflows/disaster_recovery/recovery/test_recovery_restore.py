"""The database's part in a full recovery: what is recommended by which facts, and what the restore's run says."""

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError

from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.recovery.beside_a_restore import (
    restore_of,
    workflow_types,  # noqa: F401
    world,
)
from tests.workflows.disaster_recovery.recovery.fake_restore import TIDY, FakeRestore
from tests.workflows.disaster_recovery.recovery.recoveries import NAME, decide
from tests.workflows.steering import begin, cancel, told, waiting_for
from workflows.disaster_recovery.recovery.full_service_recovery import FullServiceRecoveryRequest
from workflows.platform.approval import Decision


async def test_the_recovery_goes_on_when_the_service_is_back_and_leaves_the_restore_open(
    working: Working, client: Client
) -> None:
    outage = world()
    async with working(outage.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(backup_id="back"), NAME)
        await decide(handle, "restore", "restore")
        result = await handle.result()
        restore = restore_of(client, handle)
        assert (await restore.describe()).status is WorkflowExecutionStatus.RUNNING
        await restore.terminate()
    assert result["outcome"] == "recovered"
    assert result["restored"].startswith("spare-1, with the data of")
    assert outage.shares == [0, 10, 25, 50, 100]
    assert len(outage.restarts) == 3


@pytest.mark.parametrize(
    ("backup", "says"), [("fails", "the restore has failed: no server is free"), ("declined", "ended without")]
)
async def test_a_restore_that_comes_to_nothing_is_for_people_to_decide(
    working: Working, client: Client, backup: str, says: str
) -> None:
    outage = world()
    async with working(outage.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(backup_id=backup), NAME)
        await decide(handle, "restore", "restore")
        (asked,) = (await waiting_for(handle, "decide restore-failed")).questions
        assert says in asked.title
        await decide(handle, "restore-failed", "retry")
        await decide(handle, "restore-failed-2", "go-on", "the data are fine")
        result = await handle.result()
        assert (await restore_of(client, handle, "restore-2").describe()).close_time is not None
    assert (result["outcome"], result["restored"]) == ("recovered", "")


async def test_stopped_over_a_failed_restore_nothing_was_restarted(working: Working, client: Client) -> None:
    outage = world()
    async with working(outage.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(backup_id="fails"), NAME)
        await decide(handle, "restore", "restore")
        await decide(handle, "restore-failed", "stop")
        result = await handle.result()
    assert result["outcome"] == "stopped"
    assert outage.restarts == []
    assert (outage.shares, outage.percent) == ([0], 0)
    assert "traffic is left at 0 %" in outage.pages


async def test_a_cancelled_recovery_cancels_the_restore_and_waits_for_it(working: Working, client: Client) -> None:
    outage = world()
    async with working(outage.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(backup_id="slow"), NAME)
        await decide(handle, "restore", "restore")
        restore = restore_of(client, handle)
        while "The restore is a run of its own" not in await told(handle):
            pass
        await cancel(handle)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        assert (await restore.describe()).status is WorkflowExecutionStatus.CANCELED
        assert await restore.query(FakeRestore.what) == TIDY
        ended = (await handle.describe()).close_time
        assert ended is not None
        assert ended >= (await restore.describe()).close_time  # type: ignore[operator]


async def test_a_role_that_may_not_restore_is_refused(working: Working, client: Client) -> None:
    outage = world()
    async with working(outage.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        await waiting_for(handle, "decide restore")
        word = Decision(who="eve", role="on-call", question="restore", choice="restore")
        with pytest.raises(Exception, match="update failed") as refused:
            await handle.execute_update("decide", word)
        assert "may not restore" in str(refused.value.__cause__)
        await decide(handle, "restore", "no-restore")
        await handle.result()
