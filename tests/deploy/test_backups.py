"""docs/backups.md tried: both databases are saved, lost and brought back, each older than the other, and runs go on."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import tomli_w
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from sandbox import probes
from sandbox.postgres import Postgres
from sandbox.postgres_programs import PostgresPrograms
from sandbox.processes import ServerProcess
from sandbox.temporal import Temporal
from sandbox.temporal_on_postgres import DATABASES, TemporalOnPostgres
from tests.workflows.steering import texts, until
from workers.converter import DATA_CONVERTER
from workers.queues import ROLES
from workflows.platform.search_attributes import SEARCH_ATTRIBUTES
from workflows.security.api_key_rotation import ApiKeyRotation, ApiKeyRotationRequest, ApiKeyRotationResult
from workflows.security.words import RevokeNow

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]

_QUEUE = "backups"
_ADA = {"who": "ada@example.org", "role": "security"}
_LONG = timedelta(hours=1)
PROGRAMS = PostgresPrograms(None)


def pg(program: str, *arguments: object) -> None:
    """Run one of PostgreSQL's programs, as docs/backups.md has it."""
    command = [str(PROGRAMS.folder / program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Dumped:
    """A database that is saved by pg_dump and comes back by pg_restore."""

    def __init__(self, server: Postgres, database: str, file: Path) -> None:
        self._server, self._database, self._file = server, database, file

    def save(self) -> None:
        pg("pg_dump", "--format=custom", f"--file={self._file}", self._server.url(self._database))

    def restore(self) -> None:
        pg("dropdb", "--force", f"--maintenance-db={self._server.url()}", self._database)
        pg("createdb", "--template=template0", f"--maintenance-db={self._server.url()}", self._database)
        pg("pg_restore", "--exit-on-error", f"--dbname={self._server.url(self._database)}", self._file)


class Copied:
    """A whole server that is saved by pg_basebackup, and comes back as that copy."""

    def __init__(self, server: Postgres, folder: Path) -> None:
        self._server, self._folder = server, folder

    def save(self) -> None:
        pg(
            "pg_basebackup",
            "--wal-method=stream",
            "--checkpoint=fast",
            f"--pgdata={self._folder}",
            "-d",
            self._server.url(),
        )
        pg("pg_verifybackup", "--quiet", self._folder)

    def restore(self) -> None:
        for process in self._server.processes:
            process.stop()
        shutil.rmtree(self._server.data)
        shutil.copytree(self._folder, self._server.data)
        PROGRAMS.own(self._server.data, *self._server.data.rglob("*"))
        self._server.restart()


class Installation:
    """Temporal, the records, a worker and the command line."""

    def __init__(self, folder: Path, temporal: Temporal | TemporalOnPostgres) -> None:
        self.folder, self.temporal = folder, temporal
        self.records = Postgres(folder / "records")
        self.file = folder / "runbooks.toml"
        self._worker = ServerProcess(
            name="worker",
            directory=folder / "worker",
            argv=[sys.executable, "-m", "workers"],
            env={"RUNBOOKS_CONFIG": str(self.file)},
            stop_timeout=30.0,
        )

    def start(self) -> None:
        self.records.start()
        self.records.wait_ready()
        url = self.records.create_database("runbooks")
        key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.folder / "audit.pem").write_bytes(key)
        settings: dict[str, Any] = {
            "temporal": {
                "address": self.temporal.address,
                "task_queue": _QUEUE,
                # No step here needs them.
                "roles": [role for role in ROLES if role not in {"orchestration", "messages"}],
            },
            "worker": {"roles": ["orchestration"], "dead_worker_keeps_runs": "PT3S"},
            "records": {"url": url},
            "evidence": {"directory": str(self.folder / "evidence")},
            "audit": {"private_key": f"file:{self.folder}/audit.pem", "settle": "PT0S"},
            "handover": {"secret": "of this test alone", "base_url": "http://handover.example"},
            "approvals": {"allow_unsigned": True},
            "services": {
                "tensafe": {
                    "namespace": "x",
                    "deployment": "x",
                    "selector": "a=b",
                    "health_url": "http://127.0.0.1:1",
                }
            },
        }
        self.file.write_text(tomli_w.dumps(settings))
        self.migrate()
        with self.sql() as sql:
            for tenant in ("one", "two", "three"):
                sql.execute(
                    "INSERT INTO runbooks.tenants (tenant_id, name, tier, contact_name, email) "
                    "VALUES (%s, %s, 'enterprise', 'Grace', 'grace@example.org')",
                    (tenant, tenant),
                )
                sql.execute(
                    "INSERT INTO runbooks.api_keys (key_id, tenant_id, key_hash, workflow_id, run_id, effect_key) "
                    "VALUES (%s, %s, sha256(convert_to(%s, 'UTF8')), 'w', 'r', %s)",
                    (f"tsk_old{tenant:0>8}", tenant, tenant, tenant),
                )

    def migrate(self) -> str:
        done = self._run("records_schema", "migrate")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _run(self, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "RUNBOOKS_CONFIG": str(self.file), "COLUMNS": "500"}
        environment["RUNBOOKS_RECORDS__URL"] = self.records.url("runbooks")
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def runbooks(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run("starters", *arguments)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Client]:
        """Have a worker; the databases are touched only while there is none."""
        self._worker.start()
        try:
            await asyncio.to_thread(self._worker.wait_ready, probes.log_line(self._worker.log, "worker started"))
            yield await Client.connect(self.temporal.address, data_converter=DATA_CONVERTER)
        finally:
            await asyncio.to_thread(self._worker.stop)
            self._worker.log.unlink()

    def sql(self) -> "psycopg.Connection[Any]":
        return psycopg.connect(self.records.url("runbooks"), autocommit=True)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self.sql() as sql:
            return sql.execute(query.encode(), values).fetchall()

    def living_keys(self, tenant: str) -> int:
        query = "SELECT count(*) FROM runbooks.api_keys WHERE tenant_id = %s AND runbooks.api_key_verdict(key_id) = ''"
        return int(self.rows(query, tenant)[0][0])

    def archive(self) -> subprocess.CompletedProcess[str]:
        return self.runbooks("audit", "archive")

    def whole(self) -> str:
        """Verify the chain; gives why it isn't whole."""
        done = self.runbooks("audit", "verify", "--all")
        assert done.returncode in {0, 1}, done.stdout + done.stderr
        return "" if done.returncode == 0 else done.stdout + done.stderr

    def put_newer_heads_aside(self) -> int:
        """Do what the archiver's refusal says: the heads after the last record that there is, moved and kept."""
        ((last,),) = self.rows("SELECT coalesce(max(seq), 0) FROM runbooks.archive_records")
        aside = self.folder / "heads-of-before"
        aside.mkdir(exist_ok=True)
        newer = [head for head in (self.folder / "evidence/audit/heads").glob("0*.json") if int(head.stem) > last]
        for head in newer:
            head.rename(aside / head.name)
        return len(newer)


@pytest.fixture(params=["development", pytest.param("postgresql", marks=pytest.mark.production)])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    made = TemporalOnPostgres if request.param == "postgresql" else Temporal
    temporal = made(tmp_path / "temporal", SEARCH_ATTRIBUTES)
    found = Installation(tmp_path, temporal)
    try:
        temporal.start()
        temporal.wait_ready()
        found.start()
        yield found
    finally:
        temporal.stop()
        found.records.stop()


class TemporalBackup:
    """Temporal as it is now: by pg_dump of both its databases, or its file where it is the development server."""

    def __init__(self, temporal: Temporal | TemporalOnPostgres, folder: Path) -> None:
        self._temporal, self._folder = temporal, folder
        folder.mkdir()

    def _dumps(self) -> list[Dumped]:
        assert isinstance(self._temporal, TemporalOnPostgres)
        return [Dumped(self._temporal.database, name, self._folder / f"{name}.dump") for name in DATABASES]

    def save(self) -> None:
        if isinstance(self._temporal, TemporalOnPostgres):
            for dump in self._dumps():
                dump.save()
            return
        self._temporal.stop()
        for file in self._temporal.directory.glob(f"{self._temporal.file.name}*"):
            shutil.copy(file, self._folder)  # what is in its log is not in the file itself
        self._temporal.restart()

    def restore(self) -> None:
        if isinstance(self._temporal, TemporalOnPostgres):
            server, *_ = [process for process in self._temporal.processes if process.name == "temporal"]
            server.stop()
            for dump in self._dumps():
                dump.restore()
        else:
            self._temporal.stop()
            for file in self._temporal.directory.glob(f"{self._temporal.file.name}*"):
                file.unlink()
            shutil.copytree(self._folder, self._temporal.directory, dirs_exist_ok=True)
        self._temporal.restart()


async def rotation(client: Client, tenant: str, grace: timedelta = _LONG) -> WorkflowHandle[Any, Any]:
    """Start one, and wait until the old key is in its grace."""
    handle = await client.start_workflow(
        ApiKeyRotation.run,
        ApiKeyRotationRequest(service="tensafe", tenant_id=tenant, grace=grace),
        id=f"rotation-{tenant}",
        task_queue=_QUEUE,
    )
    await until(handle, lambda status: status.phase == "Grace period", within=240)
    return handle


async def revoke_now(handle: WorkflowHandle[Any, Any]) -> None:
    await until(handle, lambda status: status.phase == "Grace period", within=240)
    str(await handle.execute_update(ApiKeyRotation.revoke, RevokeNow(**_ADA)))


async def records_come_back_older(place: Installation, dump: Dumped) -> None:
    """The records are from before the second run: it knows of a key that they don't."""
    async with place.working() as client:
        first = await rotation(client, "one")
        await revoke_now(first)
        assert (await first.result()).rotated
        assert (done := place.archive()).returncode == 0, done.stderr
        assert not place.whole()
        # While all is at work, and no run waits for it.
        await asyncio.to_thread(dump.save)
        second = await rotation(client, "two")
        assert place.living_keys("two") == 2
    await asyncio.to_thread(dump.restore)
    assert "up to date" in place.migrate()
    assert place.living_keys("two") == 1
    assert not place.whole()
    async with place.working() as client:
        second = client.get_workflow_handle(second.id, result_type=ApiKeyRotationResult)
        with pytest.raises(WorkflowUpdateFailedError):
            await revoke_now(second)
        with pytest.raises(WorkflowFailureError):
            await second.result()
        status = await second.query(ApiKeyRotation.status)
        assert "the records know of no key in the place of tsk_old00000two: were they restored?" in texts(status)
        # The customer is not left without a key.
        assert place.living_keys("two") == 1
        assert (done := place.archive()).returncode == 0, done.stderr
        assert not place.whole()


async def temporal_comes_back_older(place: Installation, earlier: TemporalBackup, third_id: str) -> int:
    """Temporal is from before the third run's end, and before the fourth; gives how many records there are."""
    async with place.working() as client:
        third = client.get_workflow_handle(third_id, result_type=ApiKeyRotationResult)
        await revoke_now(third)
        assert (await third.result()).rotated
        fourth = await rotation(client, "one")
        assert (done := place.archive()).returncode == 0, done.stderr
    ((archived,),) = place.rows("SELECT count(*) FROM runbooks.archive_records")
    effects = place.rows("SELECT action, target FROM runbooks.audit_log ORDER BY 1, 2")
    await asyncio.to_thread(earlier.restore)
    async with place.working() as client:
        # It does once more what it had done, finds it done, and comes to the same end.
        third = client.get_workflow_handle(third_id, result_type=ApiKeyRotationResult)
        await revoke_now(third)
        assert (await third.result()).rotated
        assert place.rows("SELECT action, target FROM runbooks.audit_log ORDER BY 1, 2") == effects
        # What began after the backup is nowhere; its key stays as the records have it.
        with pytest.raises(RPCError) as gone:
            await client.get_workflow_handle(fourth.id, run_id=fourth.first_execution_run_id).describe()
        assert gone.value.status is RPCStatusCode.NOT_FOUND
        assert place.living_keys("one") == 2
        # The archive has the third run's end already: the first one counts.
        assert (done := place.archive()).returncode == 0, done.stderr
        assert place.rows("SELECT count(*) FROM runbooks.archive_records") == [(archived,)]
        assert not place.whole()
    return int(archived)


async def test_each_is_restored_older_than_the_other_and_both_together(
    installation: Installation, tmp_path: Path
) -> None:
    place = installation
    await records_come_back_older(place, Dumped(place.records, "runbooks", tmp_path / "records.dump"))
    copy = Copied(place.records, tmp_path / "records-copy")
    earlier = TemporalBackup(place.temporal, tmp_path / "temporal-backup")
    async with place.working() as client:
        third = await rotation(client, "three")
    await asyncio.to_thread(earlier.save)
    await asyncio.to_thread(copy.save)
    archived = await temporal_comes_back_older(place, earlier, third.id)

    # Both come back, the records as a copy of the whole server: the archive is older than heads that lie elsewhere.
    await asyncio.to_thread(copy.restore)
    await asyncio.to_thread(earlier.restore)
    assert "record" in place.whole()
    async with place.working() as client:
        refused = place.archive()
        assert refused.returncode == 1, refused.stdout
        assert "its end was cut off" in refused.stdout + refused.stderr
        assert "move the heads after record" in refused.stdout + refused.stderr
        assert place.put_newer_heads_aside() == 1
        third = client.get_workflow_handle(third.id, result_type=ApiKeyRotationResult)
        await revoke_now(third)
        assert (await third.result()).rotated
        assert (done := place.archive()).returncode == 0, done.stderr
        assert place.rows("SELECT count(*) FROM runbooks.archive_records") == [(archived,)]
        assert not place.whole()
