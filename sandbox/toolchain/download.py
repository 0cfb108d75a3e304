"""Published programs, downloaded and kept only if their publisher's checksum fits."""

import hashlib
import shutil
import tarfile
import tempfile
import zipfile
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from sandbox.toolchain.errors import ChecksumMismatch, NotPublished
from sandbox.toolchain.progress import Bar
from sandbox.toolchain.releases import Release

_PROBE_SECONDS = 3.0
_TIMEOUT = httpx.Timeout(10.0, read=60.0)
_SHA256_LENGTH = 64


def reachable(url: str) -> bool:
    """Whether the URL's host answers at all, within three seconds: machines without a network should not hang."""
    root = urlsplit(url)._replace(path="/", query="").geturl()
    try:
        httpx.head(root, timeout=_PROBE_SECONDS)
    except httpx.HTTPError:
        return False
    return True


def download(release: Release, target: Path) -> None:
    """Put the program at `target`, executable; all of it or nothing.

    Raises:
        ChecksumMismatch: the file is not the published one.
        NotPublished: there is no such file or checksum.
        httpx.HTTPError: the publisher cannot be reached.

    """
    expected = _published_checksum(release)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="downloading-", dir=target.parent) as folder:
        file = Path(folder) / release.file
        actual = _fetch(release.url, file)
        if actual != expected:
            message = (
                f"{release.url} has SHA-256 {actual}, but its publisher says {expected}: not used. "
                "Try again; if it stays so, something between here and there changes the file."
            )
            raise ChecksumMismatch(message)
        program = file if release.member is None else _extract(file, release.member, Path(folder))
        program.chmod(0o755)
        program.rename(target)


def _published_checksum(release: Release) -> str:
    answer = httpx.get(release.checksums, timeout=_TIMEOUT, follow_redirects=True)
    if answer.is_error:
        message = f"{release.checksums}: HTTP {answer.status_code}"
        raise NotPublished(message)
    if answer.text.startswith("{"):
        assets = {asset["name"]: asset.get("digest") or "" for asset in answer.json().get("assets", ())}
        lines = [f"{digest.removeprefix('sha256:')}  {name}" for name, digest in assets.items()]
    else:
        lines = answer.text.splitlines()
    for line in lines:
        words = line.split()
        if words and len(words[0]) == _SHA256_LENGTH and (len(words) == 1 or words[1].lstrip("*") == release.file):
            return words[0].lower()
    message = f"{release.checksums} has no line for {release.file}"
    raise NotPublished(message)


def _fetch(url: str, file: Path) -> str:
    digest = hashlib.sha256()
    with httpx.stream("GET", url, timeout=_TIMEOUT, follow_redirects=True) as answer:
        if answer.status_code != HTTPStatus.OK:
            message = f"{url}: HTTP {answer.status_code}"
            raise NotPublished(message)
        size = float(answer.headers.get("content-length", 0))
        with Bar(f"downloading {file.name}", size) as bar, file.open("wb") as output:
            for chunk in answer.iter_bytes(1 << 20):
                digest.update(chunk)
                output.write(chunk)
                bar.advance(len(chunk))
    return digest.hexdigest()


def _extract(archive: Path, member: str, folder: Path) -> Path:
    program = folder / "program"
    try:
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as zipped, zipped.open(member) as zipped_source, program.open("wb") as output:
                shutil.copyfileobj(zipped_source, output)
        else:
            with tarfile.open(archive) as tarred, program.open("wb") as output:
                source = tarred.extractfile(member)
                assert source is not None  # releases hold programs as plain files
                shutil.copyfileobj(source, output)
    except KeyError:
        message = f"{archive.name} has no {member}"
        raise NotPublished(message) from None
    return program
