"""A download is taken only with its publisher's checksum."""

import hashlib
import os
from pathlib import Path

import pytest

from sandbox.toolchain.download import download, reachable
from sandbox.toolchain.errors import NotPublished
from sandbox.toolchain.modules import KUBERNETES, PROMETHEUS
from sandbox.toolchain.releases import release
from tests.sandbox.publishing import PROGRAM, publish_archive


def test_a_file_without_a_checksum_is_not_taken(releases: Path, tmp_path: Path) -> None:
    publish_archive(releases, "prometheus", PROGRAM)
    published = release("prometheus", PROMETHEUS.pinned("prometheus"))
    assert published is not None
    (releases / published.checksums.split("/", 3)[3]).write_text("nothing of it\n")
    with pytest.raises(NotPublished, match="has no line for"):
        download(published, tmp_path / "prometheus")


def test_kwoks_checksum_is_githubs_digest(releases: Path, tmp_path: Path) -> None:
    published = release("kwok", KUBERNETES.pinned("kwok"))
    assert published is not None
    file = releases / published.url.split("/", 3)[3]
    file.parent.mkdir(parents=True)
    file.write_bytes(PROGRAM)
    description = releases / published.checksums.split("/", 3)[3]
    description.parent.mkdir(parents=True)
    digest = hashlib.sha256(PROGRAM).hexdigest()
    description.write_text(f'{{"assets": [{{"name": "{published.file}", "digest": "sha256:{digest}"}}]}}')
    download(published, tmp_path / "kwok")
    assert os.access(tmp_path / "kwok", os.X_OK)


def test_an_unreachable_publisher_is_noticed() -> None:
    assert not reachable("http://127.0.0.1:1/release")
