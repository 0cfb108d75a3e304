"""The log that Barman has archived: on which timeline a time lies, and whether a backup leads there without a gap."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from activities.backends import wal
from activities.backends.barman_program import BarmanProgram
from activities.backends.wal import Ended, Fork, Segment
from activities.backup import Reach
from activities.backup_system import Beat
from activities.errors import Unavailable

_EVERYTHING = "1000000000"


@dataclass(frozen=True)
class BackupInLog:
    """Where a backup's log begins, and from where on its data is consistent."""

    backup_id: str
    began: Segment
    end_lsn: int
    ended_at: datetime

    @classmethod
    def of(cls, backup_id: str, shown: dict[str, Any]) -> "BackupInLog":
        """Read `barman show-backup`.

        Raises:
            Unavailable: it isn't through yet, or Barman answered something else.

        """
        base = shown.get("base_backup_information") or {}
        try:
            name, begin = base["begin_wal"], wal.parse_lsn(base["begin_lsn"])
            return cls(
                backup_id,
                Segment.named(name, _segment_size(name, begin, base["begin_offset"])),
                wal.parse_lsn(base["end_lsn"]),
                datetime.fromisoformat(base["end_time"]),
            )
        except (KeyError, TypeError, ValueError):
            message = f"Barman doesn't say where backup {backup_id} begins and ends: is it through?"
            raise Unavailable(message) from None


@dataclass(frozen=True)
class _Branch:
    """The timelines from a backup's own to the last of them; `forks` are where all but the last were left."""

    forks: tuple[Fork, ...]
    timeline: int
    size: int

    @property
    def began(self) -> Segment:
        """The last timeline's first segment, which repeats what was before the fork in it."""
        return Segment.at(self.timeline, self.forks[-1].lsn, self.size)


class BarmanLog:
    """Reads the archive through Barman's commands, and transactions' times with pg_waldump."""

    def __init__(self, barman: BarmanProgram) -> None:
        self._barman = barman

    def timeline(self, backup: BackupInLog, target: datetime, beat: Beat) -> int:
        """Tell on which timeline the database was at a time, among those that the backup leads to.

        A restore to a time before an earlier restore means the data that were then, not those that came of it.
        """
        branch = self._branch(backup, target, self._names(backup.backup_id, beat), beat)
        return branch.timeline if branch else backup.began.timeline

    def reach(self, backup: BackupInLog, target: datetime, beat: Beat) -> Reach:
        """Look whether the log is there from the backup's start to the end of a transaction after the target.

        Reads as few segments as it can, from the log's end backwards.
        """
        if target < backup.ended_at:
            detail = f"{target:%F %T.%f %Z} is before backup {backup.backup_id} ended ({backup.ended_at:%F %T.%f %Z})"
            return Reach(reaches=False, latest=None, detail=f"{detail}: take an earlier backup, or a later time")
        names = self._names(backup.backup_id, beat)
        branch = self._branch(backup, target, names, beat)
        first = backup.began
        for fork in branch.forks if branch else ():
            end = Segment.at(fork.timeline, fork.lsn, first.size)
            missing = self._missing(Segment(fork.timeline, first.number, first.size), end, beat)
            if missing is not None:
                return _gap(missing, backup)
            first = Segment(end.timeline, end.number, end.size)
        timeline = branch.timeline if branch else backup.began.timeline
        there = self._following(Segment(timeline, first.number, first.size), beat)
        if not there:
            return _gap(Segment(timeline, first.number, first.size), backup)
        last = self._last(there, beat)
        latest = last.at if last else None
        if latest is not None and latest > target:
            detail = f"the log is complete from backup {backup.backup_id} to {latest:%F %T.%f %Z}"
            return Reach(reaches=True, latest=latest, detail=detail)
        later = max((s for s in self._later(names, beat) if s.timeline == timeline), default=None)
        if later is not None and later.number > there[-1].number:
            return _gap(there[-1].next, backup, latest)
        ends = f"ends at {latest:%F %T.%f %Z}" if latest else "has no transaction after the backup"
        detail = f"the archived log {ends}: it doesn't reach {target:%F %T.%f %Z}"
        return Reach(reaches=False, latest=latest, detail=detail)

    def archived(self, segment: str, beat: Beat) -> bool:
        """Tell whether a segment is in the archive."""
        done = self._barman.tried("get-wal", segment, options=("--peek", "1"), beat=beat)
        return done.code == 0 and done.out.split() == [segment]

    def _names(self, backup_id: str, beat: Beat) -> list[str]:
        """List the log files from a backup to the next one on its timeline, and all history files."""
        listed = self._barman.text("list-files", backup_id, options=("--target", "wal"), beat=beat)
        return [PurePosixPath(line).name for line in listed.split()]

    def _later(self, names: list[str], beat: Beat) -> Iterator[Segment]:
        for name in [*names, *self._names("latest", beat)]:
            if wal.is_segment(name):
                yield Segment.named(name)

    def _branch(self, backup: BackupInLog, target: datetime, names: list[str], beat: Beat) -> _Branch | None:
        """Find the newest timeline that comes of the backup's and had begun by then; None where it is its own."""
        newer = sorted({timeline for name in names if (timeline := wal.timeline_of_history(name))}, reverse=True)
        for timeline in newer:
            if timeline <= backup.began.timeline:
                break
            forks = wal.parse_history(self._barman.log_file(f"{timeline:08X}.history", beat))
            before = [fork for fork in forks if fork.timeline >= backup.began.timeline]
            if not before or before[0].timeline != backup.began.timeline or before[0].lsn < backup.end_lsn:
                continue
            branch = _Branch(tuple(before), timeline, backup.began.size)
            first = self._first(branch, beat)
            if first is not None and first.at <= target:
                return branch
        return None

    def _first(self, branch: _Branch, beat: Beat) -> Ended | None:
        """Find the first transaction on a timeline: when it began, as far as anybody wrote."""
        for segment in self._following(branch.began, beat):
            for end in self._ends(segment, beat):
                if end.lsn >= branch.forks[-1].lsn:
                    return end
        return None

    def _last(self, segments: list[Segment], beat: Beat) -> Ended | None:
        for segment in reversed(segments):
            ends = self._ends(segment, beat)
            if ends:
                return max(ends, key=lambda end: end.at)
        return None

    def _ends(self, segment: Segment, beat: Beat) -> list[Ended]:
        return wal.parse_ends(self._barman.ends(str(segment), beat) or "")

    def _missing(self, first: Segment, end: Segment, beat: Beat) -> Segment | None:
        """Give the first segment that isn't there, of those before `end`."""
        if first.number >= end.number:
            return None
        there = self._following(first, beat)
        after = there[-1].next if there else first
        return after if after.number < end.number else None

    def _following(self, first: Segment, beat: Beat) -> list[Segment]:
        """List what is archived without a gap from a segment on."""
        listed = self._barman.text("get-wal", str(first), options=("--peek", _EVERYTHING), beat=beat)
        segments: list[Segment] = []
        expected = first
        for name in listed.split():
            # Barman doesn't know the segments' size here, and so takes some gaps for the end of a group.
            if name != str(expected):
                break
            segments.append(expected)
            expected = expected.next
        return segments


def _gap(missing: Segment, backup: BackupInLog, latest: datetime | None = None) -> Reach:
    detail = f"the archived log from backup {backup.backup_id} has a gap: {missing} is missing"
    return Reach(reaches=False, latest=latest, detail=detail)


def _segment_size(name: str, lsn: int, offset: int) -> int:
    within = int(name[16:], 16)
    return ((lsn & 0xFFFFFFFF) - offset) // within if within else wal.SEGMENT_BYTES
