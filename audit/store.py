"""The archive in PostgreSQL: the chain, read and written.

Readers go through it page by page, each page a short statement of its own, so that nothing stays open on the server
however slow the reader is, and memory stays flat: a page ends at so many bytes or records, whichever comes first.
"""

import hashlib
import itertools
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ValidationError

from audit.chain import header_bytes, header_from
from audit.deriving import derive
from audit.payloads import DecodeOne
from audit.records import Body, Head, Record, Statement
from audit.sealing import Archivable, Link, Parts, seal_head, seal_redaction, seal_run, story_bytes
from audit.signer import Signer
from audit.skeleton import fits
from audit.store_connection import DamagedRecord, Pool, Rows, StoreError, rows
from audit.store_filter import Filter, keys_of
from audit.story import Story
from audit.text import kept
from libraries import logger

_log = logger(__name__)
_LOCK = 0x61726368697665  # "archive" in ASCII: who adds to the chain holds it until the transaction ends
_PAGE_RECORDS = 200
_PAGE_BYTES = 8_000_000
_PAGE_STORIES = 50
_PIECE = 1000


class Access(BaseModel):
    """A line of the access log."""

    at: datetime
    who: str
    action: str
    what: str


class Store:
    """The archive. Adding to it needs a signer, reading none; with a codec, encrypted stories are read as they were.

    Raises from every method: `StoreError` (PostgreSQL doesn't answer or refuses), `DamagedRecord` (what is read was
    changed so that it can't be read).
    """

    def __init__(self, pool: Pool, signer: Signer | None = None, codec: DecodeOne | None = None) -> None:
        self._pool, self._signer, self._codec = pool, signer, codec

    def append(self, run: Archivable) -> Record | None:
        """Add a closed run at the end of the chain, whole or not at all; None where it is in already.

        Raises:
            SigningError: KMS did not sign.

        """
        signer = self._signing()
        if self.has(run.story.namespace, run.story.run.run_id):
            return None
        parts = Parts.of(run)
        with rows(self._pool, transaction=True) as cursor:
            link = _lock(cursor)
            if _has(cursor, run.story.namespace, run.story.run.run_id):
                return None
            record = seal_run(signer, parts, link)
            _insert(cursor, record, about=None)
            _store(cursor, record)
            _index(cursor, record.header.seq, run.known or run.story)
        return record

    def redact(self, left: Record, statement: Statement) -> Record:
        """Add the redaction to the chain, erase what it names, and keep the story of what is left, all at once.

        `left` is the run's record without what is to be erased.

        Raises:
            SigningError: KMS did not sign.

        """
        signer = self._signing()
        story = derive(left)
        known = derive(left, self._codec) if story.unreadable and self._codec else story
        with rows(self._pool, transaction=True) as cursor:
            record = seal_redaction(signer, statement, left.header, _lock(cursor))
            _insert(cursor, record, about=statement.seq)
            cursor.execute(
                "DELETE FROM runbooks.archive_bodies WHERE seq = %s AND commitment = ANY(%s)",
                (statement.seq, [bytes.fromhex(commitment) for commitment in statement.commitments]),
            )
            _index(cursor, statement.seq, known, derived=story)
        return record

    def has(self, namespace: str, run_id: str) -> bool:
        """Tell whether a run is archived."""
        with rows(self._pool) as cursor:
            return _has(cursor, namespace, run_id)

    def among(self, namespace: str, run_ids: list[str]) -> set[str]:
        """Tell which of these runs are archived."""
        with rows(self._pool) as cursor:
            cursor.execute(
                "SELECT run_id FROM runbooks.archive_records "
                "WHERE kind = 'run' AND namespace = %s AND run_id = ANY(%s)",
                (namespace, run_ids),
            )
            return {row["run_id"] for row in cursor}

    def records(self, after: int = 0) -> Iterator[Record]:
        """Go through the chain in order, from the record behind `after`."""
        while True:
            with rows(self._pool) as cursor:
                page = cursor.execute(
                    """
                    SELECT seq, header, signature, skeleton FROM (
                        SELECT *, sum(size) OVER (ORDER BY seq) - size AS before FROM (
                            SELECT * FROM runbooks.archive_records WHERE seq > %s ORDER BY seq LIMIT %s
                        ) AS next
                    ) AS page WHERE before < %s ORDER BY seq
                    """,
                    (after, _PAGE_RECORDS, _PAGE_BYTES),
                ).fetchall()
                bodies = _bodies(cursor, [row["seq"] for row in page])
            if not page:
                return
            for row in page:
                yield _record(row, bodies.pop(row["seq"], {}))
            after = page[-1]["seq"]

    def record(self, namespace: str, run_id: str) -> Record | None:
        """Find a run's record."""
        with rows(self._pool) as cursor:
            row = cursor.execute(
                "SELECT seq, header, signature, skeleton FROM runbooks.archive_records "
                "WHERE kind = 'run' AND namespace = %s AND run_id = %s",
                (namespace, run_id),
            ).fetchone()
            return _record(row, _bodies(cursor, [row["seq"]]).get(row["seq"], {})) if row else None

    def story(self, namespace: str, run_id: str) -> Story | None:
        """Find a run's story; after a redaction, the one that is left."""
        return next(self.stories(Filter(namespace=namespace, run_id=run_id)), None)

    def stories(self, wanted: Filter | None = None) -> Iterator[Story]:
        """Go through stories in the order their runs started.

        One that was changed or is missing is logged and left out: the others are to be found all the same.
        """
        condition, parameters = (wanted or Filter()).condition()
        query = f"""
            SELECT i.seq, i.started_at, i.story AS derived, r.story, b.salt, b.data
            FROM runbooks.archive_index i
            JOIN runbooks.archive_records r ON r.seq = i.seq
            LEFT JOIN runbooks.archive_bodies b ON b.seq = i.seq AND b.commitment = r.story
            WHERE {condition} AND (i.started_at, i.seq) > (%(from)s, %(seq)s)
            ORDER BY i.started_at, i.seq LIMIT {_PAGE_STORIES}
        """  # noqa: S608 # the condition names columns only, values are parameters
        place: dict[str, Any] = {"from": datetime.fromisoformat("0001-01-02T00:00:00+00:00"), "seq": 0}
        while True:
            with rows(self._pool) as cursor:
                page = cursor.execute(query.encode(), parameters | place).fetchall()
            for row in page:
                try:
                    yield self._readable(_story(row))
                except DamagedRecord as error:
                    _log.error("a story can't be read", why=str(error))
            if len(page) < _PAGE_STORIES:
                return
            place = {"from": page[-1]["started_at"], "seq": page[-1]["seq"]}

    def part(self, since: datetime | None, until: datetime | None) -> range | None:
        """Name the smallest part of the chain with all runs that ended in a span; None where none did."""
        with rows(self._pool) as cursor:
            row = cursor.execute(
                # OFFSET 0 keeps PostgreSQL from walking the chain from its first record until one of the span comes.
                "SELECT min(seq) AS first, max(seq) AS last FROM (SELECT seq FROM runbooks.archive_index "
                "WHERE ended_at >= coalesce(%s, '-infinity'::timestamptz) "
                "AND ended_at < coalesce(%s, 'infinity'::timestamptz) OFFSET 0) AS of_the_span",
                (since, until),
            ).fetchone()
        return range(row["first"], row["last"] + 1) if row and row["first"] is not None else None

    def redacted_by(self, part: range) -> int:
        """Name the last redaction that is about records of a part; the part's own end where there is none behind it."""
        with rows(self._pool) as cursor:
            row = cursor.execute(
                "SELECT max(seq) AS last FROM runbooks.archive_records "
                "WHERE kind = 'redaction' AND about >= %s AND about < %s",
                (part.start, part.stop),
            ).fetchone()
        return max(part.stop - 1, row["last"] or 0) if row else part.stop - 1

    def end(self) -> Link:
        """Say where the chain ends."""
        with rows(self._pool) as cursor:
            return _end(cursor)

    def end_key(self) -> str:
        """Give the ID of the key that signed the last record.

        Empty for an empty chain, and for a record whose header can't be read, which verifying says.
        """
        with rows(self._pool) as cursor:
            row = cursor.execute("SELECT header FROM runbooks.archive_records ORDER BY seq DESC LIMIT 1").fetchone()
        try:
            return header_from(row["header"]).key if row else ""
        except ValueError:
            return ""

    def hash_at(self, seq: int) -> str:
        """Give the hash of a record, hex; empty where there is none of that number."""
        with rows(self._pool) as cursor:
            row = cursor.execute("SELECT header FROM runbooks.archive_records WHERE seq = %s", (seq,)).fetchone()
        return hashlib.sha256(row["header"]).hexdigest() if row else ""

    def sign_head(self) -> Head | None:
        """Sign where the chain ends now; the head of that place where there is one, None for an empty chain.

        Raises:
            SigningError: KMS did not sign.

        """
        signer = self._signing()
        link = self.end()
        if link.seq == 0:
            return None
        known = next(self.heads(after=link.seq - 1), None)
        if known is not None:
            return known
        head = seal_head(signer, link)
        with rows(self._pool) as cursor:
            cursor.execute(
                "INSERT INTO runbooks.archive_heads (seq, hash, at, key, signature) VALUES (%s, %s, %s, %s, %s) "
                "ON CONFLICT DO NOTHING",
                (head.seq, head.hash, head.at, head.key, head.signature),
            )
        return next(self.heads(after=link.seq - 1), head)

    def heads(self, after: int = 0) -> Iterator[Head]:
        """Go through the signed heads in order."""
        while True:
            with rows(self._pool) as cursor:
                page = cursor.execute(
                    "SELECT seq, hash, at, key, signature FROM runbooks.archive_heads "
                    "WHERE seq > %s ORDER BY seq LIMIT %s",
                    (after, _PAGE_RECORDS),
                ).fetchall()
            yield from (Head(**row) for row in page)
            if len(page) < _PAGE_RECORDS:
                return
            after = page[-1]["seq"]

    def accessed(self, who: str, action: str, what: str) -> None:
        """Write down who did what with the evidence."""
        with rows(self._pool) as cursor:
            cursor.execute(
                "INSERT INTO runbooks.archive_access (who, action, what) VALUES (%s, %s, %s)",
                (kept(who), action, kept(what, 10_000)),
            )

    def accesses(self) -> Iterator[Access]:
        """Go through the access log in order."""
        after = 0
        while True:
            with rows(self._pool) as cursor:
                page = cursor.execute(
                    "SELECT * FROM runbooks.archive_access WHERE id > %s ORDER BY id LIMIT %s", (after, _PAGE_RECORDS)
                ).fetchall()
            yield from (Access(at=row["at"], who=row["who"], action=row["action"], what=row["what"]) for row in page)
            if len(page) < _PAGE_RECORDS:
                return
            after = page[-1]["id"]

    def reindex(self) -> int:
        """Make the index anew from the chain, and tell how many runs are in it."""
        count = 0
        for record in self.records():
            if record.header.kind != "run":
                continue
            body = record.bodies.get(record.header.story)
            story = Story.model_validate_json(b64decode(body.data)) if body else derive(record)
            known = derive(record, self._codec) if story.unreadable and self._codec else story
            with rows(self._pool) as cursor:
                _index(cursor, record.header.seq, known, derived=None if body else story)
            count += 1
        return count

    def _readable(self, story: Story) -> Story:
        """Read with the key what was archived encrypted."""
        if story.unreadable and self._codec is not None:
            record = self.record(story.namespace, story.run.run_id)
            if record is not None:
                return derive(record, self._codec)
        return story

    def _signing(self) -> Signer:
        if self._signer is None:
            raise StoreError("the archive is read-only here: no signing key, see [audit] in the settings")
        return self._signer


