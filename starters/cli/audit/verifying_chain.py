"""Verifies the chain in the database."""

from activities.common.errors import ActivityFailure, Refused
from activities.evidence.heads import FOLDER, kept
from audit.chain import Verifier
from audit.records import Broken, Head, Verdict
from audit.store import Store
from audit.store_connection import DamagedRecord, StoreError
from records_schema.pool import connect_pool
from starters.cli.audit.output import counting
from starters.cli.configured import load_settings
from starters.cli.people import Exit, Stop, complaints
from workers.audit_keys import public_keys
from workers.evidence_store import evidence_store
from workers.settings import Settings


def chain(keys: list[bytes], heads: list[Head]) -> Verdict:
    """Verify all of it, by the heads that are kept elsewhere too.

    Raises:
        SettingsError: settings are missing or wrong.
        Stop: there is no key, nothing is archived, the archive doesn't answer, or the heads can't be read.

    """
    settings = load_settings()
    keys = keys or public_keys(settings.audit)
    if not keys:
        raise Stop(Exit.USAGE, "give the key with --public-key: neither [audit] private_key nor public_keys has one")
    with connect_pool(settings.records.url, max_size=2) as pool, counting() as bar:
        store = Store(pool)
        try:
            total = store.end().seq
            elsewhere = _kept_elsewhere(settings)
            heads = [*elsewhere, *heads]
            if not total and not heads:
                raise Stop(Exit.NOT_FOUND, "nothing is archived yet")
            task = bar.add_task("verifying", total=total)
            verifier = Verifier(keys, [*store.heads(), *heads])
            damaged: DamagedRecord | None = None
            try:
                for record in store.records():
                    verifier.feed(record)
                    bar.advance(task)
            except DamagedRecord as error:
                damaged = error
            verdict = verifier.end()
            if verdict.broken is None and not heads:
                complaints.print(
                    f"no signed head lies in {evidence_store(settings).uri(FOLDER)}: whether the end was cut off is "
                    "not known. Give one with --head, or verify where the worker keeps them",
                    style="yellow",
                    markup=False,
                    soft_wrap=True,
                )
            if damaged is not None and (verdict.broken is None or verdict.broken.seq >= damaged.seq):
                verdict.broken = Broken(seq=damaged.seq, what=damaged.what)
        except StoreError as error:
            raise Stop(Exit.UNREACHABLE, str(error)) from None
    return verdict


def _kept_elsewhere(settings: Settings) -> list[Head]:
    store = evidence_store(settings)
    try:
        return kept(store)
    except Refused as error:
        raise Stop(Exit.REFUSED, f"BROKEN: {error.message}") from None
    except ActivityFailure as error:
        raise Stop(
            Exit.UNREACHABLE, f"the signed heads in {store.uri(FOLDER)} can't be read: {error.message}"
        ) from None
