"""Stands in for the restore (7.3) where a test is about the run that starts it; what it does is its backup's name."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from workflows.disaster_recovery.restore.point_in_time_restore import (
    PointInTimeRestoreRequest,
    PointInTimeRestoreResult,
)
from workflows.disaster_recovery.restore.service_back import ServiceBack, tell_parent

TIDY = "tidied up"


@workflow.defn(name="PointInTimeRestore", sandboxed=False)
class FakeRestore:
    """Restores, declines, fails, or takes its time."""

    def __init__(self) -> None:
        self.done = ""

    @workflow.run
    async def run(self, request: PointInTimeRestoreRequest) -> PointInTimeRestoreResult:
        """Do what the backup is called."""
        match request.backup_id:
            case "fails":
                raise ApplicationError("no server is free", type="Refused", non_retryable=True)
            case "declined":
                return PointInTimeRestoreResult(service="s", outcome="declined", target_time=None, server="primary")
            case "slow":
                try:
                    await _hours()
                except asyncio.CancelledError:
                    self.done = TIDY
                    raise
        await tell_parent(ServiceBack(server="spare-1", backup_id="b1", recovered_to=None))
        await _hours()
        raise AssertionError

    @workflow.query
    def what(self) -> str:
        """Tell what was done."""
        return self.done


async def _hours() -> None:
    """Stay open; without a timer the test server's clock may jump to where all runs time out, years from now."""
    while True:
        await workflow.sleep(timedelta(hours=1))
