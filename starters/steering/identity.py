"""Who steers a run; whoever lets people in says who they are."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Person:
    """Who speaks, and as what."""

    who: str
    role: str
