"""What is unusual among the accesses of a day, beside those of the weeks before (runbook 8.1 step 5).

`tensafe-admin security audit --last 24h`. A log has millions of lines and is in no order, so they are put into an
SQLite file that goes with the review, and each finding is a query with the rows that it rests upon. Nothing here says
that somebody broke in: a finding is what a person should look at, and why.
"""

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field
from temporalio import activity

from activities.accesses.access import Access, address_of, cut, is_public, place_of
from activities.common.heartbeat import pause
from activities.common.text import Name, ToldLine

Kind = Literal["guessed", "refused address", "refused name", "new place", "new address"]

MEANING: dict[Kind, str] = {
    "guessed": "refused often, and then let in from the same address",
    "refused address": "refused often, from one address",
    "refused name": "one person or key refused often, from several places",
    "new place": "a known person or key, let in from a place where it was never seen before",
    "new address": "let in from a place from which nobody came before",
}
"""Every kind of finding, the worst first."""

NEEDS_BEFORE: tuple[Kind, ...] = ("new place", "new address")
"""Those that can't be told without the weeks before."""

MOST_SUBJECTS = 50
"""Of one kind; the others are counted."""

MOST_ROWS = 200
"""Of one subject; the others are counted."""

_SEVERAL = 3
"""Places: one person has a home, a telephone and an office, and mistypes at one of them."""

_BATCH = 5000

_CREATE = """
CREATE TABLE accesses (
  at REAL NOT NULL, address TEXT NOT NULL, place TEXT NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL,
  allowed INTEGER, recent INTEGER NOT NULL)
"""
_INDEXES = (
    "CREATE INDEX by_address ON accesses (address, at) WHERE recent",
    "CREATE INDEX by_who ON accesses (who, place, at)",
    "CREATE INDEX by_place ON accesses (place) WHERE NOT recent",
)

_SUBJECTS: dict[Kind, str] = {
    "guessed": """
        WITH refused AS (
          SELECT address, at, row_number() OVER (PARTITION BY address ORDER BY at) AS nth FROM accesses
          WHERE recent AND allowed = 0)
        SELECT address AS subject, count(*) AS times FROM accesses a
        WHERE recent AND address IN (SELECT address FROM refused WHERE nth = :often) GROUP BY address
        HAVING max(CASE WHEN allowed THEN at END) > (SELECT min(at) FROM refused r
                                                     WHERE r.address = a.address AND nth = :often)""",
    "refused address": """
        SELECT address AS subject, count(*) AS times FROM accesses WHERE recent AND allowed = 0
        GROUP BY address HAVING count(*) >= :often""",
    "refused name": """
        SELECT who AS subject, count(*) AS times FROM accesses WHERE recent AND allowed = 0 AND who <> ''
        GROUP BY who HAVING count(*) >= :often AND count(DISTINCT place) >= :several""",
    "new place": """
        SELECT who AS subject, count(*) AS times FROM accesses a WHERE recent AND allowed AND who <> ''
          AND EXISTS (SELECT 1 FROM accesses b WHERE NOT b.recent AND b.who = a.who)
          AND NOT EXISTS (SELECT 1 FROM accesses b WHERE NOT b.recent AND b.who = a.who AND b.place = a.place)
        GROUP BY who""",
    "new address": """
        SELECT address AS subject, count(*) AS times FROM accesses a WHERE recent AND allowed
          AND NOT EXISTS (SELECT 1 FROM accesses b WHERE NOT b.recent AND b.place = a.place)
        GROUP BY address""",
}
_ROWS: dict[Kind, str] = {
    "guessed": "address = :subject",
    "refused address": "address = :subject AND allowed = 0",
    "refused name": "who = :subject AND allowed = 0",
    "new place": """
        who = :subject AND allowed AND NOT EXISTS (SELECT 1 FROM accesses b
                                                   WHERE NOT b.recent AND b.who = a.who AND b.place = a.place)""",
    "new address": "address = :subject AND allowed",
}


class Row(BaseModel):
    """One access that a finding rests upon."""

    at: datetime
    address: str
    who: str
    what: str
    allowed: bool | None


class Finding(BaseModel):
    """What somebody should look at."""

    kind: Kind
    subject: ToldLine = Field(description="An address, or a person's or key's name.")
    times: int = Field(description="Accesses that it rests upon.")
    first: datetime
    last: datetime
    rows: list[Row] = Field(description=f"In order, the first {MOST_ROWS} at most.")


