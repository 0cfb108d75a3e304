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


def test_what_is_known_of_an_object_is_not_listed_as_one(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    assert store.keys("incidents/a/") == []
    store.create("incidents/a/b.txt", BytesIO(b"x"), kept_as(b"x"), "text/plain")
    assert store.keys("incidents/a/") == ["incidents/a/b.txt"]


def test_a_changed_object_is_found_as_it_is_now(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.create("incidents/a/b.txt", BytesIO(b"x"), kept_as(b"x"), "text/plain")
    (tmp_path / "incidents/a/b.txt").write_bytes(b"changed")
    found = store.find("incidents/a/b.txt")
    assert found is not None
    assert (found.size, found.sha256, found.effect) == (7, kept_as(b"changed").sha256, "e")


def test_what_cannot_be_read_is_a_fault_of_the_folder(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="the evidence folder: No such file"):
        FileStore(tmp_path).read("incidents/a/b.txt")
