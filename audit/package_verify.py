"""Verifying a compliance package: offline, with public keys alone, a piece of a file at a time."""

import hashlib
import re
import zipfile
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import BaseModel, ValidationError

from audit.chain import Keys
from audit.package import KEY, MANIFEST, PIECE, SIGNATURE, SUMS, PackageManifest, strange_bytes
from audit.signer import SigningError, public_key_from

_LINE = re.compile(r"([0-9a-f]{64})  (\S+)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)?")
_SMALL = 1 << 20
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError, KeyError)


class PackageVerdict(BaseModel):
    """What was found; `broken` says what is wrong first, and is empty where nothing is."""

    broken: str = ""
    manifest: PackageManifest | None = None


class _Wrong(Exception):  # noqa: N818
    pass


def key_inside(path: Path) -> bytes | None:
    """Give the public key that a package brings along, None where it can't be read; it proves not whose it is."""
    try:
        with zipfile.ZipFile(path) as archive:
            return public_key_from(_small(archive, KEY).decode())
    except (*_DAMAGE, _Wrong, SigningError):
        return None


def verify(
    path: Path, public_keys: Iterable[bytes], told: Callable[[int, int], None] = lambda *_: None
) -> PackageVerdict:
    """Verify a package; `told` hears how many bytes of how many are read. Every byte of the file counts."""
    keys = list(public_keys)
    try:
        with zipfile.ZipFile(path) as archive:
            return PackageVerdict(manifest=_checked(path, archive, keys, told))
    except _Wrong as wrong:
        return PackageVerdict(broken=str(wrong))
    except _DAMAGE as error:
        return PackageVerdict(broken=f"the zip file itself is damaged: {error}")


def _checked(
    path: Path, archive: zipfile.ZipFile, keys: list[bytes], told: Callable[[int, int], None]
) -> PackageManifest:
    names = [info.filename for info in archive.infolist()]
    for name in names:
        if not _NAME.fullmatch(name) or names.count(name) > 1:
            raise _Wrong(f"the file {name!r} does not belong into a package, or is in it twice")
    for strange in strange_bytes(path, archive):
        raise _Wrong(f"{strange}: it was changed")
    content = _small(archive, MANIFEST)
    objection = Keys(keys).objection(_key_of(content), b64encode(_small(archive, SIGNATURE)).decode(), content)
    if objection:
        raise _Wrong(f"{MANIFEST} {objection}")
    manifest = PackageManifest.model_validate_json(content)
    sums = _sums(archive, manifest)
    total = sum(info.file_size for info in archive.infolist())
    done = 0
    for name, wanted in sums.items():
        done = _compare(archive, name, wanted, done, lambda bytes_: told(bytes_, total))
    return manifest


def _key_of(content: bytes) -> str:
    try:
        return PackageManifest.model_validate_json(content).key
    except ValidationError:
        raise _Wrong(f"{MANIFEST} can't be read: it was changed") from None


def _sums(archive: zipfile.ZipFile, manifest: PackageManifest) -> dict[str, str]:
    """Read the digests, and see that every file is there and no other."""
    content = _small(archive, SUMS)
    if hashlib.sha256(content).hexdigest() != manifest.sums:
        raise _Wrong(f"{SUMS} is not what the manifest names: it was changed")
    lines = [_LINE.fullmatch(line) for line in content.decode().splitlines()]
    sums = {line[2]: line[1] for line in lines if line is not None}
    there = set(archive.namelist()) - {MANIFEST, SIGNATURE, SUMS}
    for what, names in (("is missing", sums.keys() - there), ("was inserted", there - sums.keys())):
        if names:
            raise _Wrong(f"{min(names)} {what}")
    return sums


def _compare(archive: zipfile.ZipFile, name: str, wanted: str, done: int, told: Callable[[int], None]) -> int:
    digest = hashlib.sha256()
    try:
        with archive.open(name) as file:
            while piece := file.read(PIECE):
                digest.update(piece)
                done += len(piece)
                told(done)
    except _DAMAGE:
        raise _Wrong(f"{name} is damaged: it was changed") from None
    if digest.hexdigest() != wanted:
        raise _Wrong(f"{name} does not have the digest that {SUMS} names: it was changed")
    return done


def _small(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        with archive.open(name) as file:
            content = file.read(_SMALL + 1)
    except KeyError:
        raise _Wrong(f"{name} is missing") from None
    except _DAMAGE:
        raise _Wrong(f"{name} is damaged: it was changed") from None
    if len(content) > _SMALL:
        raise _Wrong(f"{name} is larger than any of ours")
    return content
