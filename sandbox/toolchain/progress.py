"""What is being waited for, how far it is and how long it will take.

That is lines at the foot of a terminal, and now and then a line elsewhere. Several things are waited for at once, so
all of them share one place. Nothing but the standard library: this runs before any package is installed.
"""

import shutil
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

_REDRAW_SECONDS = 0.25
_LINE_EVERY_SECONDS = 10.0
_QUIET_SECONDS = 2.0
"""What is done sooner than that is not worth a line."""
_TRUSTED_SHARE = 0.15
"""From there on the pace so far tells more than what it took on another machine."""
_CELLS = 20
_MINUTE = 60.0


def in_words(seconds: float) -> str:
    """Say a time as roughly as an estimate is."""
    return f"{seconds / _MINUTE:.0f} min" if seconds >= 1.5 * _MINUTE else f"{max(seconds, 1):.0f} s"


class Bar:
    """One thing that is waited for, as a context.

    Args:
        title: What it is.
        total: How many steps it has; 0 where that can't be known.
        expected: The seconds it is known to take, until its own pace tells.

    """

    def __init__(self, title: str, total: float = 0.0, expected: float = 0.0) -> None:
        self.title = title
        self._total, self._expected = total, expected
        self._done = 0.0
        self._detail = ""
        self._begun = self.last_line = time.monotonic()
        self.shown = False

    def __enter__(self) -> Self:
        self._begun = self.last_line = time.monotonic()
        _screen.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _screen.remove(self)
        if self.shown or self.elapsed >= _QUIET_SECONDS:
            _screen.say(f"{self.title}: {'failed' if error else 'done'} after {in_words(self.elapsed)}")

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._begun

    @property
    def share(self) -> float | None:
        """How much of it is done; None where that can't be known."""
        return min(self._done / self._total, 1.0) if self._total else None

    @property
    def left(self) -> float | None:
        """The seconds it will still take, as far as can be said."""
        share = self.share
        if share is not None and share >= _TRUSTED_SHARE:
            return self.elapsed * (1 - share) / share
        if self._expected:
            return max(self._expected - self.elapsed, 0.0) or None
        return None

    def advance(self, amount: float = 1.0, detail: str = "") -> None:
        """Count what has been done; `detail` names it."""
        self._done += amount
        self._detail = detail

    def line(self, *, cells: bool) -> str:
        """Give how it stands, with a drawn bar or without."""
        share, left = self.share, self.left
        parts = [f"{self.title}:"]
        if share is not None:
            done = round(share * _CELLS)
            drawn = f"{'━' * done}{'╌' * (_CELLS - done)} " if cells else ""
            parts.append(f"{drawn}{100 * share:.0f} %,")
        parts.append(f"{self.elapsed:.0f} s")
        if left is not None:
            parts.append(f"of about {self.elapsed + left:.0f} s")
        if self._detail:
            parts.append(f"({self._detail})")
        return " ".join(parts)


class _Screen:
    """Where the bars are shown: standard error."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._bars: list[Bar] = []
        self._drawn = 0
        self._ticking = False

    def add(self, bar: Bar) -> None:
        with self._lock:
            self._bars.append(bar)
            if not self._ticking:
                self._ticking = True
                threading.Thread(target=self._tick, name="progress", daemon=True).start()

    def remove(self, bar: Bar) -> None:
        with self._lock:
            self._bars.remove(bar)
            self._redraw()

    def say(self, text: str) -> None:
        """Write a line that stays."""
        self.above(lambda line: _write(f"{line}\n"), text)

    def above(self, told: Callable[[str], None], text: str) -> None:
        """Let somebody else write a line that stays, above the bars."""
        with self._lock:
            self._clear()
            told(text)
            self._redraw()

    def _tick(self) -> None:
        while True:
            time.sleep(_REDRAW_SECONDS)
            with self._lock:
                if not self._bars:
                    self._ticking = False
                    return
                if sys.stderr.isatty():
                    self._redraw()
                else:
                    self._write_lines()

    def _redraw(self) -> None:
        if not sys.stderr.isatty():
            return
        self._clear()
        width = shutil.get_terminal_size().columns - 1
        for bar in self._bars:
            bar.shown = True
            _write(f"{bar.line(cells=True)[:width]}\n")
        self._drawn = len(self._bars)

    def _clear(self) -> None:
        if self._drawn:
            _write(f"\x1b[{self._drawn}A\x1b[J")  # up to the first bar, and clear from there
            self._drawn = 0

    def _write_lines(self) -> None:
        now = time.monotonic()
        for bar in self._bars:
            if now - bar.last_line >= (_LINE_EVERY_SECONDS if bar.shown else _QUIET_SECONDS):
                bar.shown, bar.last_line = True, now
                _write(f"{bar.line(cells=False)}\n")


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


_screen = _Screen()


def above(told: Callable[[str], None]) -> Callable[[str], None]:
    """Give `told`, writing above the bars."""
    return lambda text: _screen.above(told, text)


def say(text: str) -> None:
    """Write a line that stays to standard error, above the bars."""
    _screen.say(text)
