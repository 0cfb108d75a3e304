"""Who speaks on the command line."""

import getpass
from dataclasses import dataclass

DEFAULT_ROLE = "on-call"


@dataclass(frozen=True)
class Person:
    """Who speaks, and as what."""

    who: str
    role: str


def person(who: str | None, role: str | None) -> Person:
    """Fill in the user of the operating system, and the role of whoever runs commands at 03:00."""
    return Person(who or getpass.getuser(), role or DEFAULT_ROLE)
