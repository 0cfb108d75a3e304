"""Published programs, downloaded and kept only if their publisher's checksum fits."""

import hashlib
import http.client
import json
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from sandbox.toolchain.errors import ChecksumMismatch, NotPublished, NotReached
from sandbox.toolchain.progress import Bar
from sandbox.toolchain.releases import Release

_PROBE_SECONDS = 3.0
_TIMEOUT_SECONDS = 60.0
_CHUNK = 1 << 20
_SHA256_LENGTH = 64


def reachable(url: str) -> bool:
    """Whether the URL's host answers at all, within three seconds: machines without a network should not hang."""
    root = urlsplit(url)._replace(path="/", query="").geturl()
    try:
        urllib.request.urlopen(urllib.request.Request(root, method="HEAD"), timeout=_PROBE_SECONDS).close()  # noqa: S310 - the settings' own
    except urllib.error.HTTPError:
        return True  # an answer, if not a kind one
    except (OSError, http.client.HTTPException):
        return False
    return True


def download(release: Release, target: Path) -> None:
    """Put the program at `target`, executable; all of it or nothing.

    Raises:
        ChecksumMismatch: the file is not the published one.
        NotPublished: there is no such file or checksum.
        NotReached: the publisher cannot be reached, or breaks off.

    """
    expected = _published_checksum(release)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="downloading-", dir=target.parent) as folder:
        file = Path(folder) / release.file
        actual = fetch(release.url, file)
        if actual != expected:
            raise ChecksumMismatch(
                f"{release.url} has SHA-256 {actual}, but its publisher says {expected}: not used. "
                "Try again; if it stays so, something between here and there changes the file."
            )
        program = file if release.member is None else _extract(file, release.member, Path(folder))
        program.chmod(0o755)
        program.rename(target)


def read(url: str, timeout: float = _TIMEOUT_SECONDS) -> bytes:
    """Give what is published there.

    Raises:
        NotPublished: there is nothing.
        NotReached: the publisher cannot be reached, or breaks off.

    """
    try:
        with closing(_open(url, timeout)) as answer:
            return answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise NotReached(f"{url}: {error}") from error


def _published_checksum(release: Release) -> str:
    text = read(release.checksums).decode("utf-8", errors="replace")
    if text.startswith("{"):
        assets = {asset["name"]: asset.get("digest") or "" for asset in json.loads(text).get("assets", ())}
        lines = [f"{digest.removeprefix('sha256:')}  {name}" for name, digest in assets.items()]
    else:
        lines = text.splitlines()
    for line in lines:
        words = line.split()
        if words and len(words[0]) == _SHA256_LENGTH and (len(words) == 1 or words[1].lstrip("*") == release.file):
            return words[0].lower()
    raise NotPublished(f"{release.checksums} has no line for {release.file}")


def fetch(url: str, file: Path) -> str:
    """Put what is published there into a file; gives its SHA-256.

    Raises:
        NotPublished: there is nothing.
        NotReached: the publisher cannot be reached, or breaks off.

    """
    digest = hashlib.sha256()
    try:
        with closing(_open(url, _TIMEOUT_SECONDS)) as answer, file.open("wb") as output:
            size = int(answer.headers.get("content-length") or 0)
            with Bar(f"downloading {file.name}", size) as bar:
                while chunk := answer.read(_CHUNK):
                    digest.update(chunk)
                    output.write(chunk)
                    bar.advance(len(chunk))
            output.flush()
            if file.stat().st_size < size:
                raise NotReached(f"{url} broke off")
    except (OSError, http.client.HTTPException) as error:
        raise NotReached(f"{url}: {error}") from error
    return digest.hexdigest()


def _open(url: str, timeout: float) -> http.client.HTTPResponse:
    try:
        answer: http.client.HTTPResponse = urllib.request.urlopen(url, timeout=timeout)  # noqa: S310 - the settings' own
    except urllib.error.HTTPError as error:
        raise NotPublished(f"{url}: HTTP {error.code}") from error
    return answer


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
        raise NotPublished(f"{archive.name} has no {member}") from None
    return program
