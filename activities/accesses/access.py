"""One access to a service, and what it says of the place it came from (runbook 8.1 step 5)."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

_LONGEST = 200
"""Characters that are kept of a name, a path or an address that is none."""

_PLACE = {4: 24, 6: 48}
"""What counts as one place, by IP version: providers give the addresses within to the same customer or the next one."""


@dataclass(frozen=True, slots=True)
class Access:
    """One request, log-in or call with a key."""

    at: datetime
    """With its zone."""

    address: str
    """Of the client."""

    who: str = ""
    """A person, or the ID of a key; nobody where it isn't known."""

    what: str = ""
    """For example `POST /login`."""

    allowed: bool | None = None
    """False where it was refused: a wrong password, a revoked key. None where it was neither."""


def cut(text: str) -> str:
    """Keep so much of a text as a finding shows."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


@lru_cache(maxsize=10_000)
def address_of(text: str) -> str:
    """Write an address in its one form; what is none stays as it is, shortened."""
    address = _parsed(text)
    return cut(text.strip()) if address is None else str(address)


@lru_cache(maxsize=10_000)
def place_of(text: str) -> str:
    """Give the network that an address counts to as one place."""
    address = _parsed(text)
    if address is None:
        return cut(text.strip())
    return str(ip_network((address, _PLACE[address.version]), strict=False))


@lru_cache(maxsize=10_000)
def is_public(text: str) -> bool:
    """Tell whether it is an address of the public internet."""
    address = _parsed(text)
    return address is not None and address.is_global and not address.is_multicast


def _parsed(text: str) -> "IPv4Address | IPv6Address | None":
    try:
        address = ip_address(text.strip().strip("[]").partition("/")[0])
    except ValueError:
        return None
    # An IPv4 client on a socket of both kinds.
    return getattr(address, "ipv4_mapped", None) or address
