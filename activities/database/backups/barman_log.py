"""The log that Barman has archived: on which timeline a time lies, and whether a backup leads there without a gap."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from activities.common.errors import Unavailable
from activities.database.backups import wal
from activities.database.backups.barman_archive import Archive, ArchiveByBarman, ArchiveOnDisk, WalDump
from activities.database.backups.barman_program import BarmanProgram
from activities.database.backups.system import Beat, Reach
from activities.database.backups.wal import Ended, Fork, Segment


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
            raise Unavailable(f"Barman doesn't say where backup {backup_id} begins and ends: is it through?") from None


@dataclass(frozen=True)
class _Branch:
    """The timelines from a backup's own to the last of them; `forks` are where all but the last were left."""

    forks: tuple[Fork, ...]
    timeline: int
    size: int

    @property
    def passages(self) -> list[tuple[Fork, int]]:
        """Each fork with the timeline that follows it."""
        after = [fork.timeline for fork in self.forks[1:]] + [self.timeline]
        return list(zip(self.forks, after, strict=True))

    @property
    def began(self) -> Segment:
        """The last timeline's first segment, which repeats what was before the fork in it."""
        return Segment.at(self.timeline, self.forks[-1].lsn, self.size)


class BarmanLog:
    """Knows timelines and times. Reads the archive as files where it is on this machine."""

    def __init__(self, barman: BarmanProgram, waldump: Sequence[str]) -> None:
        self._waldump = WalDump(waldump)
        self._by_barman = ArchiveByBarman(barman, self._waldump)
        self._barman = barman
        self._found: Archive | None = None

    def forked(self, backup_id: str, beat: Beat) -> bool:
        """Tell whether the log has any timeline that came of another."""
        return bool(self._archive(backup_id, beat).timelines(backup_id, beat))

    def timeline(self, backup: BackupInLog, target: datetime, beat: Beat) -> int:
        """Tell on which timeline the database was at a time, among those that the backup leads to.

        A restore to a time before an earlier restore means the data that were then, not those that came of it.
        """
        branch = self._branch(backup, target, beat)
        return branch.timeline if branch else backup.began.timeline

    def reach(self, backup: BackupInLog, target: datetime, beat: Beat) -> Reach:
        """Look whether the log is there from the backup's start to the end of a transaction after the target.

        Reads as few segments as it can, from the log's end backwards.
        """
        if target < backup.ended_at:
            detail = f"{target:%F %T.%f %Z} is before backup {backup.backup_id} ended ({backup.ended_at:%F %T.%f %Z})"
            return Reach(reaches=False, latest=None, detail=f"{detail}: take an earlier backup, or a later time")
        archive = self._archive(backup.backup_id, beat)
        branch = self._branch(backup, target, beat)
        first = backup.began
        for fork, following in branch.passages if branch else ():
            end = Segment.at(fork.timeline, fork.lsn, first.size)
            there = archive.following(first, beat)
            after = there[-1].next if there else first
            if after.number < end.number:
                return _gap(after, backup)
            first = Segment(following, end.number, end.size)
        there = archive.following(first, beat)
        if not there:
            return _gap(first, backup)
        last = self._last(archive, there, beat)
        latest = last.at if last else None
        if latest is not None and latest > target:
            detail = f"the log is complete from backup {backup.backup_id} to {latest:%F %T.%f %Z}"
            return Reach(reaches=True, latest=latest, detail=detail)
        later = archive.last(backup.backup_id, first.timeline, beat)
        if later is not None and str(later) > str(there[-1]):
            return _gap(there[-1].next, backup, latest)
        ends = f"ends at {latest:%F %T.%f %Z}" if latest else "has no transaction after the backup"
        detail = f"the archived log {ends}: it doesn't reach {target:%F %T.%f %Z}"
        return Reach(reaches=False, latest=latest, detail=detail)

    def archived(self, segment: str, beat: Beat) -> bool:
        """Tell whether a segment is in the archive."""
        return bool((self._found or self._by_barman).following(Segment.named(segment), beat))

    def _archive(self, backup_id: str, beat: Beat) -> Archive:
        if self._found is None:
            self._found = self._by_barman
            segments = (path for path in self._by_barman.paths(backup_id, beat) if wal.is_segment(path.name))
            path = next(segments, None)
            if path is not None and os.access(path, os.R_OK):
                self._found = ArchiveOnDisk(Path(path).parent.parent, self._waldump, self._by_barman)
        return self._found

    def _branch(self, backup: BackupInLog, target: datetime, beat: Beat) -> _Branch | None:
        """Find the newest timeline that comes of the backup's and had begun by then; None where it is its own."""
        archive = self._archive(backup.backup_id, beat)
        own = backup.began.timeline
        for timeline in sorted(archive.timelines(backup.backup_id, beat), reverse=True):
            if timeline <= own:
                break
            forks = wal.parse_history(archive.history(timeline, beat))
            since = [fork for fork in forks if fork.timeline >= own]
            if not since or since[0].timeline != own or since[0].lsn < backup.end_lsn:
                continue
            branch = _Branch(tuple(since), timeline, backup.began.size)
            first = self._first(archive, branch, beat)
            if first is not None and first.at <= target:
                return branch
        return None

    @staticmethod
    def _first(archive: Archive, branch: _Branch, beat: Beat) -> Ended | None:
        """Find the first transaction on a timeline: when it began, as far as anybody wrote."""
        for segment in archive.following(branch.began, beat):
            for end in archive.ends(segment, beat):
                if end.lsn >= branch.forks[-1].lsn:
                    return end
        return None

    @staticmethod
    def _last(archive: Archive, segments: list[Segment], beat: Beat) -> Ended | None:
        for segment in reversed(segments):
            ends = archive.ends(segment, beat)
            if ends:
                return max(ends, key=lambda end: end.at)
        return None


def _gap(missing: Segment, backup: BackupInLog, latest: datetime | None = None) -> Reach:
    detail = f"the archived log from backup {backup.backup_id} has a gap: {missing} is missing"
    return Reach(reaches=False, latest=latest, detail=detail)


def _segment_size(name: str, lsn: int, offset: int) -> int:
    within = int(name[16:], 16)
    return ((lsn & 0xFFFFFFFF) - offset) // within if within else wal.SEGMENT_BYTES
