"""`runbooks audit export` and `verify` over real servers."""

import asyncio
import base64
import json
import tomllib
import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import tomli_w
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from psycopg_pool import ConnectionPool
from typer.testing import CliRunner, Result

from audit.signer import FileSigner
from audit.store import Store
from starters.cli.commands.audit import app
from starters.cli.people import Exit
from tests.audit.stories import archivable
from tests.records_schema.fixtures import empty_database_url, records_pool, records_url  # noqa: F401
from tests.starters.support import settings_file
from tests.workflows.worlds.world import World

Call = Callable[..., Awaitable[Result]]
PEM = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
SIGNER = FileSigner(PEM)
PUBLIC = base64.b64encode(SIGNER.public_key).decode()


@pytest.fixture
def store(records_pool: ConnectionPool[Any]) -> Store:  # noqa: F811
    return Store(records_pool, SIGNER)


@pytest.fixture
def audit(records_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:  # noqa: F811
    """The command line, with the archive's key and no Temporal."""
    sections = {"records": {"url": records_url}, "audit": {"private_key": PEM}}
    config = settings_file(tmp_path, "127.0.0.1:1", "q", World(), **sections)
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(config))
    monkeypatch.setenv("RUNBOOKS_USER", "iris")
    monkeypatch.chdir(tmp_path)

    async def call(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, list(arguments))

    return call


def zips() -> list[Path]:
    return list(Path().glob("*.zip*"))


async def test_what_is_exported_verifies_offline(
    store: Store, audit: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 9):
        store.append(archivable(number))
    # Runs 3 to 5 ended at 03:04, 03:05 and 03:06.
    exported = await audit("export", "--since", "2026-11-02T03:04:00Z", "--until", "2026-11-02T03:06:30Z", "--pages")
    assert exported.exit_code == 0, exported.output
    assert "records 3 to 5" in exported.stdout
    bundle = tmp_path / "evidence-2026-11-02-2026-11-02.bundle.zip"
    with zipfile.ZipFile(bundle) as archive:
        assert "<html" in archive.read("records/00000004/story.html").decode()
    assert [(access.who, access.action) for access in store.accesses()] == [("iris", "export")]

    monkeypatch.delenv("RUNBOOKS_CONFIG")
    verified = await audit("verify", str(bundle), "--public-key", PUBLIC)
    assert verified.exit_code == 0, verified.output
    assert "whole: records 3 to 5" in verified.stdout
    weaker = await audit("verify", str(bundle))
    assert (weaker.exit_code, "not whose it is" in weaker.output) == (0, True)
    other = base64.b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()
    assert (await audit("verify", str(bundle), "--public-key", other)).exit_code == Exit.REFUSED


