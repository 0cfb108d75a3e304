"""Progress of downloads and builds: a bar in a terminal, now and then a line elsewhere."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

_LINE_EVERY_SECONDS = 10.0


class Bar:
    """One piece of work with a known size, as a context."""

    def __init__(self, title: str, total: float) -> None:
        self._title = title
        self._total = max(total, 1.0)
        self._done = 0.0
        self._last_line = self._begun = time.monotonic()
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TimeElapsedColumn(),
                TextColumn("[dim]{task.fields[detail]}"),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task(title, total=self._total, detail="")

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        else:
            self._line("begun")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._line(f"{'failed' if error else 'done'} after {time.monotonic() - self._begun:.0f} s")

    def advance(self, amount: float = 1.0, detail: str = "") -> None:
        """Count what has been done; `detail` names it."""
        self._done = min(self._done + amount, self._total)
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, detail=detail)
        elif time.monotonic() - self._last_line >= _LINE_EVERY_SECONDS:
            self._line(f"{100 * self._done / self._total:3.0f} % {detail}")

    def _line(self, text: str) -> None:
        self._last_line = time.monotonic()
        sys.stderr.write(f"{self._title}: {text}\n")
        sys.stderr.flush()
