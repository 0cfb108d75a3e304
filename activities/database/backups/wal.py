"""The names and the records of PostgreSQL's write-ahead log, as far as a restore has to know them."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

SEGMENT_BYTES = 16 * 1024 * 1024
_LOG_BYTES = 1 << 32
_NAME = re.compile(r"[0-9A-F]{24}")
_HISTORY = re.compile(r"([0-9A-F]{8})\.history")
_RECORD = re.compile(
    r"lsn: (?P<high>[0-9A-F]+)/(?P<low>[0-9A-F]+),.* desc: (?:COMMIT|ABORT)\S* "
    r"(?:\d+: )?(?P<at>\d{4,}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}) UTC"
)


@dataclass(frozen=True, order=True)
class Segment:
    """One file of the log."""

    timeline: int
    number: int
    size: int = SEGMENT_BYTES

    @classmethod
    def named(cls, name: str, size: int = SEGMENT_BYTES) -> Self:
        """Read a segment's name; `is_segment` says whether it is one."""
        log, within = int(name[8:16], 16), int(name[16:], 16)
        return cls(int(name[:8], 16), log * (_LOG_BYTES // size) + within, size)

    @classmethod
    def at(cls, timeline: int, lsn: int, size: int = SEGMENT_BYTES) -> Self:
        """Give the segment that a position is in."""
        return cls(timeline, lsn // size, size)

    @property
    def next(self) -> "Segment":
        """The one after it on the same timeline."""
        return Segment(self.timeline, self.number + 1, self.size)

    def __str__(self) -> str:
        log, within = divmod(self.number, _LOG_BYTES // self.size)
        return f"{self.timeline:08X}{log:08X}{within:08X}"


@dataclass(frozen=True)
class Fork:
    """Where a timeline was left for the next one."""

    timeline: int
    lsn: int


@dataclass(frozen=True)
class Ended:
    """When a transaction ended, and where in the log that stands."""

    lsn: int
    at: datetime


def is_segment(name: str) -> bool:
    """Tell whether a file's name is that of a whole segment."""
    return _NAME.fullmatch(name) is not None


def timeline_of_history(name: str) -> int | None:
    """Give the timeline that a history file begins; None where its name is another's."""
    found = _HISTORY.fullmatch(name)
    return int(found[1], 16) if found else None


def parse_lsn(text: str) -> int:
    """Read a position such as `0/3000028`."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def parse_history(text: str) -> list[Fork]:
    """Read a history file: the timelines before its own, oldest first."""
    rows = (line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    return [Fork(int(row[0]), parse_lsn(row[1])) for row in rows]


def parse_ends(waldump: str) -> list[Ended]:
    """Read what pg_waldump, in UTC, prints of commits and aborts: each of them can end a recovery by time."""
    return [
        Ended(
            (int(found["high"], 16) << 32) + int(found["low"], 16),
            datetime.fromisoformat(found["at"]).replace(tzinfo=UTC),
        )
        for found in _RECORD.finditer(waldump)
    ]
