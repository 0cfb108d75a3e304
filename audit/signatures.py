"""The one canonical form that is signed here, and what a signature on a person's word is worth."""

import base64
import binascii
from collections.abc import Iterable
from typing import Any, Literal

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Standing = Literal["valid", "unsigned", "invalid", "unreadable"]


def canonical(value: Any) -> bytes:
    """Write JSON as RFC 8785 has it: the same bytes for the same value, in every language that has the standard.

    Raises:
        ValueError: a number that JSON can't hold exactly, such as NaN or an integer above 2^53.

    """
    return rfc8785.dumps(value)


def word_bytes(update: str, workflow_id: str, run_id: str, word: dict[str, Any]) -> bytes:
    """Give what a gateway signs: which update, into which run, with every field."""
    body = {name: value for name, value in word.items() if name != "signature"}
    return canonical({"update": update, "workflow_id": workflow_id, "run_id": run_id, "word": body})


def fitting(signature: str, message: bytes, public_keys: Iterable[str]) -> str | None:
    """Find the public key (base64, raw) that a base64 Ed25519 signature fits; None where none does."""
    try:
        raw = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return None
    for key in public_keys:
        try:
            Ed25519PublicKey.from_public_bytes(base64.b64decode(key)).verify(raw, message)
        except (InvalidSignature, ValueError):
            continue
        return key
    return None
