"""Erasing what must not be kept, without breaking the chain.

What is erased are bytes that the chain only commits to; a signed record in the chain says which, who wanted it and why.
It reaches the archive's tables. It does not reach what has left them: backups of the database, bundles that were
handed out, and copies in S3 with Object Lock keep their bytes until their own retention ends (audit/object_lock.py).
Nor does it reach the skeleton: IDs, times and the messages of failures are under the digest itself.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from audit.errors import Unreadable
from audit.payloads import DecodeOne, Decoder
from audit.records import Record, Statement
from audit.skeleton import committed
from audit.store import Store


@dataclass
class Found:
    """Where a text is, in one run's record."""

    commitments: list[str] = field(default_factory=list)
    unreadable: int = 0
    """Bodies that are encrypted and were not looked into, because there is no key."""
    in_skeleton: bool = False
    """It is also where it can't be erased."""


def find(record: Record, text: str, codec: DecodeOne | None = None) -> Found:
    """Find the bodies whose decoded text contains `text`, whatever its capitals."""
    wanted = text.casefold()
    found = Found(in_skeleton=wanted in _folded(json.loads(record.skeleton)))
    decoder = Decoder(codec)
    for payload, commitment in committed(json.loads(record.skeleton)):
        body = record.bodies.get(commitment)
        if body is None:
            continue
        rest = {name: value for name, value in payload.items() if name != "commitment"}
        try:
            said = decoder.decode({**rest, "data": body.data})
        except Unreadable:
            found.unreadable += 1
            continue
        if wanted in _folded(said):
            found.commitments.append(commitment)
    return found


def erase(store: Store, record: Record, commitments: Iterable[str], *, who: str, role: str, reason: str) -> Record:
    """Erase bodies of a run's record, and its story with them; gives the redaction's record.

    The story that is left is read anew from what is left of the history, and kept outside of the chain.

    Raises:
        StoreError: PostgreSQL doesn't answer or refuses.
        SigningError: KMS did not sign.

    """
    names = set(commitments)
    if record.header.story in record.bodies:
        names.add(record.header.story)
    left = record.model_copy(
        update={"bodies": {name: body for name, body in record.bodies.items() if name not in names}}
    )
    statement = Statement(seq=record.header.seq, commitments=sorted(names), who=who, role=role, reason=reason)
    return store.redact(left, statement)


def _folded(value: Any) -> str:
    """Give every text in a value, also the names of fields."""
    texts: list[str] = []
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(item.values())
            texts.extend(str(name) for name in item)
        elif isinstance(item, list | tuple):
            waiting.extend(item)
        elif isinstance(item, bytes):
            texts.append(item.decode(errors="replace"))
        elif item is not None:
            texts.append(str(item))
    return "\n".join(texts).casefold()
