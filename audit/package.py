"""Evidence of a period as one file: a zip whose every byte is accounted for, streamed (runbook 8.3).

manifest.json    canonical JSON: of which framework and period, and the digest of SHA256SUMS
manifest.sig     64 bytes: Ed25519 over manifest.json
SHA256SUMS       digest of every other file, as `sha256sum -c` reads it
public-key.pem   the key that signed; compare it with the one you were given another way
README.txt       how to verify it, and to draw the samples again, without us
and the exhibits: reports, exports, populations

The same exhibits and key make the same bytes: no time of making is in it, and Ed25519 signs alike each time. Nothing is
held in memory but a piece of the file that is being written.
"""

import hashlib
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from importlib import resources
from pathlib import Path
from typing import IO, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import BaseModel, ConfigDict

from audit.signatures import canonical
from audit.signer import Signer

MANIFEST, SIGNATURE, SUMS, KEY, README = "manifest.json", "manifest.sig", "SHA256SUMS", "public-key.pem", "README.txt"
FIXED = {MANIFEST, SIGNATURE, SUMS, KEY, README}
MARK = "oscal-assessment-results.json"
"""Every package has it and no bundle of the chain: by it they are told apart, whatever else is damaged."""

PIECE = 1 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)
_PERMISSIONS = 0o644 << 16
_UNIX = 3


class PackageManifest(BaseModel):
    """What a package says of itself, signed."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["compliance-1"] = "compliance-1"
    framework: str
    start: date
    end: date
    files: int
    sums: str
    key: str


def entry(name: str) -> zipfile.ZipInfo:
    """Describe a file of a package: alike on every machine."""
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type, info.external_attr, info.create_system = zipfile.ZIP_DEFLATED, _PERMISSIONS, _UNIX
    return info


@dataclass
class Writer:
    """Writes the files of a package, one after the other."""

    archive: zipfile.ZipFile
    sums: list[str] = field(default_factory=list)

    def put(self, name: str, pieces: Iterable[bytes], *, summed: bool = True) -> None:
        """Add a file, piece by piece."""
        digest = hashlib.sha256()
        with self.archive.open(entry(name), "w", force_zip64=True) as file:
            for piece in pieces:
                digest.update(piece)
                file.write(piece)
        if summed:
            self.sums.append(f"{digest.hexdigest()}  {name}\n")


def write(
    target: IO[bytes], signer: Signer, exhibits: Callable[[Writer], None], *, framework: str, start: date, end: date
) -> PackageManifest:
    """Write a package; `exhibits` puts what it is about.

    Raises:
        SigningError: KMS did not sign.

    """
    with zipfile.ZipFile(target, "w") as archive:
        writer = Writer(archive)
        exhibits(writer)
        public = Ed25519PublicKey.from_public_bytes(signer.public_key)
        writer.put(KEY, [public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)])
        writer.put(README, [resources.files("audit").joinpath("package-readme.txt").read_bytes()])
        sums = "".join(writer.sums).encode()
        manifest = PackageManifest(
            framework=framework,
            start=start,
            end=end,
            files=len(writer.sums),
            sums=hashlib.sha256(sums).hexdigest(),
            key=signer.key,
        )
        content = canonical(manifest.model_dump(mode="json"))
        writer.put(SUMS, [sums], summed=False)
        writer.put(MANIFEST, [content], summed=False)
        writer.put(SIGNATURE, [signer.sign(content)], summed=False)
    return manifest


def is_package(path: Path) -> bool:
    """Tell whether a file is a package, and not a bundle of the chain; a file that is no zip is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return MARK in archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def strange_bytes(path: Path, archive: zipfile.ZipFile) -> Iterator[str]:
    """Name what is in the file besides contents and isn't as we write it: headers, gaps, a comment.

    The digests speak of contents alone. So that every byte of the file counts, everything around them is made anew
    and compared.
    """
    end = 0
    with path.open("rb") as raw:
        for info in archive.infolist():
            there = (
                info.date_time,
                info.compress_type,
                info.comment,
                info.create_system,
                info.create_version,
                info.reserved,
                info.flag_bits,
                info.volume,
                info.internal_attr,
                info.external_attr,
            )
            known = entry(info.filename)
            known.CRC, known.compress_size, known.file_size = info.CRC, info.compress_size, info.file_size
            header = known.FileHeader(zip64=True)
            wanted = (
                known.date_time,
                known.compress_type,
                b"",
                _UNIX,
                known.create_version,
                0,
                known.flag_bits,
                0,
                0,
                known.external_attr,
            )
            raw.seek(info.header_offset)
            if there != wanted or info.extract_version != known.extract_version or info.header_offset != end:
                yield f"{info.filename} is not entered as we enter it"
            elif raw.read(len(header)) != header:
                yield f"{info.filename}'s header is not as we write it"
            end = info.header_offset + len(header) + info.compress_size
        yield from _end(raw, archive, end)


def _end(raw: IO[bytes], archive: zipfile.ZipFile, directory: int) -> Iterator[str]:
    """Look at the directory's own end, where it is small enough to have no zip64 one."""
    if archive.start_dir != directory:
        yield "there is something between its files and its directory"
        return
    raw.seek(0, 2)
    size = raw.tell()
    if size >= zipfile.ZIP64_LIMIT:
        return
    tail = struct.Struct("<4s4H2LH")
    raw.seek(max(0, size - tail.size))
    count = len(archive.infolist())
    length = size - tail.size - directory
    if raw.read() != tail.pack(b"PK\005\006", 0, 0, count, count, length, directory, 0):
        yield "its directory's end is not as we write it"
