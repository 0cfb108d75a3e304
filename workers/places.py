"""Where in a TOML file something stands, so that a fault can be found: Python's parser tells values and no lines."""

import re
import tomllib
from collections.abc import Iterator, Sequence

_TABLE = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")


def line_of(text: str, place: Sequence[str | int]) -> int | None:
    """Give the line of a place such as `("services", "api", "gpu", "min_nodes")`, or of what it is in; None if nowhere.

    Tables in brackets and keys at the beginning of a line are found, inline tables by the key that they belong to.
    """
    best, found = 0, None
    for number, path in _places(text):
        depth = len(path)
        if best < depth <= len(place) and tuple(place[:depth]) == path:
            best, found = depth, number
    return found


def _places(text: str) -> Iterator[tuple[int, tuple[str | int, ...]]]:
    table: tuple[str | int, ...] = ()
    counted: dict[tuple[str, ...], int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _TABLE.match(line):
            names = _names(header[2])
            table = names
            if header[1] == "[[":
                counted[names] = counted.get(names, -1) + 1
            for length in range(1, len(names) + 1):
                if names[:length] in counted:  # within one of several, such as `[route.input]` behind `[[route]]`
                    table = (*names[:length], counted[names[:length]], *names[length:])
            yield number, table
        elif key := _KEY.match(line):
            yield number, (*table, *_names(key[1]))


def _names(key: str) -> tuple[str, ...]:
    try:
        parsed: object = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        return ()
    names = []
    while isinstance(parsed, dict):
        ((name, parsed),) = parsed.items()
        names.append(name)
    return tuple(names)
