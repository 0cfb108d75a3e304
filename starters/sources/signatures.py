"""Signatures and secrets that are shown: any of several is taken, and all are compared, in constant time."""

import hashlib
import hmac
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from pydantic import SecretStr

from audit.text import length
from starters.sources.port import Unauthentic

_DIGITS = re.compile(r"[0-9]{1,12}")


def listed(header: str) -> list[str]:
    """Give the values of a header that may have several: in one line with commas, or on a line each."""
    return [one.strip() for one in header.split(",") if one.strip()]


def signed(given: Iterable[str], message: bytes, secrets: Iterable[SecretStr]) -> bool:
    """Tell whether one of the hexadecimal HMAC-SHA256 values that were sent is that of one of the secrets."""
    sent = [one.strip().lower().encode(errors="replace") for one in given]
    expected = [
        hmac.new(secret.get_secret_value().encode(), message, hashlib.sha256).hexdigest().encode() for secret in secrets
    ]
    # Every comparison is made, so that neither the number nor the order of the secrets shows in the time.
    matches = [hmac.compare_digest(one, other) for one in sent for other in expected]
    return any(matches)


def in_time(seconds: str, now: datetime, window: timedelta) -> None:
    """See that a signed time, in seconds since 1970, is within the window on either side.

    Raises:
        Unauthentic: it isn't, or isn't a time.

    """
    try:
        at = datetime.fromtimestamp(int(seconds if _DIGITS.fullmatch(seconds) else ""), UTC)
    except (ValueError, OverflowError, OSError):
        raise Unauthentic("the signed time is not seconds since 1970") from None
    if abs(now - at) > window:
        raise Unauthentic(
            f"the signed time is more than {length(window)} away from this clock: a repetition, or a clock is off"
        )
