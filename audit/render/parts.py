"""What a chapter is made of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fact:
    """A name and what it is."""

    name: str
    text: str


@dataclass(frozen=True)
class Part:
    """A heading with facts or a table below it; the text is plain."""

    title: str
    facts: tuple[Fact, ...] = ()
    heads: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    tones: tuple[str, ...] = ()
    """Of each row: `good`, `bad`, `wait`, or empty."""
    widths: tuple[float, ...] = ()
    """Of the columns on paper, in shares."""
