"""A file with settings of a service's database."""

from pathlib import Path

import pytest

from tests.workers.database_files import FILE


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "runbooks.toml"
    path.write_text(FILE, encoding="utf-8")
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(path))
    return path
