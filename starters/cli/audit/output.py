"""Where a document goes: a file, or the terminal."""

import sys
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from starters.cli.people import Exit, Stop, complaints


def deliver(document: str | bytes, output: Path | None) -> None:
    """Write it whole into a file, or print it.

    Raises:
        Stop: it can't be written there, or would be gibberish on a terminal.

    """
    content = document.encode() if isinstance(document, str) else document
    if output is None:
        if isinstance(document, bytes) and sys.stdout.isatty():
            raise Stop(Exit.USAGE, "a PDF is nothing for a terminal: name a file with --output")
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    if output.is_dir():
        raise Stop(Exit.USAGE, f"--output: {output} is a directory: name a file in it")
    try:
        # Beside it first: whoever has the file open, or a full disk, never leaves half of it.
        beside = output.with_name(f".{output.name}.new")
        beside.write_bytes(content)
        beside.replace(output)
    except OSError as error:
        raise Stop(Exit.USAGE, f"--output: {output} can't be written: {error.strerror}") from None
    complaints.print(f"written: {output}", style="dim", markup=False, soft_wrap=True)


def counting() -> Progress:
    """Give a bar for what goes through many records; it leaves nothing behind."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=complaints,
        transient=True,
    )
