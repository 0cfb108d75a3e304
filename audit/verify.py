"""Verifying a bundle: offline, with public keys alone."""

import hashlib
import re
import zipfile
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

from pydantic import TypeAdapter, ValidationError

from audit.bundle import KEY, MANIFEST, README, SIGNATURE, SUMS, Manifest
from audit.chain import Keys, Verifier, header_from
from audit.records import Body, Broken, Head, Record, Verdict
from audit.signer import SigningError, public_key_from

_FIXED = {MANIFEST, SIGNATURE, SUMS, KEY, README}
_RECORD = re.compile(
    r"(?:records/(\d{8,})/(?:skeleton\.json|bodies\.json|story\.json|story\.html)"
    r"|(?:records|links)/(\d{8,})/header\.(?:json|sig))"
)
_LINE = re.compile(r"([0-9a-f]{64})  (\S+)")
_LARGEST = 256 * 1024 * 1024
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)
_BODIES = TypeAdapter(dict[str, Body])


class NoBundle(Exception):  # noqa: N818  reads as the sentence it is
    """The file is no bundle, or not one that can be read safely."""


class _Wrong(Exception):  # noqa: N818
    def __init__(self, what: str, seq: int = 0) -> None:
        super().__init__(what)
        self.seq = seq


def key_inside(path: Path) -> bytes:
    """Give the public key that a bundle brings along: it proves only that the bundle is whole, not whose it is.

    Raises:
        NoBundle: there is none.

    """
    with _open(path) as archive:
        try:
            return public_key_from(_read(archive, KEY).decode())
        except (_Wrong, SigningError, UnicodeDecodeError):
            raise NoBundle(f"{path} has no readable {KEY}: give the key with --public-key") from None


def verify(
    path: Path,
    public_keys: Iterable[bytes],
    heads: Iterable[Head] = (),
    told: Callable[[int, int], None] = lambda *_: None,
) -> Verdict:
    """Verify a bundle; `told` hears how many records of how many are done.

    Raises:
        NoBundle: it is no zip file of ours, damaged as such, or made to harm.

    """
    keys = list(public_keys)
    with _open(path) as archive:
        try:
            return _checked(archive, keys, heads, told)
        except _Wrong as wrong:
            return Verdict(records=0, broken=_named(archive, wrong))
        except _DAMAGE as error:
            raise NoBundle(f"{path} is damaged: {error}") from None


def _named(archive: zipfile.ZipFile, wrong: _Wrong) -> Broken:
    """Say whose record it is, as far as its header can be read."""
    for folder in ("records", "links"):
        with suppress(KeyError, ValueError, *_DAMAGE):
            header = header_from(archive.read(f"{folder}/{wrong.seq:08}/header.json"))
            return Broken(seq=wrong.seq, workflow_id=header.workflow_id, run_id=header.run_id, what=str(wrong))
    return Broken(seq=wrong.seq, what=str(wrong))


def _open(path: Path) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(path)
    except OSError as error:
        raise NoBundle(f"{path} can't be read: {error.strerror}") from None
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError) as error:
        raise NoBundle(f"{path} is no zip file, or damaged: {error}") from None
    try:
        _harmless(archive)
    except NoBundle:
        archive.close()
        raise
    return archive


def _harmless(archive: zipfile.ZipFile) -> None:
    names: set[str] = set()
    for info in archive.infolist():
        if info.filename in names:
            raise NoBundle(f"the file {info.filename!r} is in it twice")
        names.add(info.filename)
        if info.filename not in _FIXED and f"/{_seq(info.filename):08}/" not in info.filename:
            raise NoBundle(f"the file {info.filename!r} does not belong into a bundle")
        if info.file_size > _LARGEST:
            raise NoBundle(f"the file {info.filename!r} says it has {info.file_size} bytes, {_LARGEST} is the most")


def _checked(
    archive: zipfile.ZipFile, keys: list[bytes], heads: Iterable[Head], told: Callable[[int, int], None]
) -> Verdict:
    manifest = _manifest(archive, keys)
    sums = _sums(archive, manifest)
    seqs = sorted({seq for name in sums if (seq := _seq(name))})
    if not seqs:
        raise _Wrong("there is no record in it")
    if seqs[0] != manifest.first:
        raise _Wrong(
            f"it begins with record {seqs[0]}, and its manifest says {manifest.first}", min(seqs[0], manifest.first)
        )
    verifier = Verifier(keys, heads, begin=manifest.first)
    last = ""
    try:
        for number, seq in enumerate(seqs, start=1):
            hashed = _one(archive, seq, sums, verifier=verifier, manifest=manifest)
            if seq == manifest.last:
                last = hashed
            told(number, len(seqs))
    except _Wrong as wrong:
        # The chain may be broken earlier than the first file that is wrong by itself.
        verdict = verifier.end()
        if verdict.broken is not None and verdict.broken.seq < wrong.seq:
            return verdict
        raise
    verdict = verifier.end()
    if verdict.broken is None and last != manifest.head:
        raise _Wrong(f"its manifest says that record {manifest.last} has the hash {manifest.head[:16]}…", manifest.last)
    return verdict


