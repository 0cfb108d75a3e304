"""A cancel that comes while something ends by itself."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception


@contextmanager
def cancel_kept() -> Iterator[None]:
    """Keep a cancel of the run while an activity or a child is waited for.

    The SDK asks it to end, and waits for its end. Where that comes by itself in the same moment, its result is given
    and the cancel forgotten: the run would go on for ever, whatever a person has said. So it comes at the next await,
    as if it had been said a moment later; what follows without waiting is still done.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        yield
    except Exception as error:
        if not is_cancelled_exception(error):
            _again(task, before)
        raise
    else:
        _again(task, before)


def _again(task: "asyncio.Task[Any] | None", before: int) -> None:
    missed = task is not None and task.cancelling() > before and workflow.cancellation_reason() is not None
    if task is not None and missed and workflow.patched("cancel-is-kept"):
        task.uncancel()
        task.cancel()
