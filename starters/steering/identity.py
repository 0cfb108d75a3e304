"""Who steers a run; whoever lets people in says who they are."""

from dataclasses import dataclass

DEFAULT_ROLE = "on-call"
"""The role of whoever runs commands at 03:00."""


@dataclass(frozen=True)
class Person:
    """Who speaks, and as what."""

    who: str
    role: str
