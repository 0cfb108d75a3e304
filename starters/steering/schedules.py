"""What people do to one schedule: pause it, let it run again, start its run now."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from temporalio.client import ScheduleActionExecutionStartWorkflow, ScheduleDescription, ScheduleOverlapPolicy
from temporalio.service import RPCError, RPCStatusCode

from starters.steering.errors import NoSuchRun, Refused
from starters.steering.session import Session

_STARTED_WITHIN = timedelta(seconds=10)
_POLL = timedelta(milliseconds=100)


async def pause(session: Session, name: str, note: str) -> None:
    """Let it start nothing until it is resumed.

    Raises:
        NoSuchRun: there is no such schedule.

    """
    with _known(name):
        await session.client.get_schedule_handle(name).pause(note=note)


async def resume(session: Session, name: str) -> None:
    """Let it run again.

    Raises:
        NoSuchRun: there is no such schedule.

    """
    with _known(name):
        await session.client.get_schedule_handle(name).unpause(note="resumed")


async def trigger(session: Session, name: str) -> str:
    """Start its run now; gives the run's workflow ID.

    Raises:
        NoSuchRun: there is no such schedule.
        Refused: a run of it is open, or none was started in time.

    """
    handle = session.client.get_schedule_handle(name)
    with _known(name):
        before = await handle.describe()
        await handle.trigger(overlap=ScheduleOverlapPolicy.SKIP)
        for _ in range(_STARTED_WITHIN // _POLL):
            now = await handle.describe()
            if now.info.num_actions > before.info.num_actions:
                return _newest(now)
            if now.info.num_actions_skipped_overlap > before.info.num_actions_skipped_overlap:
                raise Refused(f"{name}: its last run is still open, and it never has two")
            await asyncio.sleep(_POLL.total_seconds())
    raise Refused(f"{name}: Temporal has started nothing yet: look with `runbooks schedules list`")


def _newest(found: ScheduleDescription) -> str:
    action = found.info.recent_actions[-1].action
    assert isinstance(action, ScheduleActionExecutionStartWorkflow)
    return action.workflow_id


@contextmanager
def _known(name: str) -> Iterator[None]:
    try:
        yield
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise NoSuchRun(f"no schedule {name!r}: `runbooks schedules list` shows them") from None
        raise
