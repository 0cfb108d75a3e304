"""CSV that a spreadsheet opens without running it (RFC 4180, UTF-8).

A cell that begins with what a spreadsheet takes for a formula gets an apostrophe in front (OWASP, "CSV Injection").
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from audit.text import shown, visible

_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001  full-width ones count as well
_ROWS = 1000


def sheet(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[bytes]:
    """Write rows as CSV, a piece at a time."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(heads)
    for number, row in enumerate(rows, start=1):
        writer.writerow([safe(cell) for cell in row])
        if number % _ROWS == 0:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def safe(cell: str) -> str:
    """Make a cell one that is no formula, in one line."""
    line = shown(visible(cell))
    return f"'{line}" if cell.startswith(_FORMULAS) or cell.lstrip().startswith(_FORMULAS) else line
