"""Verifies a bundle, and says what was found; nothing here needs settings or a database."""

from pathlib import Path

from pydantic import ValidationError

from audit import package_verify as packages
from audit import verify as bundles
from audit.records import Head, Verdict
from audit.signer import SigningError, key_id, public_key_from
from audit.text import counted, span
from starters.cli.audit.output import counting
from starters.cli.facts import as_document
from starters.cli.people import Exit, Stop, complaints, console


def bundle(path: Path, keys: list[bytes], heads: list[Head]) -> Verdict:
    """Verify a bundle, offline and without settings.

    Raises:
        Stop: it is no bundle.

    """
    try:
        if not keys:
            inside = bundles.key_inside(path)
            complaints.print(
                f"no --public-key: the bundle's own is taken ({key_id(inside)}), so this proves only that it is whole, "
                "and not whose it is",
                style="yellow",
                markup=False,
                soft_wrap=True,
            )
            keys = [inside]
        with counting() as bar:
            task = bar.add_task("verifying", total=None)
            return bundles.verify(path, keys, heads, lambda done, of: bar.update(task, completed=done, total=of))
    except bundles.NoBundle as error:
        raise Stop(Exit.USAGE, str(error)) from None


def package(path: Path, keys: list[bytes], *, as_json: bool) -> None:
    """Verify a compliance package, offline and without settings, and say what was found.

    Raises:
        Stop: something was changed; names the first that is.

    """
    inside = None if keys else packages.key_inside(path)
    if inside is not None:
        complaints.print(
            f"no --public-key: the package's own is taken ({key_id(inside)}), so this proves only that it is whole, "
            "and not whose it is",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )
    with counting() as bar:
        task = bar.add_task("verifying", total=None)
        verdict = packages.verify(
            path, keys or ([inside] if inside else []), lambda done, of: bar.update(task, completed=done, total=of)
        )
    manifest = verdict.manifest
    if as_json:
        known = manifest.model_dump(mode="json") if manifest else None
        as_document({"whole": manifest is not None, "broken": verdict.broken or None, "manifest": known})
    if manifest is None:
        raise Stop(Exit.REFUSED, f"BROKEN: {verdict.broken}")
    if as_json:
        return
    console.print(
        f"whole: {manifest.framework}, {manifest.start} to {manifest.end}, {counted(manifest.files, 'file')}; "
        f"signed with {manifest.key}",
        markup=False,
        soft_wrap=True,
    )


def tell(verdict: Verdict, *, as_json: bool) -> None:
    """Say what was found.

    Raises:
        Stop: something is broken; names the first broken link.

    """
    if as_json:
        as_document({"whole": verdict.ok, **verdict.model_dump(mode="json")})
    if verdict.broken is not None:
        broken = verdict.broken
        run = f" ({broken.workflow_id}@{broken.run_id})" if broken.run_id else ""
        where = f"record {broken.seq}{run}: " if broken.seq else ""
        raise Stop(Exit.REFUSED, f"BROKEN: {where}{broken.what}")
    if as_json:
        return
    erased = f", {counted(verdict.redacted, 'body', 'bodies')} erased by redactions in it" if verdict.redacted else ""
    console.print(
        f"whole: {span(verdict.first, verdict.last, 'record')}{erased}; "
        f"hash {verdict.head}; signed with {', '.join(verdict.keys) or 'nothing'}",
        markup=False,
        soft_wrap=True,
    )


def key(text: str) -> bytes:
    """Read a public key as people name it.

    Raises:
        Stop: it is none.

    """
    try:
        return public_key_from(Path(text).read_text(encoding="utf-8") if Path(text).is_file() else text)
    except (SigningError, OSError, UnicodeDecodeError):
        raise Stop(
            Exit.USAGE, f"--public-key: {text!r} is neither a file with an Ed25519 public key nor base64"
        ) from None


def head(path: Path) -> Head:
    """Read a signed head.

    Raises:
        Stop: it is none.

    """
    try:
        return Head.model_validate_json(path.read_bytes())
    except OSError as error:
        raise Stop(Exit.USAGE, f"--head: {path} can't be read: {error.strerror}") from None
    except ValidationError:
        raise Stop(Exit.USAGE, f"--head: {path} is no signed head") from None
