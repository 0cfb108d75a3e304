"""Who speaks on the command line."""

import getpass

from starters.steering.identity import DEFAULT_ROLE, Person


def person(who: str | None, role: str | None) -> Person:
    """Fill in the user of the operating system, and the role of whoever runs commands at 03:00."""
    return Person(who or getpass.getuser(), role or DEFAULT_ROLE)