class Window(BaseModel):
    """Of which time."""

    since: datetime = Field(description="What is before is what is known.")
    until: datetime
    known_since: datetime


class Review(BaseModel):
    """What a source showed."""

    service: Name
    source: str
    window: Window
    accesses: int = Field(description="In the window.")
    before: int = Field(description="Known from before it.")
    findings: list[Finding]
    left_out: dict[str, int] = Field(description="Kind → findings beyond those that are listed.")
    not_judged: list[str] = Field(description="Kinds of findings for which what was before is not known.")
    unreadable: list[ToldLine] = Field(description="What could not be read, such as a pod's log.")

    def suspects(self, most: int) -> list[str]:
        """Give the addresses that were refused often, as networks of one address, those that got in first."""
        named = [each.subject for each in self.findings if each.kind in {"guessed", "refused address"}]
        public = [each for each in dict.fromkeys(named) if is_public(each)]
        return [f"{each}/{128 if ':' in each else 32}" for each in public[:most]]


@dataclass(frozen=True)
class Subject:
    """Whose accesses are reviewed, and what counts as often."""

    service: str
    source: str
    window: Window
    often: int
    """Refusals that are a finding."""


def review(of: Subject, accesses: Iterable[Access], unreadable: list[str]) -> Review:
    """Judge them. `unreadable` may grow while they are read.

    Raises:
        CancelledError, Unavailable: as `pause`.

    """
    with tempfile.TemporaryDirectory() as directory, closing(sqlite3.connect(Path(directory) / "accesses")) as rows:
        rows.row_factory = sqlite3.Row
        # It goes with the review: nothing has to survive a crash.
        rows.execute("PRAGMA journal_mode = OFF")
        rows.execute("PRAGMA synchronous = OFF")
        rows.execute(_CREATE)
        for batch in _batches(_values(of.window, accesses)):
            rows.executemany("INSERT INTO accesses VALUES (?, ?, ?, ?, ?, ?, ?)", batch)
            activity.heartbeat()
            pause(0)
        for index in _INDEXES:
            rows.execute(index)
        recent, before = rows.execute("SELECT total(recent), count(*) - total(recent) FROM accesses").fetchone()
        findings: list[Finding] = []
        left_out: dict[str, int] = {}
        not_judged = [] if before else list(NEEDS_BEFORE)
        for kind in MEANING:
            if kind not in not_judged:
                found = rows.execute(
                    f"{_SUBJECTS[kind]} ORDER BY times DESC, subject", {"often": of.often, "several": _SEVERAL}
                ).fetchall()
                findings += [_finding(rows, kind, subject, times) for subject, times in found[:MOST_SUBJECTS]]
                if len(found) > MOST_SUBJECTS:
                    left_out[kind] = len(found) - MOST_SUBJECTS
            activity.heartbeat()
            pause(0)
    return Review(
        service=of.service,
        source=of.source,
        window=of.window,
        accesses=int(recent),
        before=int(before),
        findings=findings,
        left_out=left_out,
        not_judged=not_judged,
        unreadable=unreadable,
    )


_Values = tuple[float, str, str, str, str, bool | None, bool]


def _values(window: Window, accesses: Iterable[Access]) -> Iterator[_Values]:
    for each in accesses:
        if window.known_since <= each.at < window.until:
            address, place = address_of(each.address), place_of(each.address)
            recent = each.at >= window.since
            yield each.at.timestamp(), address, place, cut(each.who), cut(each.what), each.allowed, recent


def _batches(values: Iterator[_Values]) -> Iterator[list[_Values]]:
    while batch := list(islice(values, _BATCH)):
        yield batch


def _finding(rows: sqlite3.Connection, kind: Kind, subject: str, times: int) -> Finding:
    which = f"FROM accesses a WHERE recent AND {_ROWS[kind]}"
    first, last = rows.execute(f"SELECT min(at), max(at) {which}", {"subject": subject}).fetchone()
    found = rows.execute(
        f"SELECT at, address, who, what, allowed {which} ORDER BY at LIMIT :most",
        {"subject": subject, "most": MOST_ROWS},
    ).fetchall()
    return Finding(
        kind=kind,
        subject=subject,
        times=times,
        first=_moment(first),
        last=_moment(last),
        rows=[Row(**{**dict(row), "at": _moment(row["at"])}) for row in found],
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
