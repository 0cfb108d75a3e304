"""Temporal as production runs it: its server and its Web UI as processes, all that they keep in PostgreSQL.

The server makes its configuration from the environment, by the same template as its image does: so what is set here is
what docker-compose.temporal.yml sets, with other ports. Its programs are built from source and take minutes, so this is
only for those who ask for it (`--temporal postgresql`); `sandbox/temporal.py` is quicker to have.
"""

import asyncio
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import yaml
from google.protobuf.duration_pb2 import Duration
from psycopg import sql
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import CountWorkflowExecutionsRequest, RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from sandbox import binaries, probes
from sandbox.ports import LOOPBACK, free_port
from sandbox.postgres import Postgres
from sandbox.processes import ServerFailed, ServerProcess

PLUGIN = "postgres12_pgx"
DATABASES = {"temporal": "temporal", "temporal_visibility": "visibility"}
"""Database → its schema's name in the tool."""
_ROLE = "temporal"
_NAMESPACE = "default"
_RETENTION = timedelta(days=3)
# Few: a shard that has nothing to do costs as well. It is for the life of a database, and production takes more.
_SHARDS = 4
_PARTS = ("FRONTEND", "HISTORY", "MATCHING", "WORKER")
_PATIENCE = 240.0
_PAUSE = 0.1
_DYNAMIC = {
    # As in deploy/temporal/dynamicconfig.yaml, whose reasons hold here; but with four shards each has more to do.
    "limit.maxIDLength": 255,
    "history.transferProcessorMaxPollRPS": 1000,
    "matching.enableFairness": True,
}


