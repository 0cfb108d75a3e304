"""What a person's word looks like, and how its signature is checked.

Temporal does not authenticate who sends an update. So whoever authenticated the person (our gateway: command line,
Slack, web) signs what they decided, and the run, which knows only public keys, refuses anything else.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field


class SignedWord(BaseModel):
    """Base of what a person sends into a run: who, in which role, and the gateway's signature over all of it."""

    model_config = ConfigDict(extra="forbid")

    who: str = Field(min_length=1, max_length=200, description="Authenticated name, e.g. an e-mail address.")
    role: str = Field(min_length=1, max_length=100, description="For example commander, on-call.")
    issued_at: datetime | None = Field(default=None, description="When it was signed, with time zone.")
    signature: str | None = Field(default=None, description="Base64 Ed25519 signature by a gateway's key.")

    def signed_bytes(self, workflow_id: str, run_id: str) -> bytes:
        """Give the canonical form that is signed: bound to the run, and to every field but the signature."""
        body = self.model_dump(mode="json", exclude={"signature"})
        return json.dumps(
            {"kind": type(self).__name__, "workflow_id": workflow_id, "run_id": run_id, "word": body},
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=False,
        ).encode()


def digest(subject: object) -> str:
    """SHA-256 of what is being decided, so that an approval holds for exactly that."""
    text = json.dumps(subject, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def sign(word: SignedWord, private_key: Ed25519PrivateKey, workflow_id: str, run_id: str) -> str:
    """Sign a word for one run; gives base64."""
    return base64.b64encode(private_key.sign(word.signed_bytes(workflow_id, run_id))).decode()


def objection(
    word: SignedWord,
    *,
    workflow_id: str,
    run_id: str,
    public_keys: Iterable[str],
    now: datetime,
    valid_for: timedelta,
) -> str | None:
    """Say why a word's signature does not count, or None where it does. Does not look at roles."""
    if word.signature is None:
        return "it is not signed: send it through the gateway (`runbooks approve|close|note`)"
    if word.issued_at is None or word.issued_at.tzinfo is None:
        return "issued_at: required with a signature, with time zone"
    if abs(now - word.issued_at) > valid_for:
        return f"its signature is older than {valid_for}, or from the future: sign it anew"
    try:
        signature = base64.b64decode(word.signature, validate=True)
    except (binascii.Error, ValueError):
        return "signature: not base64"
    message = word.signed_bytes(workflow_id, run_id)
    for key in public_keys:
        try:
            Ed25519PublicKey.from_public_bytes(base64.b64decode(key)).verify(signature, message)
        except (InvalidSignature, ValueError):
            continue
        return None
    return "its signature fits none of the configured gateway keys, or not what is being decided"
