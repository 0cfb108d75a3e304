"""Payloads encrypted before they leave this process (ARCHITECTURE, rule 10): Temporal keeps what it can't read.

AES-256-GCM by `cryptography`. Each payload is encrypted whole, with its metadata and a nonce of its own, and names its
key; several keys decrypt, the first one encrypts, so keys can be rotated while old histories stay readable. What is not
encrypted passes through: histories from before the codec go on being read, and the Temporal UI can start runs.

Not a payload, so still plain: IDs, types, search attributes, times.
"""

import hashlib
import os
from collections.abc import Callable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from workers.payload_keys import key_bytes

ENCODING = b"binary/encrypted"
_KEY_ID = "encryption-key-id"
_NONCE_BYTES, _ID_DIGITS = 12, 16


class Undecipherable(Exception):  # noqa: N818  reads as the sentence it is
    """A payload is encrypted with a key that isn't here, or was changed."""


class AesGcmCodec(PayloadCodec):
    """Encrypts and decrypts payloads; without keys it leaves them plain, and refuses what is encrypted."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = {key_id(key): AESGCM(key) for key in keys}
        self._first = next(iter(self._keys), None)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypt."""
        return [self.encrypt(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt what is encrypted.

        Raises:
            Undecipherable: in a workflow task it is retried, until there is a worker with the key.

        """
        return [self.decrypt(payload) for payload in payloads]

    def encrypt(self, payload: Payload) -> Payload:
        """Encrypt one payload."""
        if self._first is None:
            return payload
        nonce = os.urandom(_NONCE_BYTES)
        data = self._keys[self._first].encrypt(nonce, payload.SerializeToString(), self._first.encode())
        return Payload(metadata={"encoding": ENCODING, _KEY_ID: self._first.encode()}, data=nonce + data)

    def decrypt(self, payload: Payload) -> Payload:
        """Decrypt one payload; one that isn't encrypted, or not by us, is given as it is.

        Raises:
            Undecipherable: says which key is missing, or that it was changed.

        """
        # Without a key's name it is somebody's bad input, which fails the run at once, and nothing to wait for.
        if payload.metadata.get("encoding") != ENCODING or not payload.metadata.get(_KEY_ID):
            return payload
        named = payload.metadata[_KEY_ID].decode(errors="replace")
        key = self._keys.get(named)
        if key is None:
            raise Undecipherable(
                f"encrypted with key {named!r}, which is not among [temporal] payload_keys: add it there"
            )
        nonce, data = payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:]
        try:
            return Payload.FromString(key.decrypt(nonce, data, named.encode()))
        except (InvalidTag, ValueError):
            raise Undecipherable(f"encrypted with key {named!r} and changed since, or damaged") from None


def key_id(key: bytes) -> str:
    """Name a key without telling it."""
    return hashlib.sha256(b"runbooks payload key" + key).hexdigest()[:_ID_DIGITS]


def codec(keys: Sequence[SecretStr]) -> AesGcmCodec | None:
    """Make the codec of the settings' keys; None where there is none.

    Raises:
        ValueError: a key is not 32 bytes in base64; says which, and not what it is.

    """
    if not keys:
        return None
    return AesGcmCodec(key_bytes(keys))


def decrypting(keys: Sequence[SecretStr]) -> Callable[[Payload], Payload] | None:
    """Give what reads single payloads of a history; None where there is no key."""
    made = codec(keys)
    return made.decrypt if made else None
