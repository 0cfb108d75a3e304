"""Stands in for the restore (7.3) where a test is about the run that starts it; what it does is its backup's name."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from workflows.disaster_recovery.point_in_time_restore import PointInTimeRestoreRequest, PointInTimeRestoreResult
from workflows.disaster_recovery.service_back import ServiceBack, tell_parent

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
                    await workflow.wait_condition(lambda: False)
                except asyncio.CancelledError:
                    self.done = TIDY
                    raise
        await tell_parent(ServiceBack(server="spare-1", backup_id="b1", recovered_to=None))
        await workflow.wait_condition(lambda: bool(self.done))
        raise AssertionError

    @workflow.query
    def what(self) -> str:
        """Tell what was done."""
        return self.done