def _lock(cursor: Rows) -> Link:
    """Be the only one who adds to the chain, until the transaction ends; gives its end."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    return _end(cursor)


def _end(cursor: Rows) -> Link:
    row = cursor.execute("SELECT seq, header FROM runbooks.archive_records ORDER BY seq DESC LIMIT 1").fetchone()
    return Link(row["seq"], hashlib.sha256(row["header"]).hexdigest()) if row else Link()


def _has(cursor: Rows, namespace: str, run_id: str) -> bool:
    cursor.execute(
        "SELECT FROM runbooks.archive_records WHERE kind = 'run' AND namespace = %s AND run_id = %s",
        (namespace, run_id),
    )
    return cursor.rowcount > 0


def _insert(cursor: Rows, record: Record, *, about: int | None) -> None:
    header = record.header
    cursor.execute(
        """
        INSERT INTO runbooks.archive_records
            (seq, kind, namespace, workflow_id, run_id, about, story, header, signature, skeleton, size)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            header.seq,
            header.kind,
            header.namespace,
            header.workflow_id,
            header.run_id,
            about,
            bytes.fromhex(header.story) or None,
            header_bytes(header),
            record.signature,
            record.skeleton,
            len(record.skeleton) + sum(len(body.data) for body in record.bodies.values()),
        ),
    )


