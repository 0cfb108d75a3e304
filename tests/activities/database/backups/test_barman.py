"""Backups by a real Barman of real PostgreSQL servers: to the microsecond, and through kills at any instant."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

import records_schema
from activities.common.errors import InvalidInput, Misconfigured, NotFound, Refused
from activities.database.backups.backups import BackupCatalogue, BackupsRequest, CreateBackup, SealLog, VerifyBackup
from activities.database.servers.hosts import DiscardServer
from records_schema.pool import connect_pool
from sandbox.ready import ready
from sandbox.service_database import NAME, PRIMARY, REPLICA, ServiceDatabase
from tests.activities.database.on_backups import OnBackups, an_effect
from tests.activities.kubernetes.on_cluster import eventually
from tests.records_schema.fixtures import count
from tests.servers import CreateDatabase
from workers.databases import databases
from workers.settings import Settings

SPARE, OTHER = "spare-1", "spare-2"


@pytest.fixture(scope="module")
def records(create_database: CreateDatabase) -> str:
    url = create_database()
    records_schema.migrate(url)
    return url


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, records: str) -> Iterator[OnBackups]:
    """One service database for all tests here, with a backup and a sealed log of thirty rows after it."""
    with (
        ready(ServiceDatabase(tmp_path_factory.mktemp("backups"))) as server,
        connect_pool(records, max_size=4) as pool,
    ):
        world = OnBackups(server, pool, server.backup())
        world.insert(30)
        world.seal()
        yield world


@pytest.fixture
def spare(world: OnBackups) -> Iterator[str]:
    yield SPARE
    world.do(world.hosts.discard, DiscardServer(database=NAME, server=SPARE, effect=an_effect()))


def catalogue(world: OnBackups) -> BackupCatalogue:
    found: BackupCatalogue = world.do(world.backups.catalogue, BackupsRequest(database=NAME))
    return found


def verify(world: OnBackups, **effect: bool) -> VerifyBackup:
    return VerifyBackup(database=NAME, backup_id=world.backup_id, effect=an_effect(**effect))


# -- listing and checking ---------------------------------------------------------------------------------


def test_what_there_is(world: OnBackups) -> None:
    found = catalogue(world)
    (backup,) = found.items
    assert (backup.backup_id, backup.status, backup.timeline) == (world.backup_id, "done", 1)
    assert backup.began_at is not None
    assert backup.ended_at is not None
    assert backup.began_at < backup.ended_at < world.times[0]
    assert found.earliest == backup.ended_at
    assert found.latest is not None
    assert found.latest > world.times[-1]


def test_a_verdict_is_kept(world: OnBackups, records: str) -> None:
    request = verify(world)
    first = world.do(world.backups.verify, request)
    again = world.do(world.backups.verify, request)
    assert (first.good, first.applied, first.after) == (True, True, "verified")
    assert again == first.model_copy(update={"applied": False})
    assert catalogue(world).items[0].verified
    with psycopg.connect(records) as sql:
        kept = sql.execute("SELECT workflow_id, run_id FROM runbooks.backup_verdicts").fetchall()
    assert kept == [("restore", "r")]


def test_a_damaged_file_is_a_verdict_that_names_it(world: OnBackups, records: str) -> None:
    file = next((world.server.barman.directory / "home" / NAME / "base" / world.backup_id / "data").glob("base/*/2619"))
    good = file.read_bytes()
    with psycopg.connect(records) as sql:
        kept = count(sql, "backup_verdicts")
    try:
        file.write_bytes(good[:100] + b"damage" + good[106:])
        planned = world.do(world.backups.verify, verify(world, dry_run=True))
        verdict = world.do(world.backups.verify, verify(world))
    finally:
        file.write_bytes(good)
    assert (planned.good, planned.applied) == (False, False)
    assert (verdict.good, verdict.after) == (False, "NOT GOOD")
    assert f"{file.parent.name}/{file.name}" in verdict.detail
    found = catalogue(world)
    assert found.items[0].verified is False
    assert found.earliest is None
    with psycopg.connect(records) as sql:
        assert count(sql, "backup_verdicts") == kept + 1
    world.do(world.backups.verify, verify(world))
    assert catalogue(world).items[0].verified  # the newest counts


def test_no_such_backup(world: OnBackups) -> None:
    with pytest.raises(NotFound, match="Unknown backup '19700101T000000'"):
        world.reach(world.times[0], "19700101T000000")


# -- the log ----------------------------------------------------------------------------------------------


def test_a_sealed_log_reaches_every_time_before(world: OnBackups) -> None:
    sealed = world.seal()
    assert sealed.applied
    for target in (world.times[3], sealed.at):
        reach = world.reach(target)
        assert (reach.reaches, reach.latest is not None and reach.latest > target) == (True, True)


def test_a_plan_seals_nothing(world: OnBackups) -> None:
    with world.connect() as sql:
        before = sql.execute("SELECT pg_current_xact_id()").fetchone()
        request = SealLog(database=NAME, server=PRIMARY, effect=an_effect(dry_run=True))
        assert not world.do(world.backups.seal, request).applied
        after = sql.execute("SELECT pg_current_xact_id()").fetchone()
    assert before is not None
    assert after is not None
    assert int(after[0]) == int(before[0]) + 1


def test_a_replicas_log_is_not_sealed(world: OnBackups) -> None:
    with pytest.raises(Refused, match="replica-1 is a replica"):
        world.do(world.backups.seal, SealLog(database=NAME, server=REPLICA, effect=an_effect()))


def test_a_time_that_nobody_has_written_after(world: OnBackups) -> None:
    reach = world.reach(datetime.now(UTC) + timedelta(hours=1))
    assert not reach.reaches
    assert reach.detail.startswith("the archived log ends at ")


def test_a_time_before_the_backup_ended(world: OnBackups) -> None:
    reach = world.reach(world.times[0] - timedelta(hours=1))
    assert not reach.reaches
    assert "take an earlier backup" in reach.detail


def test_a_target_without_a_time_zone(world: OnBackups) -> None:
    with pytest.raises(InvalidInput, match="target: say its time zone"):
        world.reach(world.times[0].replace(tzinfo=None))


@pytest.mark.parametrize("remote", [False, True])
def test_a_missing_segment_is_named(world: OnBackups, tmp_path: Path, *, remote: bool) -> None:
    world.insert(1)
    world.seal()
    world.insert(1)
    world.seal()
    settings = world.server.settings()
    if remote:  # as where the archive is on a machine of its own: its paths lead nowhere here
        ssh = tmp_path / "ssh"
        ssh.write_text(f"#!{sys.executable}\n{ELSEWHERE}", encoding="utf-8")
        ssh.chmod(0o755)
        settings["barman"]["program"] = [str(ssh), "backup-1", *settings["barman"]["program"]]
    there = OnBackups(world.server, world.pool, world.backup_id)
    made = databases(Settings(databases={NAME: settings}), lambda: None)
    there.databases = made.databases
    there.backups = type(world.backups)(made.databases, made.hosts, made.backups, world.pool)
    assert there.reach(world.times[-1]).reaches
    *_, lost, _ = sorted((world.server.barman.directory / "home" / NAME / "wals").glob("*/*"))
    aside = lost.rename(lost.with_name("aside"))
    try:
        reach = there.reach(world.times[-1])
    finally:
        aside.rename(lost)
    assert not reach.reaches
    assert reach.detail == f"the archived log from backup {world.backup_id} has a gap: {lost.name} is missing"


ELSEWHERE = """
import subprocess, sys
line = " ".join(sys.argv[2:])
done = subprocess.run(["sh", "-c", line], stdout=subprocess.PIPE)
sys.stdout.buffer.write(done.stdout.replace(b"/home/", b"/elsewhere/") if "list-files" in line else done.stdout)
sys.exit(done.returncode)
"""


# -- restoring --------------------------------------------------------------------------------------------


def test_restored_to_the_microsecond(world: OnBackups, spare: str) -> None:
    for row in sorted(random.sample(range(30), 3)):
        restored = world.restore(world.times[row])
        assert world.rows(spare) == list(range(row + 1))
        assert restored.recovered_to is not None
        assert world.times[row] - timedelta(seconds=5) < restored.recovered_to <= world.times[row]
        assert (restored.applied, restored.server, restored.timeline) == (True, spare, 2)
    with world.connect(spare) as sql:
        sql.execute("INSERT INTO marks VALUES (1000)")
    settings = (world.server.data(spare) / "postgresql.auto.conf").read_text(encoding="utf-8")
    assert "recovery_target" not in settings
    assert "restore_command" not in settings


def test_an_exact_commit_time_is_in_and_a_microsecond_earlier_is_not(world: OnBackups, spare: str) -> None:
    told = world.restore(world.times[7])
    assert told.recovered_to is not None
    elsewhere = told.recovered_to.astimezone().isoformat()
    assert world.restore(datetime.fromisoformat(elsewhere)).recovered_to == told.recovered_to
    assert world.rows(spare) == list(range(8))
    world.restore(told.recovered_to - timedelta(microseconds=1))
    assert world.rows(spare) == list(range(7))


def test_a_second_attempt_finds_what_the_first_has_restored(world: OnBackups, spare: str) -> None:
    request = world.to_restore(world.times[5])
    first = world.do(world.backups.restore, request)
    with world.connect(spare) as sql:
        sql.execute("INSERT INTO marks VALUES (1000)")
    again = world.do(world.backups.restore, request)
    assert again == first.model_copy(update={"applied": False})
    assert world.rows(spare)[-1] == 1000  # nobody has restored over it
    world.restore(world.times[5])  # another effect does
    assert world.rows(spare) == list(range(6))


def test_a_plan_touches_no_server(world: OnBackups) -> None:
    planned = world.restore(world.times[5], effect=an_effect(dry_run=True))
    assert not planned.applied
    assert "the log is complete" in planned.note
    assert world.server.pid(SPARE) is None
    with pytest.raises(Refused, match="doesn't reach"):
        world.restore(datetime.now(UTC) + timedelta(hours=1), effect=an_effect(dry_run=True))


def test_a_target_out_of_reach_leaves_nothing_running(world: OnBackups, spare: str) -> None:
    with pytest.raises(Refused, match="doesn't reach"):
        world.restore(datetime.now(UTC) + timedelta(hours=1))
    assert world.server.pid(spare) is None
    with pytest.raises(Refused, match="is before the backup end time"):
        world.restore(world.times[0] - timedelta(hours=1))
    assert world.server.pid(spare) is None


def test_attempts_at_once_do_not_mix(world: OnBackups, spare: str) -> None:
    request, answers = world.to_restore(world.times[9]), []
    threads = [
        threading.Thread(target=lambda: answers.append(world.do(world.backups.restore, request))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.applied for answer in answers) == [False, True]
    assert world.rows(spare) == list(range(10))


@pytest.mark.parametrize("after", ["copying", "recovering"])
def test_a_killed_attempt_is_done_anew(world: OnBackups, spare: str, records: str, after: str) -> None:
    request = world.to_restore(world.times[12])
    data = world.server.data(spare)
    sign = data / ("base" if after == "copying" else "postmaster.pid")
    arguments = [json.dumps(world.server.settings()), records, request.model_dump_json(), str(sign)]
    worker = subprocess.run([sys.executable, "-m", "tests.activities.database.restore_worker", *arguments], check=False)
    assert worker.returncode == -signal.SIGKILL
    eventually(lambda: not _at_work_on(data))  # its programs end with it
    assert world.do(world.backups.restore, request).applied
    assert world.rows(spare) == list(range(13))


def _at_work_on(data: Path) -> list[str]:
    """Name the copying programs that have a directory in their command line."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(str(data).encode() in word for word in words) and any(b"barman" in w or b"rsync" in w for w in words):
            found.append(process.parent.name)
    return found


