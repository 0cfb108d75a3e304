"""What a request shows to be let in (RFC 9110, 11.6.2), and whether it is known; compared in constant time."""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.requests import Request


@dataclass(frozen=True)
class Credential:
    """What the Authorization header holds."""

    scheme: str
    """In small letters; empty where there is no header."""

    value: bytes
    """The bearer token, or `user:password`; empty where it is unreadable."""

    @property
    def password(self) -> bytes:
        """What opens, whoever shows it: the token, or the password under any user's name."""
        return self.value.partition(b":")[2] if self.scheme == "basic" else self.value


def shown(request: Request) -> Credential:
    """Read the header."""
    return credential(request.headers.get("authorization", ""))


def credential(header: str) -> Credential:
    """Read what the header says."""
    scheme, _, value = header.partition(" ")
    # Starlette decodes headers as Latin-1; this gives back the bytes that were sent.
    given = value.strip().encode("latin-1", errors="replace")
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True)
        except ValueError:
            given = b""
    return Credential(scheme.lower(), given)


def digest(secret: bytes) -> bytes:
    """Make all secrets the same length, which a comparison would tell otherwise."""
    return hashlib.sha256(secret).digest()


def known(secret: bytes, digests: Iterable[bytes]) -> bool:
    """Tell whether it is one of them.

    Every comparison is made, so that neither the number nor the order of the secrets shows in the time.
    """
    given = digest(secret)
    matches = [hmac.compare_digest(given, one) for one in digests]
    return any(matches)
