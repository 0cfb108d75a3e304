"""The keys of the payload codec as settings give them."""

import base64
import binascii
from collections.abc import Sequence

from pydantic import SecretStr

_BYTES = 32


def key_bytes(keys: Sequence[SecretStr]) -> list[bytes]:
    """Read the keys.

    Raises:
        ValueError: a key is not 32 bytes in base64; says which, and not what it is.

    """
    return [_bytes_of(key, place) for place, key in enumerate(keys)]


def _bytes_of(key: SecretStr, place: int) -> bytes:
    try:
        raw = base64.b64decode(key.get_secret_value(), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _BYTES:
        raise ValueError(f"payload_keys.{place}: not {_BYTES} bytes in base64; `openssl rand -base64 32` makes one")
    return raw
