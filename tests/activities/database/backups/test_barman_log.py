"""Where a backup begins and ends is read from what Barman shows of it, or refused."""

from typing import Any

import pytest

from activities.common.errors import Unavailable
from activities.database.backups.barman_log import BackupInLog

SHOWN = {
    "begin_wal": "000000020000000100000003",
    "begin_lsn": "1/3000028",
    "begin_offset": 0x28,
    "end_lsn": "1/3000100",
    "end_time": "2026-01-02T03:04:05+00:00",
}
MEBIBYTE = 1024 * 1024


@pytest.mark.parametrize(
    ("name", "lsn", "size"),
    [
        ("000000020000000100000003", "1/3000028", 16 * MEBIBYTE),
        ("000000020000000100000003", "1/C000028", 64 * MEBIBYTE),
        ("000000020000000100000000", "1/28", 16 * MEBIBYTE),
    ],
)
def test_the_size_of_segments_follows_from_where_the_backup_begins(name: str, lsn: str, size: int) -> None:
    backup = BackupInLog.of("b", {"base_backup_information": SHOWN | {"begin_wal": name, "begin_lsn": lsn}})
    assert (str(backup.began), backup.began.size) == (name, size)


@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"base_backup_information": None},
        {"base_backup_information": {key: SHOWN[key] for key in SHOWN if key != "end_time"}},
        {"base_backup_information": SHOWN | {"end_time": None}},
        {"base_backup_information": SHOWN | {"end_lsn": "?"}},
    ],
    ids=["nothing", "null", "not_through", "no_end", "no_position"],
)
def test_a_backup_that_is_not_through_is_refused(shown: dict[str, Any]) -> None:
    with pytest.raises(Unavailable, match="is it through"):
        BackupInLog.of("b", shown)
