"""The service's database: it streams, its log is archived, and its machines' commands hold what they say."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from sandbox.probes import wait_until
from sandbox.processes import ServerFailed
from sandbox.service_database import PRIMARY, REPLICA, SECRET, ServiceDatabase
from workers.database_settings import DatabaseSettings

Start = Callable[..., ServiceDatabase]
WRITE = "INSERT INTO events (kind) VALUES ('test')"


def ask(url: str, query: str) -> Any:
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(query)
        row = found.fetchone() if found.description else None
        return row[0] if row else None


def events(database: ServiceDatabase, server: str) -> Any:
    return ask(database.service_url(server), "SELECT count(*) FROM events WHERE kind = 'test'")


def command(database: ServiceDatabase, verb: str, server: str, source: str = "") -> subprocess.CompletedProcess[str]:
    """Run one of the settings' commands as a worker does."""
    return subprocess.run(words(database, verb, server, source), capture_output=True, text=True, check=False)


def words(database: ServiceDatabase, verb: str, server: str, source: str = "") -> list[str]:
    return [word.format(server=server, source=source) for word in database.settings()["commands"][verb]]


def promote(database: ServiceDatabase, server: str) -> None:
    assert ask(database.url(server), "SELECT pg_promote()")


def log_arrives_from(database: ServiceDatabase, server: str) -> None:
    slots = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'barman' AND active"
    wait_until(lambda: ask(database.url(server), slots) == 1)


