"""A place without any settings, and something that listens."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from starters.cli import configured


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which nothing is configured, and no checkout's sandbox is found."""
    for name in [name for name in os.environ if name.startswith(("RUNBOOKS_", "TEMPORAL_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(configured, "_OURS", tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-cluster"))
    monkeypatch.chdir(tmp_path)
    # What a command finds it sets, for those that it calls; a test leaves nothing behind.
    for name in ("RUNBOOKS_CONFIG", "RUNBOOKS_GATEWAY__PRIVATE_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def listening() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"
