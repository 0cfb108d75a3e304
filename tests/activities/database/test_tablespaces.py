"""Barman and a database with tablespaces: restored to where settings say, refused before anything where they don't."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import records_schema
from activities.common.errors import Misconfigured, Refused, Unavailable
from activities.common.programs import Finished
from activities.database.backups.backups import Backups, BackupsRequest
from activities.database.backups.barman_program import failure
from activities.database.servers.hosts import DiscardServer
from records_schema.pool import connect_pool
from sandbox.service_database import NAME, PRIMARY, REPLICA, ServiceDatabase
from tests.activities.database.on_backups import OnBackups, an_effect
from tests.servers import CreateDatabase
from workers.databases import databases
from workers.settings import Settings

SPARE = "spare-1"


@pytest.fixture
def world(
    start_service_database: Callable[..., ServiceDatabase], create_database: CreateDatabase
) -> Iterator[OnBackups]:
    """A primary with the tablespace `archive` and a table in it, and a backup of both."""
    server = start_service_database()
    url = create_database()
    records_schema.migrate(url)
    # A replica on the same machine would want the same folder.
    server.do("stop", REPLICA)
    with connect_pool(url, max_size=4) as pool:
        world = OnBackups(server, pool)
        with world.connect() as connection:
            connection.execute(f"CREATE TABLESPACE archive LOCATION '{folder(server, PRIMARY)}'".encode())
            connection.execute("CREATE TABLE old (id int) TABLESPACE archive")
            connection.execute("INSERT INTO old SELECT generate_series(1, 1000)")
        world.backup_id = server.backup()
        world.insert(2)
        world.seal()
        yield world


def folder(server: ServiceDatabase, name: str) -> Path:
    """A folder for a server's tablespace, which PostgreSQL's account owns."""
    made = server.data(name).parent / "archive"
    made.mkdir()
    account = server.data(PRIMARY).stat()
    os.chown(made, account.st_uid, account.st_gid)
    return made


def test_a_backup_with_tablespaces(world: OnBackups) -> None:
    (backup,) = world.do(world.backups.catalogue, BackupsRequest(database=NAME)).items
    assert backup.tablespaces == ["archive"]
    assert backup.unplaced[SPARE] == ["archive"]
    with pytest.raises(
        Misconfigured, match=r"has the tablespace archive, and settings don't say where on spare-1"
    ) as no:
        world.restore(world.times[0])
    assert no.value.non_retryable

    place = folder(world.server, SPARE)
    settings = world.server.settings()
    settings["servers"][SPARE]["tablespaces"] = {"archive": str(place)}
    made = databases(Settings(databases={NAME: settings}), lambda: None)
    world.databases = made.databases
    world.backups = Backups(made.databases, made.hosts, made.backups, world.pool)
    (backup,) = world.do(world.backups.catalogue, BackupsRequest(database=NAME)).items
    assert SPARE not in backup.unplaced
    before = files(world.server.data(PRIMARY).parent / "archive")
    world.restore(world.times[0])
    assert files(place)
    assert files(world.server.data(PRIMARY).parent / "archive") == before
    with world.connect(SPARE) as connection:
        row = connection.execute(
            "SELECT count(*), pg_tablespace_location(oid) FROM old, pg_tablespace WHERE spcname = 'archive' GROUP BY 2"
        ).fetchone()
        assert row == (1000, str(place))
        connection.execute("INSERT INTO old VALUES (0)")
    with world.connect() as connection:
        assert connection.execute("SELECT count(*) FROM old").fetchone() == (1000,)
    world.do(world.hosts.discard, DiscardServer(database=NAME, server=SPARE, effect=an_effect()))


def files(place: Path) -> dict[str, float]:
    return {str(file): file.stat().st_mtime for file in place.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("ERROR: Invalid tablespace relocation rule 'x'", Misconfigured),
        ("ERROR: unable to initialise tablespace directory '/x'", Misconfigured),
        ("ERROR: rsync: mkdir failed: Read-only file system (30)", Misconfigured),
        ("ERROR: rsync: write failed: No space left on device (28)", Refused),
        ("ERROR: ssh: connect to host backup port 22: Connection timed out", Unavailable),
    ],
)
def test_what_no_waiting_helps_is_not_tried_again(said: str, kind: type[Exception]) -> None:
    done = Finished(code=1, out="", err=said)
    assert type(failure("recover", done)) is kind
