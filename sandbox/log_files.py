"""The end of a log, for a message that says why something failed. The standard library alone: see `prepare`."""

from pathlib import Path

_TAIL_BYTES = 4_000


def tail(log: Path, lines: int = 15) -> str:
    """Give the last lines of a log."""
    try:
        with log.open("rb") as handle:
            handle.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = handle.read().decode("utf-8", errors="replace")
    except OSError:
        return "(no log)"
    return "\n".join(text.splitlines()[-lines:]) or "(empty log)"
