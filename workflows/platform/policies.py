"""Timeouts and retries by name; a call site names one and invents none.

Heartbeat timeouts are short because a dead worker is noticed only through them. Workers heartbeat for every
activity that doesn't do it itself (`workers.interceptors`), so they bound the notice, not the work.
"""

from dataclasses import dataclass, replace
from datetime import timedelta

from temporalio.common import RetryPolicy


@dataclass(frozen=True)
class Policy:
    """How long one attempt may take, how soon its worker's death is noticed, and how it is retried.

    Waiting for a worker is not bounded: after an outage of all workers the step is still to be done. Attempts are.
    """

    start_to_close: timedelta
    retry: RetryPolicy
    heartbeat: timedelta = timedelta(seconds=5)
    schedule_to_close: timedelta | None = None

    def lasting(self, longest: timedelta) -> "Policy":
        """Give the same policy for work that may itself take up to `longest`."""
        return replace(self, start_to_close=longest + timedelta(seconds=30))


def _retries(first: timedelta, longest: timedelta, attempts: int) -> RetryPolicy:
    return RetryPolicy(
        initial_interval=first, backoff_coefficient=2, maximum_interval=longest, maximum_attempts=attempts
    )


_MS = timedelta(milliseconds=1)
_S = timedelta(seconds=1)

LOOK_UP = Policy(5 * _S, _retries(100 * _MS, 5 * _S, 0))
"""What any worker knows without asking anybody: nothing goes on without it, so it is tried until one answers."""

READ = Policy(10 * _S, _retries(200 * _MS, 5 * _S, 4))
"""Facts for a decision: better none in time than all too late."""

GLANCE = Policy(2 * _S, _retries(100 * _MS, _S, 2))
"""A fact that must not delay what it is for: without it the run goes on as if it were not."""

EFFECT = Policy(15 * _S, _retries(500 * _MS, 15 * _S, 10))
"""Something outside changes, and the run waits for it: worth a minute or two of trying."""

RECORD = Policy(15 * _S, _retries(500 * _MS, 5 * _S, 4))
"""Records and messages, the first tries: the run waits for them only this long."""

PERSIST = Policy(15 * _S, _retries(10 * _S, 60 * _S, 1440), schedule_to_close=timedelta(days=1))
"""Records and messages that the first tries didn't bring through: a day in the background, nobody waits."""

DAILY = Policy(30 * _S, _retries(5 * _S, 60 * _S, 240), schedule_to_close=timedelta(hours=4))
"""What belongs to a day: tried for hours, and over before the next day's, which would be skipped beside it."""

COLLECT = Policy(timedelta(minutes=10), _retries(_S, 30 * _S, 5))
"""Evidence: much to read, heartbeats while it does."""

ORDER = Policy(timedelta(minutes=1), _retries(5 * _S, 60 * _S, 4))
"""Others count how often it is asked for: a few tries, and only where it was not heard."""

WAIT = Policy(timedelta(minutes=10), _retries(500 * _MS, 10 * _S, 10))
"""Waits for something outside, heartbeating; use `.lasting()` with the wait's own limit."""

CHILD = Policy(timedelta(days=60), _retries(500 * _MS, 60 * _S, 10_080))
"""Waits for another run, heartbeating: a restore keeps its damaged data for weeks."""

FENCE = Policy(timedelta(minutes=1), _retries(500 * _MS, 5 * _S, 3))
"""A machine is to be told something though it may be dead: people decide soon where that fails."""

RELEASE = Policy(15 * _S, _retries(500 * _MS, 60 * _S, 10_080))
"""What is held must be let go: a week of trying, while people are told."""
