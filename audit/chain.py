"""Verifying the chain, one record at a time, with public keys alone.

Memory does not grow with the chain, only with bodies that are missing and not yet covered by a redaction: redactions
stand later in the chain than what they cover, so that whether a body may be missing is decided at the end.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError

from audit.records import GENESIS, Broken, Head, Header, Record, Statement, Verdict
from audit.signatures import canonical
from audit.signer import key_id
from audit.skeleton import commitments, fits, strict
from audit.text import counted


def header_bytes(header: Header) -> bytes:
    """Give what is hashed and signed."""
    return canonical(header.model_dump(mode="json"))


def header_from(raw: bytes) -> Header:
    """Read a header that was kept as its bytes.

    Raises:
        ValueError: it is none, or is not written in the canonical form: what is read would not be what was signed.

    """
    header = Header.model_validate_json(raw)
    if header_bytes(header) != raw:
        raise ValueError("the header is not canonical JSON")
    return header


def head_bytes(head: Head) -> bytes:
    """Give what a head's signature is over."""
    return canonical(head.model_dump(mode="json", exclude={"signature"}))


def hash_of(header: Header) -> str:
    """Give the hash that the next record names, hex."""
    return digest(header_bytes(header))


def digest(raw: bytes) -> str:
    """SHA-256, hex."""
    return hashlib.sha256(raw).hexdigest()


class Keys:
    """The public keys (32 raw bytes each) that may have signed, by ID."""

    def __init__(self, public_keys: Iterable[bytes]) -> None:
        self._keys = {key_id(raw): Ed25519PublicKey.from_public_bytes(raw) for raw in public_keys}

    def objection(self, key: str, signature: str, message: bytes) -> str:
        """Say what is wrong with a signature; nothing where it is good."""
        known = self._keys.get(key)
        if known is None:
            return f"is signed with key {key}, which is none of the known keys ({', '.join(self._keys) or 'none'})"
        raw = strict(signature)
        if raw is not None:
            try:
                known.verify(raw, message)
            except InvalidSignature:
                pass
            else:
                return ""
        return f"does not fit its signature by key {key}: it or the signature was changed"


@dataclass
class _Missing:
    workflow_id: str
    run_id: str
    story: str
    commitments: set[str] = field(default_factory=set)


