"""Erases from the archive what must not be kept."""

from rich.console import Console

from audit.records import Record
from audit.redaction import Found, erase, find
from audit.signer import OFF, SigningError
from audit.store import Store
from audit.store_connection import StoreError
from audit.store_filter import Filter
from audit.text import counted, noun
from records_schema.pool import connect_pool
from starters.cli.configured import load_settings
from starters.cli.facts import as_document
from starters.cli.people import Exit, Stop, complaints, confirmed, console
from starters.steering.identity import Person
from workers.audit_keys import signer
from workers.codec import decrypting


async def redact(run: str, *, containing: str, reason: str, yes: bool, by: Person, as_json: bool) -> None:
    """Erase every payload of the runs that says something, after asking.

    Raises:
        Stop: nothing was erased, and why.

    """
    for name, value in (("--containing", containing), ("--reason", reason)):
        if not value.strip():
            raise Stop(Exit.USAGE, f"{name}: empty")
    if containing.casefold() in reason.casefold():
        raise Stop(Exit.USAGE, "--reason repeats what is to be erased, and is kept for ever")
    settings = load_settings()
    signs = signer(settings.audit)
    if signs is None:
        raise Stop(Exit.USAGE, OFF)
    codec = decrypting(settings.temporal.payload_keys)
    with connect_pool(settings.records.url, max_size=2) as pool:
        store = Store(pool, signs, codec)
        try:
            meant = [
                (record, found) for record in _records(store, run) if _worth(found := find(record, containing, codec))
            ]
            _announce(meant, complaints if as_json else console)
            if not any(found.commitments for _, found in meant):
                raise Stop(Exit.NOT_FOUND, "nothing that could be erased contains that")
            if not yes and not confirmed("Erase it for good?"):
                raise Stop(Exit.REFUSED, "nothing was erased")
            erased = [_erase(store, *one, reason=reason, by=by) for one in meant if one[1].commitments]
        except (StoreError, SigningError) as error:
            raise Stop(Exit.UNREACHABLE if error.passing else Exit.REFUSED, str(error)) from None
    if as_json:
        as_document(erased)
    for one in () if as_json else erased:
        console.print(f"erased; record {one['record']} says so", soft_wrap=True)


def _erase(store: Store, record: Record, found: Found, *, reason: str, by: Person) -> dict[str, str | int]:
    """Erase from one run; gives what was, for people and programs."""
    header = record.header
    store.accessed(by.who, "redact", f"{header.workflow_id}@{header.run_id}")
    made = erase(store, record, found.commitments, who=by.who, role=by.role, reason=reason)
    return {
        "workflow_id": header.workflow_id,
        "run_id": header.run_id,
        "payloads": len(found.commitments),
        "record": made.header.seq,
    }


def _records(store: Store, reference: str) -> list[Record]:
    workflow_id, at, run_id = reference.rpartition("@")
    questions = [Filter(workflow_id=workflow_id, run_id=run_id)] if at else []
    questions += [Filter(workflow_id=reference), Filter(incident=reference)]
    for question in questions:
        stories = list(store.stories(question))
        if stories:
            records = (store.record(story.namespace, story.run.run_id) for story in stories)
            return [record for record in records if record is not None]
    raise Stop(Exit.NOT_FOUND, f"the archive has no run {reference!r}: `runbooks audit search` finds runs")


def _worth(found: Found) -> bool:
    return bool(found.commitments or found.unreadable or found.in_skeleton)


def _announce(meant: list[tuple[Record, Found]], out: Console) -> None:
    for record, found in meant:
        name = f"{record.header.workflow_id}@{record.header.run_id}"
        if found.commitments:
            out.print(
                f"{name}: {counted(len(found.commitments), 'payload')}, and the story", markup=False, soft_wrap=True
            )
        if found.unreadable:
            encrypted = counted(found.unreadable, "payload is", "payloads are")
            were = noun(found.unreadable, "was", "were")
            told = f"{name}: {encrypted} encrypted and {were} not looked into: give the codec's key"
            complaints.print(told, style="yellow", markup=False, soft_wrap=True)
        if found.in_skeleton:
            told = f"{name}: it is also in an ID or a failure's message, which the digest covers and nothing can erase"
            complaints.print(told, style="yellow", markup=False, soft_wrap=True)
