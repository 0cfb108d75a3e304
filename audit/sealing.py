"""Making records and heads: what is put in, hashed, and signed."""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from audit.chain import digest, hash_of, head_bytes, header_bytes
from audit.records import GENESIS, Body, Head, Header, Record, Statement
from audit.signatures import canonical
from audit.signer import Signer
from audit.skeleton import commit, take_apart
from audit.story import Story


@dataclass(frozen=True)
class Archivable:
    """A closed run, ready for the archive."""

    history: dict[str, Any]
    story: Story
    """As read without the codec's key: what is encrypted in Temporal is so in the archive."""
    closed_at: datetime
    known: Story | None = None
    """As read with the key, where there is one: the run is found by it."""


@dataclass(frozen=True)
class Link:
    """What a record hangs on: place and hash of the one before."""

    seq: int = 0
    hash: str = GENESIS

    @classmethod
    def to(cls, header: Header) -> "Link":
        """Hang on to a record."""
        return cls(header.seq, hash_of(header))


def story_bytes(story: Story) -> bytes:
    """Give a story as it is committed to."""
    return canonical(story.model_dump(mode="json"))


@dataclass(frozen=True)
class Parts:
    """A run taken apart, before its place in the chain is known."""

    run: Archivable
    skeleton: bytes
    bodies: dict[str, Body]
    story: str

    @classmethod
    def of(cls, run: Archivable) -> "Parts":
        """Take a run apart."""
        skeleton, bodies = take_apart(run.history)
        story, body = commit(story_bytes(run.story))
        return cls(run, skeleton, {**bodies, story: body}, story)


def seal_run(signer: Signer, parts: Parts, after: Link) -> Record:
    """Make a run's record."""
    story = parts.run.story
    header = Header(
        kind="run",
        seq=after.seq + 1,
        previous=after.hash,
        namespace=story.namespace,
        workflow_id=story.run.workflow_id,
        run_id=story.run.run_id,
        closed_at=parts.run.closed_at.astimezone(UTC),
        archived_at=datetime.now(UTC),
        skeleton=digest(parts.skeleton),
        story=parts.story,
        key=signer.key,
    )
    return Record(
        header=header, signature=_sign(signer, header_bytes(header)), skeleton=parts.skeleton, bodies=parts.bodies
    )


def seal_redaction(signer: Signer, statement: Statement, about: Header, after: Link) -> Record:
    """Make the record that says what is erased, by whom and why."""
    skeleton = canonical(statement.model_dump(mode="json"))
    header = Header(
        kind="redaction",
        seq=after.seq + 1,
        previous=after.hash,
        namespace=about.namespace,
        workflow_id=about.workflow_id,
        run_id=about.run_id,
        closed_at=None,
        archived_at=datetime.now(UTC),
        skeleton=digest(skeleton),
        story="",
        key=signer.key,
    )
    return Record(header=header, signature=_sign(signer, header_bytes(header)), skeleton=skeleton, bodies={})


def seal_head(signer: Signer, link: Link) -> Head:
    """Sign where the chain ends now."""
    head = Head(seq=link.seq, hash=link.hash, at=datetime.now(UTC), key=signer.key)
    return head.model_copy(update={"signature": _sign(signer, head_bytes(head))})


def _sign(signer: Signer, message: bytes) -> str:
    return base64.b64encode(signer.sign(message)).decode()
