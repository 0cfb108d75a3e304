"""The files of the log that Barman has archived: read where they lie, or got by its commands where it is elsewhere."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

from activities.common.errors import NotFound
from activities.database.backups import wal
from activities.database.backups.barman_program import BarmanProgram, failure, run_program
from activities.database.backups.system import Beat
from activities.database.backups.wal import Ended, Segment

_EVERYTHING = "1000000000"


class Archive(Protocol):
    """What is asked of the archive."""

    def timelines(self, backup_id: str, beat: Beat) -> set[int]:
        """Give the timelines that came of others."""

    def history(self, timeline: int, beat: Beat) -> str:
        """Give a timeline's history file."""

    def following(self, first: Segment, beat: Beat) -> list[Segment]:
        """List what is there without a gap from a segment on."""

    def last(self, backup_id: str, timeline: int, beat: Beat) -> Segment | None:
        """Give a timeline's last segment, after whatever gap."""

    def ends(self, segment: Segment, beat: Beat) -> list[Ended]:
        """Read when a segment's transactions ended; none where it isn't there."""


class WalDump:
    """The `pg_waldump` program, on this machine."""

    def __init__(self, program: Sequence[str]) -> None:
        self._program = program

    def ends(self, file: Path, beat: Beat) -> list[Ended]:
        """Read the commits and aborts in a segment's file."""
        command = [*self._program, "--rmgr=Transaction", str(file)]
        done = run_program(command, beat, f"reading {file.name}", environment={**os.environ, "TZ": "UTC"})
        # It fails at the end of every segment that was closed early, and on one that is full of a single record.
        return wal.parse_ends(done.out)


class ArchiveOnDisk:
    """The archive's folder itself."""

    def __init__(self, root: Path, waldump: WalDump, elsewise: "ArchiveByBarman") -> None:
        self._root = root
        self._waldump = waldump
        self._elsewise = elsewise

    def timelines(self, backup_id: str, beat: Beat) -> set[int]:
        """Give the timelines that came of others."""
        del backup_id, beat
        return {found for file in self._root.iterdir() if (found := wal.timeline_of_history(file.name))}

    def history(self, timeline: int, beat: Beat) -> str:
        """Give a timeline's history file."""
        try:
            return (self._root / f"{timeline:08X}.history").read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):  # compressed, most likely
            return self._elsewise.history(timeline, beat)

    def following(self, first: Segment, beat: Beat) -> list[Segment]:
        """List what is there without a gap from a segment on."""
        del beat
        segments: list[Segment] = []
        while self._file(first).exists():
            segments.append(first)
            first = first.next
        return segments

    def last(self, backup_id: str, timeline: int, beat: Beat) -> Segment | None:
        """Give a timeline's last segment, after whatever gap."""
        del backup_id, beat
        names = (file.name for file in self._root.glob(f"{timeline:08X}*/*") if wal.is_segment(file.name))
        name = max(names, default=None)
        return Segment.named(name) if name else None

    def ends(self, segment: Segment, beat: Beat) -> list[Ended]:
        """Read when a segment's transactions ended."""
        file = self._file(segment)
        try:
            whole = file.stat().st_size == segment.size
        except OSError:
            return []
        return self._waldump.ends(file, beat) if whole else self._elsewise.ends(segment, beat)

    def _file(self, segment: Segment) -> Path:
        name = str(segment)
        return self._root / name[:16] / name


class ArchiveByBarman:
    """The archive by Barman's commands, which need half a second each."""

    def __init__(self, barman: BarmanProgram, waldump: WalDump) -> None:
        self._barman = barman
        self._waldump = waldump

    def paths(self, backup_id: str, beat: Beat) -> list[PurePosixPath]:
        """List the log's files from a backup to the next one on its timeline, and all history files."""
        listed = self._barman.text("list-files", backup_id, options=("--target", "wal"), beat=beat)
        return [PurePosixPath(line) for line in listed.split()]

    def timelines(self, backup_id: str, beat: Beat) -> set[int]:
        """Give the timelines that came of others."""
        return {found for path in self.paths(backup_id, beat) if (found := wal.timeline_of_history(path.name))}

    def history(self, timeline: int, beat: Beat) -> str:
        """Give a timeline's history file.

        Raises:
            NotFound: it isn't archived.

        """
        name = f"{timeline:08X}.history"
        done = self._barman.tried("get-wal", name, beat=beat)
        if done.code and "not found" in done.err:
            raise NotFound(f"{name} is not in Barman's archive")
        if done.code:
            raise failure("get-wal", done)
        return done.out

    def following(self, first: Segment, beat: Beat) -> list[Segment]:
        """List what is there without a gap from a segment on."""
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

    def last(self, backup_id: str, timeline: int, beat: Beat) -> Segment | None:
        """Give the last segment of a timeline that is listed with a backup of it."""
        names = [path.name for one in (backup_id, "latest") for path in self.paths(one, beat)]
        segments = (Segment.named(name) for name in names if wal.is_segment(name))
        return max((segment for segment in segments if segment.timeline == timeline), default=None)

    def ends(self, segment: Segment, beat: Beat) -> list[Ended]:
        """Get a segment, and read when its transactions ended."""
        with tempfile.TemporaryDirectory(prefix="runbooks-wal-") as folder:
            file = Path(folder) / str(segment)
            return self._waldump.ends(file, beat) if self._barman.segment(file.name, file, beat) else []
