"""What sandbox and demo say on a terminal in the same words."""

import shlex
from pathlib import Path

from rich.console import Console


def near(path: Path | str) -> str:
    """Name a file as seen from here, where it is below."""
    here, file = Path.cwd(), Path(path)
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


def say_next(first: str, directory: Path, usual: Path, console: Console) -> None:
    """Print what can be typed next: `first`, and in the end the command that stops what runs in a directory."""
    where = "" if directory == usual else f" --dir {shlex.quote(str(directory))}"
    for line in (". .venv/bin/activate", first, f"runbooks sandbox down{where}"):
        console.print(f"  {line}", soft_wrap=True, markup=False)
