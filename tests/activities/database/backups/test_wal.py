"""Names, positions and records of the write-ahead log are read as PostgreSQL writes them."""

from datetime import UTC, datetime

import pytest

from activities.database.backups import wal
from activities.database.backups.wal import Ended, Fork, Segment

MEBIBYTE = 1024 * 1024


@pytest.mark.parametrize(
    ("name", "size", "following"),
    [
        ("000000010000000000000003", 16 * MEBIBYTE, "000000010000000000000004"),
        ("0000000200000000000000FF", 16 * MEBIBYTE, "000000020000000100000000"),
        ("000000010000000A0000003F", 64 * MEBIBYTE, "000000010000000B00000000"),
        ("000000010000000000000FFF", MEBIBYTE, "000000010000000100000000"),
    ],
)
def test_the_next_segment_begins_a_new_log_where_one_is_full(name: str, size: int, following: str) -> None:
    segment = Segment.named(name, size)
    assert (str(segment), str(segment.next)) == (name, following)


@pytest.mark.parametrize(
    ("lsn", "name"),
    [
        ("0/3000028", "000000070000000000000003"),
        ("0/3FFFFFF", "000000070000000000000003"),
        ("0/4000000", "000000070000000000000004"),
        ("1A/FF000000", "000000070000001A000000FF"),
    ],
)
def test_a_position_is_in_the_segment_that_begins_at_or_before_it(lsn: str, name: str) -> None:
    assert str(Segment.at(7, wal.parse_lsn(lsn))) == name


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("000000010000000000000003", True),
        ("00000001000000000000000a", False),
        ("000000010000000000000003.partial", False),
        ("000000010000000000000003.00000028.backup", False),
        ("00000002.history", False),
    ],
)
def test_only_a_whole_segment_is_one(name: str, *, whole: bool) -> None:
    assert wal.is_segment(name) is whole


@pytest.mark.parametrize(
    ("name", "timeline"),
    [("0000001A.history", 26), ("000000010000000000000003", None), ("0000001A.history.gz", None)],
)
def test_a_history_file_says_which_timeline_it_begins(name: str, timeline: int | None) -> None:
    assert wal.timeline_of_history(name) == timeline


def test_a_history_gives_the_forks_and_passes_over_notes_and_empty_lines() -> None:
    text = "# by hand\n\n1\t0/3000028\tno recovery target specified\n  # more\n2\tA/5000000\tbefore 2026-01-01\n"
    assert wal.parse_history(text) == [Fork(1, 0x3000028), Fork(2, (0xA << 32) + 0x5000000)]


def test_commits_and_aborts_end_transactions_also_prepared_ones() -> None:
    head = "rmgr: Transaction len (rec/tot): 34/ 34, tx: 9, lsn: "
    waldump = (
        f"{head}0/03000028, prev 0/03000000, desc: COMMIT 2026-01-02 03:04:05.000006 UTC\n"
        "rmgr: Heap len (rec/tot): 54/ 54, tx: 9, lsn: 0/03000050, prev 0/03000028, desc: INSERT off 1\n"
        f"{head}1/03000060, prev 0/03000050, desc: ABORT 2026-01-02 03:04:06.000000 UTC; subxacts: 8\n"
        f"{head}1/03000090, prev 1/03000060, desc: COMMIT_PREPARED 731: 2026-01-02 03:04:07.000000 UTC\n"
    )
    assert wal.parse_ends(waldump) == [
        Ended(0x3000028, datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)),
        Ended((1 << 32) + 0x3000060, datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)),
        Ended((1 << 32) + 0x3000090, datetime(2026, 1, 2, 3, 4, 7, tzinfo=UTC)),
    ]