def _store(cursor: Rows, record: Record) -> None:
    """Store the bodies, in pieces: a history may have fifty thousand, and no statement takes longer for it."""
    bodies = iter(record.bodies.items())
    while piece := list(itertools.islice(bodies, _PIECE)):
        with cursor.copy(
            "COPY runbooks.archive_bodies (seq, commitment, salt, data) FROM STDIN (FORMAT binary)"
        ) as copy:
            copy.set_types(["int8", "bytea", "bytea", "bytea"])
            for commitment, body in piece:
                copy.write_row(
                    (record.header.seq, bytes.fromhex(commitment), b64decode(body.salt), b64decode(body.data))
                )


def _index(cursor: Rows, seq: int, story: Story, *, derived: Story | None = None) -> None:
    values = {"seq": seq, **keys_of(story), "story": story_bytes(derived) if derived else None}
    columns = ", ".join(values)
    cursor.execute(
        f"INSERT INTO runbooks.archive_index ({columns}) VALUES ({', '.join(f'%({name})s' for name in values)}) "  # noqa: S608
        f"ON CONFLICT (seq) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in values)}".encode(),
        values,
    )


def _bodies(cursor: Rows, seqs: list[int]) -> dict[int, dict[str, Body]]:
    found: dict[int, dict[str, Body]] = {}
    cursor.execute("SELECT seq, commitment, salt, data FROM runbooks.archive_bodies WHERE seq = ANY(%s)", (seqs,))
    for row in cursor:
        found.setdefault(row["seq"], {})[row["commitment"].hex()] = _body(row)
    return found


def _body(row: dict[str, Any]) -> Body:
    return Body(salt=b64encode(row["salt"]).decode(), data=b64encode(row["data"]).decode())


def _record(row: dict[str, Any], bodies: dict[str, Body]) -> Record:
    try:
        header = header_from(row["header"])
    except ValueError:
        raise DamagedRecord(row["seq"], "its header can't be read") from None
    return Record(header=header, signature=row["signature"], skeleton=row["skeleton"], bodies=bodies)


def _story(row: dict[str, Any]) -> Story:
    with suppress(ValidationError):
        if row["derived"] is not None:
            return Story.model_validate_json(row["derived"])
        if row["data"] is not None and fits(row["story"].hex(), _body(row)):
            return Story.model_validate_json(row["data"])
    raise DamagedRecord(row["seq"], "its story is missing or was changed")
