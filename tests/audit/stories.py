"""Stories, histories and records made by hand: small, and alike but for what a test says."""

import base64
import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from audit.records import Record, Statement
from audit.sealing import Archivable, Link, Parts, seal_redaction, seal_run
from audit.signer import FileSigner, Signer
from audit.story import RunIdentity, Story, Trigger

BEGAN = datetime(2026, 11, 2, 3, 0, tzinfo=UTC)


def new_pem() -> str:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def new_signer() -> FileSigner:
    return FileSigner(new_pem())


def story(number: int = 1, **fields: Any) -> Story:
    """The story of run number so-and-so, which took a minute."""
    started = BEGAN + timedelta(minutes=number)
    return Story(
        **{
            "namespace": "default",
            "run": RunIdentity(workflow_id=f"wf-{number}", run_id=f"run-{number}", workflow_type="Rollback"),
            "first_run_id": f"run-{number}",
            "section": "4.2",
            "title": "Rollback",
            "service": "tensafe-server",
            "outcome": "rolled back",
            "status": "completed",
            "started_at": started,
            "ended_at": started + timedelta(minutes=1),
            "trigger": Trigger(kind="person", by="ada@tensafe.io"),
            "events": 2,
            **fields,
        }
    )


def payload(value: Any) -> dict[str, Any]:
    encoding = base64.b64encode(b"json/plain").decode()
    return {"metadata": {"encoding": encoding}, "data": base64.b64encode(json.dumps(value).encode()).decode()}


def history(number: int = 1, *values: Any) -> dict[str, Any]:
    """A history of as many events as there are values, one payload each."""
    return {
        "events": [
            {
                "eventId": str(event),
                "eventTime": "2026-11-02T03:00:00Z",
                "eventType": "EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED",
                "workflowExecutionSignaledEventAttributes": {
                    "signalName": f"signal-{number}",
                    "input": {"payloads": [payload(value)]},
                },
            }
            for event, value in enumerate(values or ("one", {"two": number}), start=1)
        ]
    }


def archivable(number: int = 1, *values: Any, **fields: Any) -> Archivable:
    told = story(number, **fields)
    return Archivable(history(number, *values), told, told.ended_at or told.started_at)


def chain(signer: Signer, length: int) -> list[Record]:
    """Records of runs 1 to `length`."""
    return list(itertools.islice(_chain(signer), length))


def _chain(signer: Signer) -> Iterator[Record]:
    link = Link()
    for number in itertools.count(1):
        record = seal_run(signer, Parts.of(archivable(number)), link)
        link = Link.to(record.header)
        yield record


def redaction(signer: FileSigner, about: Record, commitments: list[str], after: Record) -> Record:
    statement = Statement(seq=about.header.seq, commitments=commitments, who="ada", role="admin", reason="asked")
    return seal_redaction(signer, statement, about.header, Link.to(after.header))


def without(record: Record, commitments: list[str]) -> Record:
    """The record as it is after an erasure."""
    return record.model_copy(
        update={"bodies": {name: body for name, body in record.bodies.items() if name not in commitments}}
    )
