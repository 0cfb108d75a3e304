"""A failover: fenced before anybody is promoted, promoted once, and the service writes again, whoever is killed."""

from typing import Any, ClassVar

import httpx
import psycopg
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle

from activities.kubernetes.database_secrets import HOLD
from sandbox import kubernetes_api, manifests
from sandbox.probes import wait_until
from sandbox.service_database import PRIMARY, REPLICA, SECRET, ServiceDatabase
from tests.crash.database_world import DatabaseScenario
from tests.crash.people import decide, when
from tests.crash.scenario import Case, EndState
from tests.crash.world import a_deployment
from workflows.disaster_recovery.failover.database_failover import DatabaseFailoverRequest

_ROWS = 3
BILLING = "billing"
_BILLING_SECRET = f"{BILLING}-database"
_MOVED = {
    f"the service is pointed at {REPLICA}": 1,
    f"{REPLICA} takes writes": 1,
    "the service can write": 1,
    "rows of events": 500 + _ROWS,
    "promotions": 1,
    f"{BILLING} is pointed at {REPLICA}": 1,
    f"changes of {BILLING}": 2,
    "Deployment notes restart": 1,
    "replicas ready": 3,
}


class FailoverScenario(DatabaseScenario):
    """The primary is down and stays so; the replica's machine starts a PostgreSQL again that is killed."""

    name = "database-failover"
    procedure = "database_failover"
    restart_crashed = True
    programs: ClassVar[tuple[str, ...]] = ("DatabaseFailover/fence", "DatabaseFailover/rejoin")
    databases: ClassVar = {"DatabaseFailover/fence": (REPLICA,), "DatabaseFailover/promote": (REPLICA,)}
    leaves: ClassVar = {**_MOVED, f"{PRIMARY} is in recovery": 1, f"{PRIMARY} is fenced": 0}

    def _prepare(self, case: Case) -> dict[str, Any]:
        """Have a second service use the same database."""
        settings = super()._prepare(case)
        urls = self.database(case).secrets()
        own = {name.replace(SECRET, _BILLING_SECRET): url for name, url in urls.items()}
        manifests.apply_secrets(case.servers.kubeconfig, case.namespace, own)
        with kubernetes_api.connect(case.servers.kubeconfig) as api:
            kubernetes_api.apply(api, [a_deployment(case.namespace, BILLING)])
        database = settings["services"][case.namespace]["database"]
        theirs = {
            server: {**policy, "secret": policy["secret"].replace(SECRET, _BILLING_SECRET)}
            for server, policy in database["servers"].items()
        }
        settings["services"][BILLING] = {
            "namespace": case.namespace,
            "deployment": BILLING,
            "selector": f"part={BILLING}",
            "health_url": settings["services"][case.namespace]["health_url"],
            "database": {"name": database["name"], "secret": _BILLING_SECRET, "servers": theirs},
        }
        return settings

    def database_policy(self, case: Case) -> dict[str, Any]:
        times = {"probes": 2, "probe_every": "PT0.3S", "probe_timeout": "PT20S", "longest_lag": "PT1H"}
        return {"failover": {**times, "decision_timeout": "PT10M", "return_timeout": "PT10M"}}

    def begin(self, case: Case, health: str) -> None:
        database = self.database(case)
        with psycopg.connect(database.service_url(PRIMARY)) as connection:
            for _ in range(_ROWS):
                connection.execute("INSERT INTO events (kind) VALUES ('kept')")
        wait_until(lambda: _rows(database, REPLICA) == _ROWS)
        database.do("stop", PRIMARY)

    def request(self, case: Case) -> DatabaseFailoverRequest:
        return DatabaseFailoverRequest(service=case.namespace)

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        await decide(handle, "failover-1", "promote")
        await decide(handle, "return-1", "rejoin")

    def look(self, case: Case, api: httpx.Client, state: EndState) -> None:
        super().look(case, api, state)
        root = f"/api/v1/namespaces/{case.namespace}/secrets"
        secret = api.get(f"{root}/{_BILLING_SECRET}").raise_for_status().json()
        own = api.get(f"{root}/{_BILLING_SECRET}-{REPLICA}").raise_for_status().json()
        state.counts[f"{BILLING} is pointed at {REPLICA}"] = int(secret["data"]["url"] == own["data"]["url"])
        if HOLD in secret["metadata"].get("annotations", {}):
            state.paused.append(f"the Secret of {BILLING} is held")
        path = f"/apis/apps/v1/namespaces/{case.namespace}/deployments/{BILLING}"
        deployment = api.get(path).raise_for_status().json()
        state.counts[f"changes of {BILLING}"] = deployment["metadata"]["generation"]
        # Each promotion begins a timeline.
        timeline = "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)"
        state.counts["promotions"] = int(_ask(self.database(case).url(REPLICA), timeline), 16) - 1


class CancelledFailoverScenario(FailoverScenario):
    """The run is cancelled when the old primary is being fenced: it goes on until the service can write."""

    name = "database-failover-cancelled"
    end = WorkflowExecutionStatus.CANCELED
    leaves: ClassVar = {**_MOVED, f"{PRIMARY} is fenced": 1}
    databases: ClassVar = {}

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        await decide(handle, "failover-1", "promote")
        await when(handle, lambda status: status.phase != "Candidate")
        await handle.cancel()


def _rows(database: ServiceDatabase, server: str) -> int:
    return int(_ask(database.url(server), "SELECT count(*) FROM events WHERE kind = 'kept'"))


def _ask(url: str, query: str) -> Any:
    with psycopg.connect(url, connect_timeout=30) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]
