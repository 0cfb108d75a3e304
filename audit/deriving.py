"""A story once more, from what the archive has of the history."""

from audit.payloads import DecodeOne, Decoder
from audit.reading import read
from audit.records import Record
from audit.skeleton import restore
from audit.story import Story


def derive(record: Record, codec: DecodeOne | None = None) -> Story:
    """Read a run's record anew: with a key, what was encrypted; after a redaction, what is left."""
    header = record.header
    return read(
        restore(record.skeleton, record.bodies),
        namespace=header.namespace,
        workflow_id=header.workflow_id,
        run_id=header.run_id,
        decoder=Decoder(codec),
    )