def _manifest(archive: zipfile.ZipFile, keys: list[bytes]) -> Manifest:
    content = _read(archive, MANIFEST)
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError:
        raise _Wrong(f"{MANIFEST} can't be read: it was changed") from None
    objection = Keys(keys).objection(manifest.key, b64encode(_read(archive, SIGNATURE)).decode(), content)
    if objection:
        raise _Wrong(f"{MANIFEST} {objection}")
    return manifest


def _sums(archive: zipfile.ZipFile, manifest: Manifest) -> dict[str, str]:
    """Read the digests, and see that every file is there and no other."""
    content = _read(archive, SUMS)
    if hashlib.sha256(content).hexdigest() != manifest.sums:
        raise _Wrong(f"{SUMS} is not what the manifest names: it was changed")
    lines = [_LINE.fullmatch(line) for line in content.decode(errors="replace").splitlines()]
    sums = {line[2]: line[1] for line in lines if line is not None}
    there = set(archive.namelist()) - {MANIFEST, SIGNATURE, SUMS}
    for what, names in (("is missing", sums.keys() - there), ("was inserted", there - sums.keys())):
        if names:
            name = min(names)
            raise _Wrong(f"{name} {what}", _seq(name))
    for name in (KEY, README):
        _summed(archive, name, sums)
    return sums


def _one(archive: zipfile.ZipFile, seq: int, sums: dict[str, str], *, verifier: Verifier, manifest: Manifest) -> str:
    """Check one record; gives its hash."""
    folder = f"records/{seq:08}" if f"records/{seq:08}/header.json" in sums else f"links/{seq:08}"
    raw = _summed(archive, f"{folder}/header.json", sums)
    try:
        header = header_from(raw)
    except ValueError:
        raise _Wrong(f"{folder}/header.json can't be read", seq) from None
    if header.seq != seq:
        raise _Wrong(f"{folder} holds record {header.seq}", seq)
    if seq == manifest.first and header.previous != manifest.previous:
        raise _Wrong(f"record {seq} hangs on another record than its manifest says", seq)
    signature = b64encode(_summed(archive, f"{folder}/header.sig", sums)).decode()
    if folder.startswith("links/"):
        verifier.link(header, signature)
        return hashlib.sha256(raw).hexdigest()
    skeleton = _summed(archive, f"{folder}/skeleton.json", sums)
    try:
        bodies = _BODIES.validate_json(_summed(archive, f"{folder}/bodies.json", sums))
    except ValidationError:
        raise _Wrong(f"{folder}/bodies.json can't be read", seq) from None
    verifier.feed(Record(header=header, signature=signature, skeleton=skeleton, bodies=bodies))
    story = bodies.get(header.story)
    if f"{folder}/story.json" in sums:
        content = _summed(archive, f"{folder}/story.json", sums)
        if story is None or b64decode(story.data) != content:
            raise _Wrong(f"{folder}/story.json is not the story that the record commits to", seq)
    if f"{folder}/story.html" in sums:
        _summed(archive, f"{folder}/story.html", sums)
    return hashlib.sha256(raw).hexdigest()


def _summed(archive: zipfile.ZipFile, name: str, sums: dict[str, str]) -> bytes:
    content = _read(archive, name)
    if hashlib.sha256(content).hexdigest() != sums.get(name):
        raise _Wrong(f"{name} does not have the digest that {SUMS} names: it was changed", _seq(name))
    return content


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        with archive.open(name) as file:
            return _limited(file, name)
    except KeyError:
        raise _Wrong(f"{name} is missing", _seq(name)) from None
    except _DAMAGE:
        raise _Wrong(f"{name} is damaged", _seq(name)) from None


def _limited(file: IO[bytes], name: str) -> bytes:
    content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise NoBundle(f"the file {name!r} is larger than {_LARGEST} bytes")
    return content


def _seq(name: str) -> int:
    match = _RECORD.fullmatch(name)
    return int(match[1] or match[2]) if match else 0
