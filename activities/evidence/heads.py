"""The signed heads that are kept where the chain is not: by them a cut end shows, and a key that is not ours."""

from collections.abc import Iterable

from pydantic import ValidationError

from activities.common.errors import Refused
from activities.evidence.evidence import EvidenceStore
from audit.records import Head
from audit.signer import key_id
from audit.store import Store

FOLDER = "audit/heads/"
_COMPARED = 200
"""The newest of them, about as many as a week has: a chain that was cut and grew again differs from all of these."""


def key_of(head: Head) -> str:
    """Name the object that a head is kept as."""
    return f"{FOLDER}{head.seq:012d}.json"


def kept(heads: EvidenceStore) -> list[Head]:
    """Read the newest heads, oldest first.

    Raises:
        Refused: one is no head: it was changed.
        ActivityFailure: they can't be read.

    """
    found = []
    for key in sorted(key for key in heads.keys(FOLDER) if key.endswith(".json"))[-_COMPARED:]:
        try:
            found.append(Head.model_validate_json(heads.read(key)))
        except ValidationError:
            raise Refused(f"{heads.uri(key)} is no signed head: it was changed") from None
    return found


def must_have_all(store: Store, heads: EvidenceStore) -> None:
    """Refuse to go on with a chain from which records were cut off.

    Raises:
        Refused: a kept head names a record that the chain doesn't have, or has another one of; says what to do.

    """
    known = kept(heads)
    if not known:
        return
    head = known[-1]
    at = f"a head that was signed on {head.at:%Y-%m-%d %H:%M} UTC ({heads.uri(key_of(head))}) names record {head.seq}"
    end = store.end()
    if head.seq > end.seq:
        what = f"the chain ends with record {end.seq}, and {at}: its end was cut off"
    elif store.hash_at(head.seq) != head.hash:
        what = f"{at} by another hash than the chain's record {head.seq} has: records were replaced"
    else:
        return
    raise Refused(
        f"{what}. Nothing is archived: it would cover the gap. `runbooks audit verify --all` says where. If the "
        "records' database was restored from a backup, restore a later one; if there is none, say so in the incident, "
        f"and move the heads after record {end.seq} away from there, but keep them"
    )


def must_know_their_keys(store: Store, heads: EvidenceStore, public_keys: Iterable[bytes]) -> None:
    """Refuse to go on with a chain whose newest part was signed with a key that nobody here knows.

    So it is where secrets were restored that are older than the records: what we sign would look like another's.

    Raises:
        Refused: it was; says which key, and what to do.

    """
    known = {key_id(key) for key in public_keys}
    told = [
        (head.key, f"record {head.seq}, as its head of {head.at:%Y-%m-%d %H:%M} UTC says,") for head in kept(heads)[-1:]
    ]
    told.append((store.end_key(), f"record {store.end().seq}"))
    for key, what in told:
        if key and key not in known:
            ours = ", ".join(sorted(known))
            raise Refused(
                f"{what} was signed with key {key}, and we have {ours}. Nothing is archived. Were the secrets restored "
                "from before that key was made? Put it back as [audit] private_key (or kms_key_id). If it was given up "
                "on purpose, put its public half into [audit] public_keys"
            )