class TemporalOnPostgres:
    """One server with a PostgreSQL of its own; `restart` finds the histories of before at the same address."""

    name = "temporal"

    def __init__(self, directory: Path, search_attributes: Iterable[SearchAttributeKey[Any]] = ()) -> None:
        self.directory = directory
        self.port, self.ui_port, self.metrics_port, self.http_port = (free_port() for _ in range(4))
        self.address = f"{LOOPBACK}:{self.port}"
        self.ui_url = f"http://{LOOPBACK}:{self.ui_port}"
        self.database = Postgres(directory / "postgresql")
        self._search_attributes = tuple(search_attributes)
        self._password = secrets.token_urlsafe(24)
        self._server = ServerProcess(
            name="temporal",
            directory=directory,
            argv=[binaries.expected("temporal-server"), "start"],
            env=self._environment(),
            cwd=directory,
            stop_timeout=30.0,
        )
        self._ui = ServerProcess(
            name="temporal-ui",
            directory=directory,
            argv=[
                binaries.expected("temporal-ui-server"),
                *("--root", directory, "--config", "ui", "--env", "sandbox", "start"),
            ],
        )

    @property
    def processes(self) -> list[ServerProcess]:
        """PostgreSQL, the server and the Web UI."""
        return [*self.database.processes, self._server, self._ui]

    def start(self) -> None:
        """Start with no histories: an empty database, its schema, and then the server.

        Raises:
            ServerFailed: the database or the schema could not be made.

        """
        self.directory.mkdir(parents=True, exist_ok=True)
        self.database.start()
        self.database.wait_ready()
        self._make_databases()
        for database, schema in DATABASES.items():
            self._schema(database, "setup-schema", "-v", "0.0")
            self._schema(database, "update-schema", "--schema-name", f"postgresql/v12/{schema}")
        self._write_files()
        self._server.start()
        self._ui.start()

    def wait_ready(self, timeout: float = _PATIENCE) -> None:
        """Wait until frontend and Web UI answer, and the namespace takes runs with our search attributes.

        Raises:
            ServerFailed: it ended or was not ready in time.

        """
        self._server.wait_ready(probes.http(f"http://{LOOPBACK}:{self.http_port}/api/v1/namespaces"), timeout)
        asyncio.run(self._namespace())
        # Not its /healthz: that one answers before the frontend has been reached.
        self._ui.wait_ready(probes.http(f"{self.ui_url}/api/v1/namespaces"), timeout)

    def stop(self) -> None:
        """Shut down, the database last."""
        self._ui.stop()
        self._server.stop()
        self.database.stop()

    def restart(self) -> None:
        """Start the server again on the same database and ports, after `stop` or a kill of its process.

        Raises:
            ServerFailed: it did not come back.

        """
        if not any(process.pid for process in self.database.processes):
            self.database.restart()
        for process in (self._server, self._ui):
            if process.pid is None:
                process.start()
        self.wait_ready()

    def _environment(self) -> dict[str, str]:
        ports = {"FRONTEND_GRPC_PORT": self.port, "FRONTEND_HTTP_PORT": self.http_port, "DB_PORT": self.database.port}
        # `free_port` stays below 32768, and has to: the server keeps the ports of its members in a smallint.
        ports |= {f"{part}_MEMBERSHIP_PORT": free_port() for part in _PARTS}
        ports |= {f"{part}_GRPC_PORT": free_port() for part in _PARTS if part != "FRONTEND"}
        return {
            "DB": PLUGIN,
            "POSTGRES_SEEDS": LOOPBACK,
            "POSTGRES_USER": _ROLE,
            "POSTGRES_PWD": self._password,
            "DBNAME": "temporal",
            "VISIBILITY_DBNAME": "temporal_visibility",
            "NUM_HISTORY_SHARDS": str(_SHARDS),
            "LOG_LEVEL": "warn",
            "BIND_ON_IP": LOOPBACK,
            "DYNAMIC_CONFIG_FILE_PATH": str(self.directory / "dynamic.yaml"),
            "TEMPORAL_ALLOW_NO_AUTH": "true",
            "PROMETHEUS_ENDPOINT": f"{LOOPBACK}:{self.metrics_port}",
            **{name: str(port) for name, port in ports.items()},
        }

    def _make_databases(self) -> None:
        role, password = sql.Identifier(_ROLE), sql.Literal(self._password)
        with psycopg.connect(self.database.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, password))
            for database in DATABASES:
                name = sql.Identifier(database)
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(name, role))

    def _schema(self, database: str, *arguments: str) -> None:
        answer = subprocess.run(
            [binaries.expected("temporal-sql-tool"), "--db", database, *arguments],
            env={
                **os.environ,
                "SQL_PLUGIN": PLUGIN,
                "SQL_HOST": LOOPBACK,
                "SQL_PORT": str(self.database.port),
                "SQL_USER": _ROLE,
                "SQL_PASSWORD": self._password,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.returncode != 0:
            raise ServerFailed(
                f"the schema of {database} could not be made: {(answer.stderr or answer.stdout).strip()}"
            )

    def _write_files(self) -> None:
        dynamic = {name: [{"value": value}] for name, value in _DYNAMIC.items()}
        (self.directory / "dynamic.yaml").write_text(yaml.safe_dump(dynamic), encoding="utf-8")
        (self.directory / "ui").mkdir(exist_ok=True)
        page = {
            "host": LOOPBACK,
            "port": self.ui_port,
            "enableUi": True,
            "temporalGrpcAddress": self.address,
            "defaultNamespace": _NAMESPACE,
            "disableNewsFetch": True,
            "cors": {"cookieInsecure": True, "allowOrigins": [self.ui_url]},
        }
        (self.directory / "ui" / "sandbox.yaml").write_text(yaml.safe_dump(page), encoding="utf-8")

    async def _namespace(self) -> None:
        """Make the namespace with our search attributes, as deploy/temporal/namespace.sh does."""
        client = await Client.connect(self.address)
        retention = Duration()
        retention.FromTimedelta(_RETENTION)
        try:
            await client.workflow_service.register_namespace(
                RegisterNamespaceRequest(namespace=_NAMESPACE, workflow_execution_retention_period=retention)
            )
        except RPCError as error:
            if error.status is not RPCStatusCode.ALREADY_EXISTS:
                raise
        await _patiently(lambda: _add_attributes(client, self._search_attributes))
        for key in self._search_attributes:
            query = f"{key.name} IS NULL"
            await _patiently(lambda query=query: _count(client, query))  # type: ignore[misc]


async def _add_attributes(client: Client, keys: Iterable[SearchAttributeKey[Any]]) -> None:
    listed = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace=_NAMESPACE))
    missing: dict[str, Any] = {
        key.name: key.indexed_value_type for key in keys if key.name not in listed.custom_attributes
    }
    if missing:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=_NAMESPACE, search_attributes=missing)
        )


async def _count(client: Client, query: str) -> None:
    await client.workflow_service.count_workflow_executions(
        CountWorkflowExecutionsRequest(namespace=_NAMESPACE, query=query)
    )


async def _patiently(work: Callable[[], Any]) -> None:
    # The server reads its list of namespaces every two seconds: until then it knows nothing of what was made.
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            await work()
        except RPCError as error:
            if time.monotonic() > deadline:
                raise ServerFailed(f"Temporal's namespace did not become ready: {error.message}") from error
            await asyncio.sleep(_PAUSE)
        else:
            return
