"""A program as its publisher has it."""

import hashlib
import io
import tarfile
from pathlib import Path

from sandbox.toolchain import modules
from sandbox.toolchain.releases import release

PROGRAM = b"#!/bin/sh\necho 'alertmanager, version 0.31.1 (from a release)'\n"


def publish_archive(folder: Path, program: str, content: bytes, *, checksum: str | None = None) -> None:
    published = release(program, modules.module_of(program).pinned(program))
    assert published is not None
    assert published.member is not None
    path = folder / published.url.split("/", 3)[3]
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo(published.member)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    digest = checksum or hashlib.sha256(path.read_bytes()).hexdigest()
    checksums = folder / published.checksums.split("/", 3)[3]
    checksums.write_text(f"{'0' * 64}  something-else.tar.gz\n{digest}  {path.name}\n")
