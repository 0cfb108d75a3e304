"""A worker's settings: of the secrets in files it reads those of its roles, and needs no others to be there.

All processes of an installation may share one settings file, while each is given only the secrets that it uses.
"""

from collections.abc import Mapping

from workers import settings
from workers.queues import ORCHESTRATION, Role, served
from workers.settings import Settings

_EVERY = frozenset({"temporal", "records"})
"""Sections that each role uses."""

SECRETS_OF_ROLE: Mapping[Role, frozenset[str]] = {
    ORCHESTRATION: _EVERY | {"audit", "ci", "handover"},
    "kubernetes": _EVERY | {"acme", "audit"},
    "database": _EVERY | {"databases"},
    "aws": _EVERY,
    "messages": _EVERY | {"handover", "mail", "paging", "slack", "statuspage"},
    "compliance": _EVERY | {"audit", "databases"},
    "security": _EVERY | {"databases"},
}
"""Role → sections whose secrets its steps use, as `wiring` makes them; a test compares."""


def load() -> Settings:
    """Read them.

    Raises:
        SettingsError: as `settings.load`.

    """
    found = settings.load(secrets=())
    roles = served(found.worker.roles, found.temporal.roles)
    return settings.load(secrets={section for role in roles for section in SECRETS_OF_ROLE[role]})
