"""`runbooks audit verify`: whether the evidence is whole and ours."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from audit import verify as bundles
from audit.chain import Verifier
from audit.records import Broken, Head, Verdict
from audit.signer import SigningError, key_id, public_key_from
from audit.store import Store
from audit.store_connection import DamagedRecord, StoreError
from database.pool import connect_pool
from starters.audit.output import counting
from starters.people import Exit, Stop, command, complaints, console
from starters.session import load_settings
from workers.archive import public_keys


@command
async def verify(
    bundle: Annotated[
        Path | None, typer.Argument(metavar="[BUNDLE]", help="A file of `runbooks audit export`.")
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="The whole chain in the database.")] = False,
    public_key: Annotated[
        list[str] | None, typer.Option(help="Whose signatures count: a file, or base64; may be given several times.")
    ] = None,
    head: Annotated[
        list[Path] | None, typer.Option(help="A signed head kept elsewhere: the chain must reach it.")
    ] = None,
) -> None:
    """Verify a bundle, offline and without settings, or the chain in the database; names the first broken link."""
    if (bundle is None) is not everything:
        raise Stop(Exit.USAGE, "name a BUNDLE, or say --all")
    keys = [_key(text) for text in public_key or ()]
    heads = [_head(path) for path in head or ()]
    verdict = (
        await asyncio.to_thread(_bundle, bundle, keys, heads) if bundle else await asyncio.to_thread(_all, keys, heads)
    )
    if verdict.broken is not None:
        broken = verdict.broken
        run = f" ({broken.workflow_id}@{broken.run_id})" if broken.run_id else ""
        where = f"record {broken.seq}{run}: " if broken.seq else ""
        raise Stop(Exit.REFUSED, f"BROKEN: {where}{broken.what}")
    erased = f", {verdict.redacted} bodies erased by redactions in it" if verdict.redacted else ""
    console.print(
        f"whole: records {verdict.first} to {verdict.last}{erased}; "
        f"hash {verdict.head}; signed with {', '.join(verdict.keys) or 'nothing'}",
        markup=False, soft_wrap=True,
    )  # fmt: skip


def _bundle(path: Path, keys: list[bytes], heads: list[Head]) -> Verdict:
    try:
        if not keys:
            inside = bundles.key_inside(path)
            complaints.print(
                f"no --public-key: the bundle's own is taken ({key_id(inside)}), so this proves only that it is whole, "
                "and not whose it is",
                style="yellow", markup=False, soft_wrap=True,
            )  # fmt: skip
            keys = [inside]
        with counting() as bar:
            task = bar.add_task("verifying", total=None)
            return bundles.verify(path, keys, heads, lambda done, of: bar.update(task, completed=done, total=of))
    except bundles.NoBundle as error:
        raise Stop(Exit.USAGE, str(error)) from None


def _all(keys: list[bytes], heads: list[Head]) -> Verdict:
    settings = load_settings()
    keys = keys or public_keys(settings.audit)
    if not keys:
        raise Stop(Exit.USAGE, "give the key with --public-key: neither [audit] private_key nor public_keys has one")
    with connect_pool(settings.records.url, max_size=2) as pool, counting() as bar:
        store = Store(pool)
        try:
            total = store.end().seq
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
            if damaged is not None and (verdict.broken is None or verdict.broken.seq >= damaged.seq):
                verdict.broken = Broken(seq=damaged.seq, what=damaged.what)
        except StoreError as error:
            raise Stop(Exit.UNREACHABLE, str(error)) from None
    return verdict


def _key(text: str) -> bytes:
    try:
        return public_key_from(Path(text).read_text(encoding="utf-8") if Path(text).is_file() else text)
    except (SigningError, OSError, UnicodeDecodeError):
        raise Stop(
            Exit.USAGE, f"--public-key: {text!r} is neither a file with an Ed25519 public key nor base64"
        ) from None


def _head(path: Path) -> Head:
    try:
        return Head.model_validate_json(path.read_bytes())
    except OSError as error:
        raise Stop(Exit.USAGE, f"--head: {path} can't be read: {error.strerror}") from None
    except ValidationError:
        raise Stop(Exit.USAGE, f"--head: {path} is no signed head") from None
