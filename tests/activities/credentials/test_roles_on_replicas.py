"""An old role that somebody uses on a replica: named, thrown out, and said where it could not be."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
import pytest
from kubernetes import client

from activities.catalogue.security import CredentialPolicy
from activities.credentials import database_roles
from activities.credentials.credential import Credential
from activities.credentials.database_roles import DatabaseRoles
from activities.credentials.secret_values import KeptSecrets
from sandbox.ports import free_port
from sandbox.service_database import ServiceDatabase
from tests.activities.credentials.readers import LOGIN, Roles, keep
from tests.activities.credentials.rotating import rotating
from tests.activities.database.on_replicas import OnReplicas
from tests.activities.kubernetes.on_cluster import eventually

SERVERS = ["primary", "replica-1"]


@dataclass
class Copied:
    """A database with a replica, the service's login by one role, and somebody who still uses the other there."""

    on: OnReplicas
    roles: Roles
    login: CredentialPolicy
    api: client.ApiClient
    namespace: str

    @property
    def old(self) -> str:
        return self.roles.names[0]

    @property
    def at_replica(self) -> str:
        parts, replica = urlsplit(self.roles.login(self.old)), urlsplit(self.on.database.url("replica-1"))
        return urlunsplit(parts._replace(netloc=f"{self.old}:{self.roles.password}@{replica.hostname}:{replica.port}"))

    def connect(self) -> psycopg.Connection:
        eventually(lambda: self.on.sql("replica-1", f"SELECT count(*) FROM pg_roles WHERE rolname = '{self.old}'") == 1)
        return psycopg.connect(self.at_replica, application_name="a report", autocommit=True)

    def rotates(self, **urls: str) -> DatabaseRoles:
        return DatabaseRoles(KeptSecrets(client.CoreV1Api(self.api)), OnReplicas(self.on.database, **urls).databases)

    def uses(self, rotates: DatabaseRoles) -> list[str]:
        credential = Credential(namespace=self.namespace, name="login", policy=self.login, servers=SERVERS)
        return rotates.sessions(credential, self.old)

    def retired(self, rotates: DatabaseRoles) -> str:
        return rotates.retire(rotating(self.namespace, self.login, retired=self.old, servers=SERVERS)).after

    def elsewhere(self) -> str:
        parts = urlsplit(self.on.database.url("replica-1"))
        return urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{free_port()}"))


@pytest.fixture
def copied(
    start_service_database: Callable[..., ServiceDatabase],
    cluster_api: client.ApiClient,
    kube: httpx.Client,
    namespace: str,
) -> Copied:
    on = OnReplicas(start_service_database())
    roles = Roles.create(on.database.url("primary"))
    keep(kube, namespace, LOGIN, url=roles.login(roles.names[1]))
    login = CredentialPolicy(kind="database-roles", secret=LOGIN, key="url", database="tensafe", roles=roles.names)
    return Copied(on, roles, login, cluster_api, namespace)


def test_who_uses_it_on_a_replica_is_named_and_thrown_out(copied: Copied) -> None:
    rotates = copied.rotates()
    with copied.connect() as report:
        (used,) = copied.uses(rotates)
        assert used.startswith("1 × a report from ")
        assert used.endswith(", on replica-1")
        assert copied.retired(rotates) == f"{copied.old} has no password any more; 1 session of it ended"
        with pytest.raises(psycopg.OperationalError):
            report.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(copied.at_replica)
    assert copied.uses(rotates) == []


def test_a_replica_that_keeps_behind_is_said_to_let_the_old_password_in(
    copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_roles, "_REPLAYED_WITHIN", 0.5)
    with copied.connect() as report:
        copied.on.sql("replica-1", "SELECT pg_wal_replay_pause()")
        after = copied.retired(copied.rotates())
        assert "1 session of it ended" in after
        assert "NOT SURE ON replica-1: it has not replayed that yet" in after
        with pytest.raises(psycopg.OperationalError):
            report.execute("SELECT 1")


def test_a_replica_that_does_not_answer_is_not_fine(copied: Copied) -> None:
    rotates = copied.rotates(replica_1=copied.elsewhere())
    (used,) = copied.uses(rotates)
    assert used.startswith("who is connected to replica-1 can't be read: ")
    assert "NOT SURE ON replica-1: its sessions there could not be ended" in copied.retired(rotates)
