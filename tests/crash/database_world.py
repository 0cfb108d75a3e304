"""The world of the databases' scenarios: a service database of the case's own, and what is left of it."""

import base64
from collections.abc import Collection
from typing import Any, ClassVar

import httpx
import psycopg
from psycopg import sql
from temporalio.client import WorkflowHandle

from activities.kubernetes.database_secrets import HOLD
from sandbox import manifests
from sandbox.service_database import SECRET, SERVERS, ServiceDatabase
from tests.crash.scenario import Case, EndState
from tests.crash.world import ServiceScenario

_CONNECT_SECONDS = 30
_OPTIONS = "-c statement_timeout=30s"


class DatabaseScenario(ServiceScenario):
    """A scenario on the service's database; those that derive from it say what is different.

    `databases` names the effects at which PostgreSQL is killed too, and the servers:
    `{"DatabaseFailover/promote": ("primary", "replica-1")}`.
    """

    weight = 2.0  # five servers of its own, Barman, and the programs of both
    synchronous = False
    restart_crashed = False
    backup = False
    """Whether there is one before the run begins."""
    tables: ClassVar[Collection[str]] = ("adapters", "training_jobs", "events")
    """Whose rows are counted, through the service's Secret."""

    def __init__(self) -> None:
        super().__init__()
        self._databases: dict[str, ServiceDatabase] = {}

    # -- what differs ------------------------------------------------------------------------------------------

    def database(self, case: Case) -> ServiceDatabase:
        """Give the case's own."""
        return self._databases[case.namespace]

    def database_of(self, handle: WorkflowHandle[Any, Any]) -> ServiceDatabase:
        """Give the one of a run, for `steer`."""
        return self._databases[handle.id.removesuffix("-run")]

    def database_policy(self, case: Case) -> dict[str, Any]:
        """Give the settings of the service's `database` that this scenario needs besides."""
        return {}

    def policy(self, case: Case) -> dict[str, Any]:
        return {"database": {**self.database(case).policy(), "name": case.namespace, **self.database_policy(case)}}

    # -- before ------------------------------------------------------------------------------------------------

    def _prepare(self, case: Case) -> dict[str, Any]:
        database = self._databases[case.namespace] = ServiceDatabase(
            case.directory / "database", synchronous=self.synchronous, restart_crashed=self.restart_crashed
        )
        database.start()
        database.wait_ready()
        if self.backup:
            database.backup()
        manifests.apply_secrets(case.servers.kubeconfig, case.namespace, database.secrets())
        # A name of its own: the records, which the cases share, keep the verdicts of backups by it.
        return {**super()._prepare(case), "databases": {case.namespace: database.settings()}}

    # -- after -------------------------------------------------------------------------------------------------

    def look(self, case: Case, api: httpx.Client, state: EndState) -> None:
        database = self.database(case)
        url = _look_at_the_secrets(case, api, state)
        for server in SERVERS:
            _look_at_a_server(database, server, state)
        _look_through_the_service(url, self.tables, state)
        if not state.counts["replicas"]:
            state.paused.append("the service has no replicas")

    def remove(self, case: Case) -> None:
        super().remove(case)
        if database := self._databases.pop(case.namespace, None):
            database.stop()


def _look_at_the_secrets(case: Case, api: httpx.Client, state: EndState) -> str:
    """See which server the service is pointed at; gives the URL."""
    root = f"/api/v1/namespaces/{case.namespace}/secrets"
    found = api.get(f"{root}/{SECRET}").raise_for_status().json()
    url = found["data"]["url"]
    for server in SERVERS:
        own = api.get(f"{root}/{SECRET}-{server}").raise_for_status().json()
        if own["data"]["url"] == url:
            state.counts[f"the service is pointed at {server}"] = 1
    if HOLD in found["metadata"].get("annotations", {}):
        state.paused.append("the service's Secret is held")
    return base64.b64decode(url).decode()


def _look_at_a_server(database: ServiceDatabase, server: str, state: EndState) -> None:
    state.counts[f"{server} has data"] = int((database.data(server) / "PG_VERSION").exists())
    state.counts[f"{server} is fenced"] = int(database.fenced(server))
    state.counts[f"{server} runs"] = int(database.pid(server) is not None)
    try:
        with psycopg.connect(database.url(server), connect_timeout=_CONNECT_SECONDS, options=_OPTIONS) as connection:
            row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
    except psycopg.OperationalError:
        return
    assert row is not None
    state.counts[f"{server} {'is in recovery' if row[0] else 'takes writes'}"] = 1


def _look_through_the_service(url: str, tables: Collection[str], state: EndState) -> None:
    """Do what the service does: read and write as its own role, by its own Secret."""
    try:
        with psycopg.connect(url, connect_timeout=_CONNECT_SECONDS, options=_OPTIONS) as connection:
            for table in tables:
                row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
                assert row is not None
                state.counts[f"rows of {table}"] = row[0]
            connection.execute("INSERT INTO events (kind) VALUES ('probe')")
            connection.rollback()
    except psycopg.Error as error:
        state.paused.append(f"the service can't write ({type(error).__name__})")
    else:
        state.counts["the service can write"] = 1
