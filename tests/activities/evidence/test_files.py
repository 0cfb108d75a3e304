"""An object in a folder is there whole or not at all, and for its owner alone."""

import os
import stat
from io import BytesIO
from pathlib import Path

import pytest

from activities.common.errors import Unavailable
from activities.evidence.files import FileStore
from tests.activities.evidence.evidence_fixtures import kept_as


def test_no_half_written_file_is_left(tmp_path: Path):
    class Broken(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(28, "No space left on device")

    store = FileStore(tmp_path)
    with pytest.raises(Unavailable, match="No space left"):
        store.create("incidents/a/b.txt", Broken(b"x"), kept_as(b"x"), "text/plain")
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_files_are_for_their_owner_alone(tmp_path: Path):
    FileStore(tmp_path).create("incidents/a/b.txt", BytesIO(b"x"), kept_as(b"x"), "text/plain")
    for path in (tmp_path / "incidents" / "a").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path / "incidents" / "a")) == [".b.txt.json", "b.txt"]  # noqa: PTH208


def test_a_folder_that_is_a_file(tmp_path: Path):
    (tmp_path / "incidents").write_text("")
    with pytest.raises(Unavailable):
        FileStore(tmp_path).create("incidents/a/b.txt", BytesIO(b"x"), kept_as(b"x"), "text/plain")
