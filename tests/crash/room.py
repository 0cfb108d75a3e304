"""Whether the machine carries one more case: cases mostly wait, so how many it carries is seen and not counted."""

import time

import psutil

CORES = len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else psutil.cpu_count() or 1
FLOOR, CEILING = 3 * CORES, 16 * CORES
"""So many run however busy the machine is, and never more than so many."""

_BUSY = 0.85
"""The share of the cores' time from which on a case would only slow the others down."""
_LOOK_SECONDS = 0.5
_MEMORY = 1 << 30
"""Bytes that stay free."""


class Room:
    """Looks at the cores twice a second, and gives room to one case a look."""

    def __init__(self) -> None:
        self._at, self._busy, self._all = 0.0, 0.0, 0.0
        self._look()

    def for_one_more(self, running: float) -> bool:
        """Tell whether a case may begin beside those that run, each counted by its weight."""
        if running < FLOOR:
            return True
        if running >= CEILING or time.monotonic() < self._at + _LOOK_SECONDS:
            return False
        return self._look() < _BUSY and psutil.virtual_memory().available > _MEMORY

    def _look(self) -> float:
        """Give how busy the cores were since the last look."""
        times = psutil.cpu_times()
        everything = sum(times[:8])  # guests' time is the users' time as well
        busy = everything - times.idle - getattr(times, "iowait", 0.0)
        share = (busy - self._busy) / max(everything - self._all, 0.01)
        self._at, self._busy, self._all = time.monotonic(), busy, everything
        return share
