"""A part of the chain as one file that another party can verify with standard tools.

manifest.json    canonical JSON: which records, the hashes before the first and of the last, digest of SHA256SUMS
manifest.sig     64 bytes: Ed25519 over manifest.json
SHA256SUMS       digest of every other file, as `sha256sum -c` reads it
public-key.pem   the key that signed; compare it with the one you were given another way
README.txt       how to verify it without us
records/N/       header.json, header.sig (64 bytes), skeleton.json, bodies.json; story.json, and story.html where asked
links/N/         header.json, header.sig: later records, up to a redaction that says why a body of this part is gone
"""

import hashlib
import zipfile
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from typing import IO, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import BaseModel, ConfigDict

from audit.chain import hash_of, header_bytes
from audit.records import Record
from audit.signatures import canonical
from audit.signer import Signer
from audit.story import Story

MANIFEST, SIGNATURE, SUMS, KEY, README = "manifest.json", "manifest.sig", "SHA256SUMS", "public-key.pem", "README.txt"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_PERMISSIONS = 0o644 << 16

Page = Callable[[Story], str]
"""Renders a story as HTML."""


class Manifest(BaseModel):
    """What a bundle says of itself, signed."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    made_at: datetime
    since: datetime | None
    until: datetime | None
    first: int
    last: int
    previous: str
    head: str
    records: int
    links: int
    sums: str
    key: str


@dataclass
class _Writer:
    archive: zipfile.ZipFile
    sums: list[str] = field(default_factory=list)

    def put(self, name: str, content: bytes, *, summed: bool = True) -> None:
        """Add a file; the same content always makes the same bytes."""
        info = zipfile.ZipInfo(name, _EPOCH)
        info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, _PERMISSIONS
        self.archive.writestr(info, content)
        if summed:
            self.sums.append(f"{hashlib.sha256(content).hexdigest()}  {name}\n")


class Empty(Exception):  # noqa: N818  reads as the sentence it is
    """There is nothing to export."""


def write(
    target: IO[bytes],
    signer: Signer,
    records: Iterator[Record],
    last: int,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    page: Page | None = None,
    told: Callable[[int], None] = lambda _: None,
) -> Manifest:
    """Write records up to `last` whole, and what comes behind as links; `told` hears each place.

    Raises:
        Empty: there are no records.
        SigningError: KMS did not sign.

    """
    first: Record | None = None
    head, whole, links = "", 0, 0
    with zipfile.ZipFile(target, "w") as archive:
        writer = _Writer(archive)
        for record in records:
            first = first or record
            if record.header.seq <= last:
                head = hash_of(record.header)
                whole += 1
                _whole(writer, record, page)
            elif record.header.kind == "redaction":
                whole += 1
                _whole(writer, record, None)
            else:
                links += 1
                _header(writer, f"links/{record.header.seq:08}", record)
            told(record.header.seq)
        if first is None:
            raise Empty("no run was archived then")
        public = Ed25519PublicKey.from_public_bytes(signer.public_key)
        writer.put(KEY, public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        writer.put(README, resources.files("audit").joinpath("bundle-readme.txt").read_bytes())
        sums = "".join(writer.sums).encode()
        manifest = Manifest(
            made_at=datetime.now(UTC),
            since=since,
            until=until,
            first=first.header.seq,
            last=last,
            previous=first.header.previous,
            head=head,
            records=whole,
            links=links,
            sums=hashlib.sha256(sums).hexdigest(),
            key=signer.key,
        )
        content = canonical(manifest.model_dump(mode="json"))
        writer.put(SUMS, sums, summed=False)
        writer.put(MANIFEST, content, summed=False)
        writer.put(SIGNATURE, signer.sign(content), summed=False)
    return manifest


def _whole(writer: _Writer, record: Record, page: Page | None) -> None:
    folder = f"records/{record.header.seq:08}"
    _header(writer, folder, record)
    writer.put(f"{folder}/skeleton.json", record.skeleton)
    bodies = {name: body.model_dump() for name, body in record.bodies.items()}
    writer.put(f"{folder}/bodies.json", canonical(bodies))
    story = record.bodies.get(record.header.story)
    if story is not None:
        content = b64decode(story.data)
        writer.put(f"{folder}/story.json", content)
        if page is not None:
            writer.put(f"{folder}/story.html", page(Story.model_validate_json(content)).encode())


def _header(writer: _Writer, folder: str, record: Record) -> None:
    writer.put(f"{folder}/header.json", header_bytes(record.header))
    writer.put(f"{folder}/header.sig", b64decode(record.signature))
