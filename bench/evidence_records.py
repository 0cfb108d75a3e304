"""Records of recorded runs under other names; as a program: verify so many, and print the peak memory in KiB."""

import json
import re
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from audit.chain import Verifier
from audit.payloads import Decoder
from audit.reading import read
from audit.records import Record
from audit.sealing import Archivable, Link, Parts, seal_run
from audit.signer import FileSigner
from audit.story import RunIdentity

_HISTORIES = Path(__file__).parents[1] / "tests" / "histories"


def records(number: int) -> tuple[bytes, Iterator[Record]]:
    """Give a chain, made as it is asked for, and the public key that it is signed with."""
    signer, chain = signed(number)
    return signer.public_key, chain


def signed(number: int) -> tuple[FileSigner, Iterator[Record]]:
    """Give a chain, made as it is asked for, and what signs it."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    signer = FileSigner(pem.decode())
    return signer, _sealed(signer, number)


def _sealed(signer: FileSigner, number: int) -> Iterator[Record]:
    histories = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(_HISTORIES.glob("*.json"))]
    stories = [read(one, namespace="default", workflow_id="", run_id="", decoder=Decoder()) for one in histories]
    link = Link()
    for place in range(number):
        history, story = histories[place % len(histories)], stories[place % len(stories)]
        named = story.model_copy(update={"run": RunIdentity(workflow_id=f"run-{place}", run_id=f"id-{place}")})
        record = seal_run(signer, Parts.of(Archivable(history, named, story.ended_at or story.started_at)), link)
        link = Link.to(record.header)
        yield record


def main(number: int) -> None:
    """Verify a chain of so many records."""
    public, chain = records(number)
    verifier = Verifier([public])
    for record in chain:
        verifier.feed(record)
    if not verifier.end().ok:
        raise SystemExit(1)
    sys.stdout.write(f"{_peak()}\n")


def _peak() -> int:
    """Give the most memory that this process had; what `getrusage` tells may be its parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+)", status.read_text(encoding="ascii"))[1])  # type: ignore[index]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main(int(sys.argv[1]))
