"""Archives closed runs until it has caught up with the present; a schedule starts it (`runbooks schedules apply`)."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field
from temporalio import workflow

from activities.common.text import Shown
from activities.common.times import Time
from activities.evidence.archive import Archive, ArchivedWindow, ArchiveWindow
from audit.text import counted
from workflows.platform import policies

_WINDOWS = 50
"""So many windows make one history; then it continues as new."""
_NAMED = 20


class ArchiveRequest(BaseModel):
    """Nothing is needed: it goes on where it was."""

    after: Annotated[datetime | None, Time(made_fit=True)] = Field(
        default=None, description="Of a continued run: where it goes on."
    )
    so_far: "ArchiveResult | None" = Field(default=None, description="Of a continued run: what was done before it.")


class ArchiveResult(BaseModel):
    """What was done since it was started."""

    archived: int = 0
    windows: int = 0
    copied: int = 0
    failures: int = Field(default=0, description="Runs that could not be archived; they are tried again.")
    failed: list[Shown] = Field(default=[], description="The first of them, and why.")
    head: int = Field(default=0, description="The chain's last record.")
    until: Annotated[datetime | None, Time(made_fit=True)] = None
    warning: Shown = ""

    def add(self, window: ArchivedWindow) -> None:
        """Count a window in."""
        self.archived += window.archived
        self.windows += 1
        self.copied += window.copied
        self.failures += window.failures
        self.failed = [*self.failed, *window.failed][:_NAMED]
        self.head, self.until = window.head, window.until
        self.warning = self.warning or window.warning


@workflow.defn
class ArchiveRuns:
    """Window after window, until there is nothing left that has closed."""

    @workflow.run
    async def run(self, request: ArchiveRequest) -> ArchiveResult:
        """Archive."""
        result = request.so_far or ArchiveResult()
        after = request.after
        policy = policies.COLLECT
        for _ in range(_WINDOWS):
            window = await workflow.execute_activity_method(
                Archive.window,
                ArchiveWindow(after=after),
                start_to_close_timeout=policy.start_to_close,
                heartbeat_timeout=policy.heartbeat,
                retry_policy=policy.retry,
                summary=f"closed runs after {after:%Y-%m-%d %H:%M:%S}" if after else "closed runs since the last time",
            )
            result.add(window)
            after = window.until
            workflow.set_current_details(
                f"{counted(result.archived, 'run')} archived, {result.failures} failed, "
                f"up to {window.until:%Y-%m-%d %H:%M:%S} UTC"
            )
            if window.caught_up:
                return result
        return workflow.continue_as_new(ArchiveRequest(after=after, so_far=result))
