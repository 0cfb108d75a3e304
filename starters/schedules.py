"""What runs on the clock: Temporal's schedules, made to be as the settings say."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from workers.settings import Audit
from workflows.audit.archive_runs import ArchiveRequest, ArchiveRuns

ARCHIVE = "archive-runs"
_CATCH_UP = timedelta(hours=1)
"""After an outage one run is enough: it archives everything that has closed since."""

Done = Literal["made", "changed", "unchanged", "paused", "off"]


@dataclass(frozen=True)
class Applied:
    """What was done about one schedule."""

    name: str
    what: Done
    note: str


async def apply(client: Client, audit: Audit, task_queue: str) -> list[Applied]:
    """Make every schedule as the settings say; done twice it is done once.

    A schedule that somebody has paused stays so, with the note they left.

    Raises:
        RPCError: Temporal doesn't answer or refuses.

    """
    return [await _archive(client, audit, task_queue)]


async def _archive(client: Client, audit: Audit, task_queue: str) -> Applied:
    every = audit.every
    handle = client.get_schedule_handle(ARCHIVE)
    if not audit.enabled:
        # Without a key each of its runs would fail.
        try:
            await handle.delete()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        return Applied(ARCHIVE, "off", "the archive has no signing key: set [audit] private_key or kms_key_id")
    wanted = Schedule(
        action=ScheduleActionStartWorkflow(
            ArchiveRuns.run,
            ArchiveRequest(),
            id=ARCHIVE,
            task_queue=task_queue,
            static_summary="Closed runs into the archive",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=max(_CATCH_UP, every)),
        state=ScheduleState(note=f"closed runs into the archive, every {every}"),
    )
    try:
        await client.create_schedule(ARCHIVE, wanted)
    except ScheduleAlreadyRunningError:
        return await _update(client, wanted)
    return Applied(ARCHIVE, "made", f"every {every}")


async def _update(client: Client, wanted: Schedule) -> Applied:
    done: list[Applied] = []
    every = wanted.spec.intervals[0].every

    def update(found: ScheduleUpdateInput) -> ScheduleUpdate | None:
        there = found.description.schedule
        wanted.state.paused = there.state.paused
        if there.state.paused:
            wanted.state.note = there.state.note
        same = (
            there.spec.intervals == wanted.spec.intervals
            and there.policy == wanted.policy
            and isinstance(there.action, ScheduleActionStartWorkflow)
            and isinstance(wanted.action, ScheduleActionStartWorkflow)
            and there.action.task_queue == wanted.action.task_queue
            and there.state.note == wanted.state.note
        )
        what: Done = "paused" if there.state.paused else "unchanged" if same else "changed"
        done[:] = [Applied(ARCHIVE, what, wanted.state.note or "" if there.state.paused else f"every {every}")]
        return None if same else ScheduleUpdate(schedule=wanted)

    await client.get_schedule_handle(ARCHIVE).update(update)
    return done[0]
