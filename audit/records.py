"""The chain of evidence: what one record of it says, and how it is hashed, signed and checked.

A record is a header of canonical JSON and what that names by digest. The header holds the hash of the record before it,
so that nothing can be removed, inserted or reordered, and is signed, so that nobody else can write one.

    history skeleton ── sha256 ──┐
    its payloads ── commitments ─┘(in the skeleton)      header ── Ed25519 ── signature
    story ── commitment ────────────────────────────────▶│
    record before ── hash (sha256 of its header) ───────▶│

What may hold personal data (payloads, the story) is only committed to: sha256 of a random salt and the bytes. Its bytes
lie beside the chain and can be erased; the commitment stays, and the chain goes on verifying.
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

GENESIS = "0" * 64
"""What the first record has as the hash of the one before."""


class Header(BaseModel):
    """What is hashed and signed; `canonical(header.model_dump(mode="json"))` are its bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    kind: Literal["run", "redaction"]
    seq: int = Field(ge=1, description="Place in the chain, without gaps.")
    previous: str = Field(description="Hash of the record before; `GENESIS` for the first.")
    namespace: str
    workflow_id: str
    run_id: str = Field(description="Of a redaction: the run whose record it is about.")
    closed_at: datetime | None = Field(description="End of the run, UTC; null for a redaction.")
    archived_at: datetime
    skeleton: str = Field(description="SHA-256, hex, of the skeleton's bytes; of a redaction: of its statement's.")
    story: str = Field(description="Commitment to the story; empty for a redaction.")
    key: str = Field(description="First 16 hex digits of the SHA-256 of the signing key's raw public half.")


class Body(BaseModel):
    """What a commitment stands for; gone where it was redacted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    salt: str = Field(description="Base64, 16 random bytes.")
    data: str = Field(description="Base64: of a payload as in the history, encrypted where it was; of a story, JSON.")


class Statement(BaseModel):
    """What a redaction says, in place of a skeleton."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seq: int = Field(description="Of the record whose bodies were erased.")
    commitments: list[str]
    who: str
    role: str
    reason: str


class Record(BaseModel):
    """One link of the chain, with all that is kept of what it names."""

    header: Header
    signature: str = Field(description="Base64 Ed25519 over the header's bytes.")
    skeleton: bytes = Field(description="Canonical JSON of the history with commitments, or of a `Statement`.")
    bodies: dict[str, Body] = Field(description="Commitment → body, the story's among them; without what is erased.")


class Head(BaseModel):
    """The end of the chain at some time, signed: kept elsewhere, it tells whether the end was cut off."""

    format: Literal[1] = 1
    seq: int
    hash: str
    at: datetime
    key: str
    signature: str = Field(default="", description="Base64 Ed25519 over the canonical JSON of all other fields.")


class Broken(BaseModel):
    """The first thing that is wrong."""

    seq: int = Field(description="Where.")
    workflow_id: str = ""
    run_id: str = ""
    what: str = Field(description="A sentence: what was expected and what was found.")


class Verdict(BaseModel):
    """What verifying found."""

    records: int = Field(description="How many were read.")
    redacted: int = Field(default=0, description="Bodies that are erased, each covered by a redaction in the chain.")
    first: int = 0
    last: int = 0
    head: str = Field(default="", description="Hash of the last.")
    keys: list[str] = []
    broken: Broken | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.broken is None
