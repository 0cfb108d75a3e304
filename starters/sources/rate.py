"""How much may come: so many a second, and a burst of what ten seconds may bring."""

import time
from collections.abc import Callable

_BURST_SECONDS = 10


class Rate:
    """A bucket of tokens that fills at its rate, and begins full."""

    def __init__(self, a_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._a_second = a_second
        self._most = a_second * _BURST_SECONDS
        self._left = self._most
        self._clock = clock
        self._at = clock()

    def take(self) -> bool:
        """Take one; False where none is left."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._at) * self._a_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    @property
    def wait(self) -> int:
        """Seconds until there is one again, rounded up."""
        return max(1, round((1 - self._left) / self._a_second + 0.5))
