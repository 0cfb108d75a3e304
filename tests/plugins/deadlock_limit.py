"""The SDK fails a workflow task that takes longer than two seconds; in tests it is given a minute.

A busy machine is no deadlock: with more processes than cores a replay of a long run may wait that long for its turn.
What the SDK then raises in the middle of the thread's work may be swallowed where nobody catches it (in a callback of a
weak reference, it was): the query that asked for the replay gets no answer, and its test hangs. The SDK's own switch is
for all of debugging, and takes a part of the sandbox away with it.

Nothing but the SDK is imported, for processes that tests start.
"""

from functools import wraps
from typing import Any

from temporalio.worker import _workflow

SECONDS = 60.0

_set_up = _workflow._WorkflowWorker.__init__


def relax(seconds: float = SECONDS) -> None:
    """Give `seconds` to each task of every worker and replayer that this process makes from now on."""

    @wraps(_set_up)
    def set_up(worker: Any, **options: Any) -> None:
        _set_up(worker, **options)
        if worker._deadlock_timeout_seconds is not None:  # it is where TEMPORAL_DEBUG is set
            worker._deadlock_timeout_seconds = seconds

    _workflow._WorkflowWorker.__init__ = set_up  # type: ignore[method-assign, assignment]
