"""Bundles of a chain, as they were written and as somebody has changed them."""

import hashlib
import io
import json
import zipfile
from pathlib import Path

from audit.bundle import write
from audit.records import Record
from audit.signer import FileSigner
from audit.verify import NoBundle, verify
from tests.audit.stories import chain, new_signer

SIGNER = new_signer()


RECORDS = chain(SIGNER, 12)


PART = range(4, 10)


def made(records: list[Record], last: int, signer: FileSigner = SIGNER) -> bytes:
    target = io.BytesIO()
    write(target, signer, iter(records), last)
    return target.getvalue()


BUNDLE = made(RECORDS[PART.start - 1 : PART.stop - 1], PART.stop - 1)


def files(bundle: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(content: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return target.getvalue()


def judged(path: Path, bundle: bytes) -> tuple[bool, str]:
    """Tell whether it was accepted, and what was said."""
    path.write_bytes(bundle)
    try:
        verdict = verify(path, [SIGNER.public_key])
    except NoBundle as error:
        return False, str(error)
    broken = verdict.broken
    return verdict.ok, f"{broken.seq} {broken.what}" if broken else ""


def resealed(content: dict[str, bytes], signer: FileSigner, **changes: object) -> bytes:
    """What somebody with write access could do: make all digests fit again, and sign with a key of their own."""
    rest = {name: data for name, data in content.items() if name not in {"manifest.json", "manifest.sig", "SHA256SUMS"}}
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in rest.items()).encode()
    manifest = json.loads(content["manifest.json"]) | {"sums": hashlib.sha256(sums).hexdigest()} | changes
    raw = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    return zipped({**rest, "SHA256SUMS": sums, "manifest.json": raw, "manifest.sig": signer.sign(raw)})


def moved(content: dict[str, bytes], old: int, new: int) -> dict[str, bytes]:
    return {
        name.replace(f"records/{old:08}/", f"records/{new:08}/")
        if name.startswith(f"records/{old:08}/")
        else name: data
        for name, data in content.items()
    }