async def test_a_changed_bundle_is_refused_and_the_record_named(store: Store, audit: Call, tmp_path: Path) -> None:
    store.append(archivable(1))
    exported = json.loads((await audit("export", "--output", "all.zip", "--json")).stdout)
    assert (Path(exported["file"]).name, exported["first"]) == ("all.zip", 1)
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content["records/00000001/skeleton.json"] = content["records/00000001/skeleton.json"].replace(b"03:00", b"04:00")
    with zipfile.ZipFile(tmp_path / "changed.zip", "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    refused = await audit("verify", "changed.zip", "--public-key", PUBLIC)

    assert refused.exit_code == Exit.REFUSED
    assert "BROKEN: record 1 (wf-1@run-1): records/00000001/skeleton.json does not have the digest" in refused.output


async def test_the_chain_in_the_database_is_verified_and_its_first_break_named(
    store: Store,
    audit: Call,
    tmp_path: Path,
    records_url: str,  # noqa: F811
) -> None:
    for number in range(1, 6):
        store.append(archivable(number))
    head = store.sign_head()
    assert head is not None
    (tmp_path / "head.json").write_text(head.model_dump_json())
    whole = await audit("verify", "--all", "--head", "head.json")
    assert (whole.exit_code, "whole: records 1 to 5" in whole.stdout) == (0, True), whole.output

    with psycopg.connect(records_url, autocommit=True) as owner:
        owner.execute("ALTER TABLE runbooks.archive_records DISABLE TRIGGER ALL")
        owner.execute("UPDATE runbooks.archive_records SET skeleton = skeleton || ' '::bytea WHERE seq = 3")
    broken = await audit("verify", "--all")
    assert broken.exit_code == Exit.REFUSED
    assert "BROKEN: record 3 (wf-3@run-3): the history's skeleton" in broken.output

    with psycopg.connect(records_url, autocommit=True) as owner:
        owner.execute("ALTER TABLE runbooks.archive_heads DISABLE TRIGGER ALL")
        owner.execute("ALTER TABLE runbooks.archive_bodies DISABLE TRIGGER ALL")
        owner.execute("DELETE FROM runbooks.archive_index WHERE seq >= 3")
        owner.execute("DELETE FROM runbooks.archive_bodies WHERE seq >= 3")
        owner.execute("DELETE FROM runbooks.archive_records WHERE seq >= 3")
        owner.execute("DELETE FROM runbooks.archive_heads")
    assert (await audit("verify", "--all")).exit_code == 0
    cut = await audit("verify", "--all", "--head", "head.json")
    assert (cut.exit_code, "the end was cut off" in cut.output) == (Exit.REFUSED, True)


async def test_a_cut_end_is_found_by_the_heads_that_lie_in_the_store(
    store: Store,
    audit: Call,
    tmp_path: Path,
    records_url: str,  # noqa: F811
) -> None:
    for number in range(1, 4):
        store.append(archivable(number))
    head = store.sign_head()
    assert head is not None
    nothing_kept = await audit("verify", "--all")
    assert nothing_kept.exit_code == 0
    assert "whether the end was cut off is not known" in nothing_kept.output.replace("\n", " ")
    with (tmp_path / "runbooks.toml").open("rb") as settings:
        folder = (
            tmp_path / tomllib.load(settings).get("evidence", {}).get("directory", "var/evidence") / "audit" / "heads"
        )
    folder.mkdir(parents=True)
    kept = folder / f"{head.seq:012d}.json"
    kept.write_text(head.model_dump_json())
    whole = await audit("verify", "--all")
    assert (whole.exit_code, "not known" in whole.output) == (0, False), whole.output
    cut_off(records_url, 3)
    cut = await audit("verify", "--all")
    assert (cut.exit_code, "the end was cut off" in cut.output) == (Exit.REFUSED, True), cut.output
    cut_off(records_url, 1)
    gone = await audit("verify", "--all")
    assert (gone.exit_code, "BROKEN" in gone.output) == (Exit.REFUSED, True), gone.output
    kept.write_text(head.model_dump_json().replace('"seq"', '"sequel"'))
    changed = await audit("verify", "--all")
    assert (changed.exit_code, "is no signed head: it was changed" in changed.output.replace("\n", " ")) == (
        Exit.REFUSED,
        True,
    ), changed.output


def cut_off(records_url: str, seq: int) -> None:  # noqa: F811
    """Be the owner who removes the end, signed heads of the database included."""
    with psycopg.connect(records_url, autocommit=True) as owner:
        for table in ("archive_records", "archive_heads", "archive_bodies"):
            owner.execute(f"ALTER TABLE runbooks.{table} DISABLE TRIGGER ALL".encode())
        for table in ("archive_index", "archive_bodies", "archive_records"):
            owner.execute(f"DELETE FROM runbooks.{table} WHERE seq >= {seq}".encode())
        owner.execute("DELETE FROM runbooks.archive_heads")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("verify",), Exit.USAGE, "name a BUNDLE, or say --all"),
        (("verify", "--all", "b.zip"), Exit.USAGE, "name a BUNDLE, or say --all"),
        (("verify", "missing.zip", "--public-key", PUBLIC), Exit.USAGE, "can't be read: No such file"),
        (("verify", "runbooks.toml", "--public-key", PUBLIC), Exit.USAGE, "is no zip file"),
        (("verify", "--all", "--public-key", "nonsense"), Exit.USAGE, "neither a file"),
        (("verify", "--all", "--head", "runbooks.toml"), Exit.USAGE, "is no signed head"),
        (("verify", "--all"), Exit.NOT_FOUND, "nothing is archived yet"),
        (("export",), Exit.NOT_FOUND, "runbooks audit archive"),
        (("export", "--since", "some day"), Exit.USAGE, "--since"),
        (("export", "--since", "2026-11-02", "--until", "2026-11-01"), Exit.USAGE, "not before"),
        (("export", "--output", "."), Exit.USAGE, "is a directory"),
    ],
)
async def test_what_can_not_be_meant_is_said(
    audit: Call, store: Store, arguments: tuple[str, ...], code: int, said: str
) -> None:
    refused = await audit(*arguments)
    assert (refused.exit_code, said in refused.output.replace("\n", " ")) == (code, True), refused.output
    assert zips() == []


async def test_without_a_key_nothing_is_exported(
    audit: Call, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append(archivable(1))
    content = tomllib.loads((tmp_path / "runbooks.toml").read_text())
    (tmp_path / "keyless.toml").write_text(tomli_w.dumps({n: s for n, s in content.items() if n != "audit"}))
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(tmp_path / "keyless.toml"))
    refused = await audit("export")
    assert refused.exit_code == Exit.USAGE
    assert zips() == []
