"""Whose turn it is to be looked at: a few runs at once, and one that nobody answers for holds up no other.

To ask a run that has no worker takes seconds. Of two hundred such runs one look would take minutes, and a new incident
would stand behind them. So who hasn't answered is asked less and less often, after all others, by half of the places.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any

import structlog

Key = tuple[str, str]
"""A run: workflow ID and run ID."""

AT_ONCE = 10
_SILENT_AT_ONCE = AT_ONCE // 2
_AGAIN_AFTER = 5.0
"""Seconds, doubled with each time that a run doesn't answer."""

_AGAIN_AT_LAST = 60.0
"""Seconds: so late a run may show at most that has a worker again."""

_log = structlog.get_logger(__name__)


class Turns:
    """Looks at runs, in the order in which they are given; who has answered goes before who hasn't."""

    def __init__(self, look: Callable[[Key], Coroutine[Any, Any, bool]]) -> None:
        """`look` gives False where no worker has answered for the run."""
        self._look = look
        self._due: list[Key] = []
        self._looking: dict[Key, asyncio.Task[bool]] = {}
        self._silent: dict[Key, tuple[int, float]] = {}
        """How often a run hasn't answered, and when it is asked again."""

    def take(self, due: Iterable[Key]) -> None:
        """Have these runs looked at, and no longer those that wait from before."""
        self._due = list(dict.fromkeys(due))
        for gone in self._silent.keys() - set(self._due) - self._looking.keys():
            if self._silent[gone][1] < time.monotonic():
                del self._silent[gone]
        self._fill()

    def stop(self) -> None:
        """Look at nothing more."""
        self._due = []
        for task in self._looking.values():
            task.cancel()

    def _fill(self) -> None:
        while len(self._looking) < AT_ONCE and (key := self._next()) is not None:
            self._due.remove(key)
            task = asyncio.create_task(self._look(key))
            self._looking[key] = task
            task.add_done_callback(partial(self._seen, key))

    def _next(self) -> Key | None:
        now = time.monotonic()
        waiting = [key for key in self._due if key not in self._looking]
        fresh = next((key for key in waiting if key not in self._silent), None)
        if fresh is not None or len(self._looking.keys() & self._silent.keys()) >= _SILENT_AT_ONCE:
            return fresh
        ready = [key for key in waiting if self._silent[key][1] <= now]
        return min(ready, key=lambda key: self._silent[key], default=None)

    def _seen(self, key: Key, task: "asyncio.Task[bool]") -> None:
        del self._looking[key]
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            _log.error("a thread is not up to date", run=key[0], exc_info=error)
        elif task.result():
            self._silent.pop(key, None)
        else:
            times = self._silent.get(key, (0, 0.0))[0] + 1
            self._silent[key] = (times, time.monotonic() + min(_AGAIN_AFTER * 2 ** (times - 1), _AGAIN_AT_LAST))
        self._fill()