def test_postgresql_killed_while_it_recovers_is_started_again(world: OnBackups, spare: str) -> None:
    killed: list[int] = []

    def kill() -> None:
        while not killed:
            pid = world.server.pid(spare)
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    assert world.restore(world.times[14]).applied
    killer.join()
    assert world.rows(spare) == list(range(15))


def test_cancelled_it_ends_its_programs(world: OnBackups, spare: str) -> None:
    environment, ends = ActivityEnvironment(), []

    def attempt() -> None:
        try:
            environment.run(world.backups.restore, world.to_restore(world.times[12]))
        except BaseException as error:  # noqa: BLE001 - what it is, is asserted
            ends.append(type(error).__name__)

    thread = threading.Thread(target=attempt)
    thread.start()
    eventually((world.server.data(spare) / "base").exists)
    environment.cancel()
    thread.join(240)
    assert ends == ["CancelledError"]
    assert not _at_work_on(world.server.data(spare))


# -- after a restore --------------------------------------------------------------------------------------


def test_the_log_of_a_restored_server_can_be_restored_again(world: OnBackups, spare: str) -> None:
    """The last test: from here on another server is the primary."""
    fork = 20
    world.restore(world.times[fork])
    world.follow(spare)
    world.times, before = world.times[: fork + 1], world.times
    world.insert(3, spare)
    request = CreateBackup(database=NAME, server=spare, effect=an_effect())
    created = world.do(world.backups.create, request)
    assert world.do(world.backups.create, request).backup_id == created.backup_id
    assert len(catalogue(world).items) == 2
    world.insert(3, spare)
    world.seal(spare)
    last = len(world.times) - 1
    for backup_id in (world.backup_id, created.backup_id):
        assert world.reach(world.times[last - 1], backup_id).reaches
    world.restore(world.times[last - 1], OTHER)
    assert world.rows(OTHER) == list(range(last))
    # What was before the restore is still there, as it was then.
    world.restore(before[fork + 5], OTHER)
    assert world.rows(OTHER) == list(range(fork + 6))


def test_failures_carry_no_secret(world: OnBackups) -> None:
    settings = world.server.settings()
    settings["barman"]["server"] = "another"
    other = databases(Settings(databases={NAME: settings}), lambda: None).backups[NAME]
    with pytest.raises(Misconfigured, match="Unknown server 'another'") as caught:
        ActivityEnvironment().run(other.backups)
    assert isinstance(caught.value, ApplicationError)
    settings["barman"]["program"] = ["/nowhere/barman"]
    nowhere = databases(Settings(databases={NAME: settings}), lambda: None).backups[NAME]
    with pytest.raises(Misconfigured, match="cannot run /nowhere/barman"):
        ActivityEnvironment().run(nowhere.backups)