class Verifier:
    """Feed it every record in order, then ask `end()`.

    A part of a chain can be verified too: `begin` is the first record's place in it, whose predecessor is then taken on
    trust. Where only the header of a record is at hand, `link` checks its place and signature.
    """

    def __init__(self, public_keys: Iterable[bytes], heads: Iterable[Head] = (), *, begin: int = 1) -> None:
        self._keys = Keys(public_keys)
        self._verdict = Verdict(records=0)
        self._next, self._previous = begin, GENESIS if begin == 1 else ""
        self._gap = range(0)
        self._missing: dict[int, _Missing] = {}
        self._used: dict[str, None] = {}
        self._heads: dict[int, list[Head]] = {}
        self._latest: Head | None = None
        for head in heads:
            self._take(head)

    def feed(self, record: Record) -> None:
        """Check a record, its place and everything it names."""
        header = record.header
        sound = self.link(header, record.signature)
        if header.kind == "redaction":
            self._redaction(record, sound=sound)
        elif self._verdict.broken is None:
            self._contents(record)

    def link(self, header: Header, signature: str) -> bool:
        """Check a record's place and signature; tells whether it is signed."""
        verdict = self._verdict
        verdict.records += 1
        raw = header_bytes(header)
        objection = self._keys.objection(header.key, signature, raw)
        if verdict.broken is not None:
            self._late(header, signed=not objection)
            return not objection
        if objection:
            self._break(self._next, header, f"the record {objection}")
        elif header.seq > self._next:
            self._gap = range(self._next, header.seq)
            missing = f"{self._next}" if len(self._gap) == 1 else f"{self._next} to {header.seq - 1}"
            self._break(self._next, None, f"record {header.seq} stands here: {missing} missing, removed or lost")
        elif header.seq < self._next:
            what = f"record {header.seq} stands here, after record {self._next - 1}: inserted, repeated or out of order"
            self._break(self._next, header, what)
        elif self._previous and header.previous != self._previous:
            before = f"record {self._next - 1}" if self._next > 1 else "the beginning"
            what = f"names {header.previous[:16]}… as the hash before it, but {before} has {self._previous[:16]}…"
            self._break(self._next, header, what)
        else:
            self._step(header, digest(raw))
        return not objection

    def _step(self, header: Header, own: str) -> None:
        verdict = self._verdict
        for head in self._heads.get(header.seq, ()):
            if head.hash != own:
                signed = f"the head signed at {head.at:%Y-%m-%d %H:%M:%S} UTC"
                what = f"{signed} knows another record here: the chain was rewritten"
                self._break(header.seq, header, what)
                return
        self._used.setdefault(header.key)
        verdict.first = verdict.first or header.seq
        verdict.last, verdict.head = header.seq, own
        self._next, self._previous = header.seq + 1, own

    def _late(self, header: Header, *, signed: bool) -> None:
        """After the first break: what only seemed to be missing may turn up later."""
        broken = self._verdict.broken
        if signed and header.seq in self._gap and broken is not None:
            self._gap = range(0)
            what = f"record {header.seq} stands later than here: the order was changed"
            self._verdict.broken = Broken(
                seq=broken.seq, workflow_id=header.workflow_id, run_id=header.run_id, what=what
            )

    def _contents(self, record: Record) -> None:
        header = record.header
        if digest(record.skeleton) != header.skeleton:
            self._break(header.seq, header, "the history's skeleton does not have the digest that the header names")
            return
        try:
            named = commitments(record.skeleton)
        except ValueError:
            self._break(header.seq, header, "the history's skeleton is not JSON")
            return
        if not header.story:
            self._break(header.seq, header, "the header commits to no story")
            return
        named.add(header.story)
        for commitment, body in record.bodies.items():
            if commitment not in named:
                self._break(header.seq, header, f"body {commitment[:16]}… is named by nothing: inserted")
                return
            if not fits(commitment, body):
                whose = "the story" if commitment == header.story else f"body {commitment[:16]}…"
                self._break(header.seq, header, f"{whose} does not fit its commitment: it was changed")
                return
        missing = named.difference(record.bodies)
        if missing:
            self._missing[header.seq] = _Missing(header.workflow_id, header.run_id, header.story, missing)

    def _redaction(self, record: Record, *, sound: bool) -> None:
        header = record.header
        problem = ""
        if digest(record.skeleton) != header.skeleton:
            problem = "the redaction's statement does not have the digest that the header names"
        elif record.bodies or header.story:
            problem = "a redaction has bodies or a story"
        else:
            try:
                statement = Statement.model_validate_json(record.skeleton)
            except ValidationError:
                problem = "the redaction's statement can't be read"
            else:
                if statement.seq >= header.seq:
                    problem = f"the redaction is about record {statement.seq}, which is not before it"
                elif sound:
                    self._cover(header, statement)
        if problem and self._verdict.broken is None:
            self._break(header.seq, header, problem)

    def _cover(self, header: Header, statement: Statement) -> None:
        missing = self._missing.get(statement.seq)
        if missing is None or missing.run_id != header.run_id:
            return
        covered = missing.commitments.intersection(statement.commitments)
        missing.commitments -= covered
        self._verdict.redacted += len(covered)
        if not missing.commitments:
            del self._missing[statement.seq]

    def end(self) -> Verdict:
        """Decide."""
        verdict = self._verdict
        verdict.keys = list(self._used)
        if self._missing:
            seq = min(self._missing)
            if verdict.broken is None or seq < verdict.broken.seq:
                missing = self._missing[seq]
                if missing.story in missing.commitments:
                    what = "the story is missing, and no redaction in the chain says so"
                else:
                    some = sorted(missing.commitments)
                    what = f"body {some[0][:16]}… is missing, and no redaction in the chain says so"
                    what += f" (nor {len(some) - 1} more of this record)" if len(some) > 1 else ""
                verdict.broken = Broken(seq=seq, workflow_id=missing.workflow_id, run_id=missing.run_id, what=what)
        head = self._latest
        if verdict.broken is None and head is not None and head.seq >= self._next:
            known = f"the head signed at {head.at:%Y-%m-%d %H:%M:%S} UTC knows {counted(head.seq, 'record')}"
            what = f"the chain ends here, but {known}"
            verdict.broken = Broken(seq=self._next, what=f"{what}: the end was cut off")
        return verdict

    def _take(self, head: Head) -> None:
        objection = self._keys.objection(head.key, head.signature, head_bytes(head))
        if objection:
            self._break(head.seq, None, f"the signed head of record {head.seq} {objection}")
            return
        self._heads.setdefault(head.seq, []).append(head)
        if self._latest is None or head.seq > self._latest.seq:
            self._latest = head

    def _break(self, seq: int, header: Header | None, what: str) -> None:
        if self._verdict.broken is None:
            workflow_id, run_id = (header.workflow_id, header.run_id) if header else ("", "")
            self._verdict.broken = Broken(seq=seq, workflow_id=workflow_id, run_id=run_id, what=what)
