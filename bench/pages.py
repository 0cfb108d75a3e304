"""Tables that benchmarks put into pages, each between two marks of its own."""

from collections.abc import Iterable, Sequence
from pathlib import Path


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Give a table in Markdown."""
    lines = [head, ["--"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def put(page: Path, name: str, text: str) -> None:
    """Put a text between the page's marks of a name.

    Raises:
        SystemExit: the page has no such marks.

    """
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    head, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"{page} has no marks <!-- {name} --> and <!-- /{name} -->")
    page.write_text(f"{head}{begin}\n{text}\n\n{end}{tail}", encoding="utf-8")