def test_it_is_a_primary_with_checksums_a_streaming_replica_and_barman(start_service_database: Start) -> None:
    database = start_service_database()
    primary = database.url(PRIMARY)
    assert ask(primary, "SHOW data_checksums") == "on"
    assert (
        ask(primary, "SELECT application_name FROM pg_stat_replication WHERE application_name <> 'barman_receive_wal'")
        == REPLICA
    )
    assert ask(primary, "SELECT bool_and(active) FROM pg_replication_slots") is True
    assert ask(database.service_url(PRIMARY), "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
    assert ask(primary, "SELECT count(*) FROM bt_index_check('events_pkey', true)") == 1
    ask(database.service_url(PRIMARY), WRITE)
    wait_until(lambda: events(database, REPLICA) == 1)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        ask(database.service_url(REPLICA), WRITE)
    assert [database.pid(server) for server in ("spare-1", "spare-2")] == [None, None]
    assert DatabaseSettings.model_validate(database.settings()).commands.rejoin[-2:] == ("{server}", "{source}")
    assert database.secrets()[SECRET] == database.secrets()[database.policy()["servers"][PRIMARY]["secret"]]


def test_a_backup_is_restored_beside_it_by_barman_and_started_by_its_machine(start_service_database: Start) -> None:
    database = start_service_database()
    backup = database.backup()
    ask(database.service_url(PRIMARY), WRITE)
    target = ask(database.url(PRIMARY), "SELECT clock_timestamp()::text")
    ask(database.service_url(PRIMARY), WRITE)
    database.barman.run("switch-wal", "--force", "--archive", database.name)
    into = str(database.data("spare-1"))
    database.barman.run("restore", "--target-time", target, "--target-action", "promote", database.name, backup, into)
    assert command(database, "start", "spare-1").returncode == 0
    wait_until(lambda: ask(database.url("spare-1"), "SELECT pg_is_in_recovery()") is False)
    assert [events(database, server) for server in (PRIMARY, "spare-1")] == [2, 1]
    assert ask(database.url("spare-1"), "SHOW port") == str(database.ports["spare-1"])
    ask(database.service_url("spare-1"), WRITE)
    # A target of the restore is in its settings still; fenced, it must not reach that and be a primary again.
    assert command(database, "fence", "spare-1").returncode == 0
    database.start_again("spare-1")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        ask(database.service_url("spare-1"), WRITE)
    assert command(database, "discard", "spare-1").returncode == 0
    assert not database.data("spare-1").exists()


def test_a_fenced_primary_takes_no_writes_and_comes_back_as_a_replica(start_service_database: Start) -> None:
    database = start_service_database()
    ask(database.service_url(PRIMARY), WRITE)
    wait_until(lambda: events(database, REPLICA) == 1)
    os.kill(database.pid(REPLICA) or 0, signal.SIGSTOP)  # what is written now the replica doesn't get
    ask(database.service_url(PRIMARY), WRITE)
    database.kill(PRIMARY)
    assert [command(database, "fence", PRIMARY).returncode for _ in range(2)] == [0, 0]
    os.kill(database.pid(REPLICA) or 0, signal.SIGCONT)
    refused = command(database, "start", PRIMARY)
    assert (refused.returncode, "fenced" in refused.stderr) == (1, True)
    database.start_again(PRIMARY)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        ask(database.service_url(PRIMARY), WRITE)
    refused = command(database, "rejoin", PRIMARY, REPLICA)
    assert (refused.returncode, "promote it" in refused.stderr) == (1, True)
    promote(database, REPLICA)
    log_arrives_from(database, REPLICA)
    done = command(database, "rejoin", PRIMARY, REPLICA)
    assert (done.returncode, done.stdout.strip()) == (0, "primary rewound"), done.stderr
    ask(database.service_url(REPLICA), WRITE)
    wait_until(lambda: events(database, PRIMARY) == events(database, REPLICA))
    assert "already" in command(database, "rejoin", PRIMARY, REPLICA).stdout


def test_a_rejoin_that_was_killed_makes_a_new_copy(start_service_database: Start) -> None:
    database = start_service_database()
    promote(database, REPLICA)
    with pytest.raises(ServerFailed, match="primary takes writes: fence it first"):
        database.do("rejoin", PRIMARY, REPLICA)
    database.do("fence", PRIMARY)
    (database.data(PRIMARY).parent / "rejoining").touch()
    (database.data(PRIMARY) / "global" / "pg_control").write_bytes(b"half")
    killed = subprocess.Popen(words(database, "rejoin", PRIMARY, REPLICA))
    wait_until(lambda: (database.data(PRIMARY).parent / "data.new").exists() or database.pid(PRIMARY) is not None)
    killed.kill()
    killed.wait()
    # Its machine goes on; whoever asks again waits for it.
    assert command(database, "rejoin", PRIMARY, REPLICA).stdout.strip() in {
        "primary copied anew",
        "primary follows it already",
    }
    assert database.do("stop", PRIMARY) == database.do("stop", PRIMARY)
    assert database.pid(PRIMARY) is None
    database.do("start", PRIMARY)
    assert ask(database.url(PRIMARY), "SELECT pg_is_in_recovery()") is True


def test_machines_start_what_crashed_where_they_are_to_and_nothing_that_is_fenced(
    start_service_database: Start,
) -> None:
    database = start_service_database(synchronous=True, restart_crashed=True)
    ask(database.service_url(PRIMARY), WRITE)
    assert events(database, REPLICA) == 1
    before = database.pid(PRIMARY)
    database.kill(PRIMARY)
    wait_until(lambda: database.pid(PRIMARY) is not None and database.do("start", PRIMARY) != "")
    assert database.pid(PRIMARY) != before
    assert events(database, PRIMARY) == 1
    database.do("fence", PRIMARY)
    # The machines themselves go down, and come up again: the replica is enabled, the primary is fenced.
    database.hosts.kill()
    wait_until(lambda: database.pid(REPLICA) is None)
    database.hosts.start()
    wait_until(lambda: database.pid(REPLICA) is not None)
    database.do("start", REPLICA)
    assert events(database, REPLICA) == 1
    assert database.pid(PRIMARY) is None


def test_a_fence_does_not_wait_for_a_start_that_hangs(start_service_database: Start) -> None:
    database = start_service_database()
    database.do("stop", PRIMARY)
    with (database.data(PRIMARY) / "postgresql.auto.conf").open("a") as settings:
        # It waits for a log that never comes, and takes no connections before.
        settings.write("restore_command = 'sleep 60'\nhot_standby = off\n")
    (database.data(PRIMARY) / "standby.signal").touch()
    with subprocess.Popen(words(database, "start", PRIMARY), stderr=subprocess.PIPE, text=True) as start:
        wait_until(lambda: database.pid(PRIMARY) is not None)
        assert command(database, "fence", PRIMARY).returncode == 0
        assert start.stderr is not None
        assert "told to end" in start.stderr.read()
    assert (start.returncode, database.pid(PRIMARY)) == (1, None)


OWNER = """
import sys, time
from pathlib import Path
from sandbox.service_database import ServiceDatabase
database = ServiceDatabase(Path(sys.argv[1]))
database.start()
database.wait_ready()
print("ready", flush=True)
time.sleep(600)
"""


def test_kill_9_of_its_owner_leaves_nothing_behind(tmp_path: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path / "db")], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "ready\n"
    family = psutil.Process(owner.pid).children(recursive=True)
    assert {"postgres", "pg_receivewal"} <= {process.name() for process in family}
    owner.kill()
    owner.wait()
    began = time.monotonic()
    _, alive = psutil.wait_procs(family, timeout=120)
    assert alive == []
    print(f"all gone in {time.monotonic() - began:.2f} s")
