"""Credentials that a security incident rotates, one of each kind, on the harness' own servers (runbook 8.1 step 4)."""

import base64
from typing import Any

import boto3
import httpx
import psycopg
from psycopg import sql

from sandbox.aws import REGION
from tests.crash.scenario import Case, EndState

SIGNING, LOGIN, TOKEN = "signing", "login", "token"
_FIRST = "the first one"


class Rotated:
    """A signing key and a login in Secrets of the namespace, and a token in Secrets Manager."""

    def __init__(self, case: Case, api: httpx.Client) -> None:
        self._case = case
        self._api = api
        mark = case.namespace.replace("-", "_")
        self._group, self._roles = mark, (f"{mark}_a", f"{mark}_b")

    @staticmethod
    def policies(case: Case) -> dict[str, Any]:
        """Give what settings say of them."""
        mark = case.namespace.replace("-", "_")
        return {
            SIGNING: {"kind": "secret", "secret": SIGNING, "key": "now", "overlap_key": "also"},
            LOGIN: {
                "kind": "database-roles",
                "secret": LOGIN,
                "key": "url",
                "database": "main",
                "roles": [f"{mark}_a", f"{mark}_b"],
            },
            TOKEN: {"kind": "secrets-manager", "secret": case.namespace},
        }

    def create(self) -> None:
        """Make them: the first role is in use, the second one rests."""
        with psycopg.connect(self._case.servers.records, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(self._group)))
            for role in self._roles:
                statement = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE {}")
                named = (sql.Identifier(role), sql.Literal(_FIRST), sql.Identifier(self._group))
                connection.execute(statement.format(*named))
        self._secret(SIGNING, now=_FIRST)
        _, _, behind = self._case.servers.records.rpartition("@")
        self._secret(LOGIN, url=f"postgresql://{self._roles[0]}:the%20first%20one@{behind.rpartition('//')[2]}")
        self._aws().create_secret(Name=self._case.namespace, SecretString=_FIRST)

    def look(self, state: EndState) -> None:
        """Count what there is now: one of each, none of them the first, and nobody who can still use that."""
        keys = self._values(SIGNING)
        state.counts["signing keys"] = len(keys)
        state.counts["signing keys that were there before"] = keys.count(_FIRST)
        (url,) = self._values(LOGIN)
        with psycopg.connect(url) as connection:
            (user,) = connection.execute("SELECT current_user").fetchone() or ("",)
        state.counts["logins of the other role that work"] = int(user == self._roles[1])
        with psycopg.connect(self._case.servers.records) as connection:
            query = "SELECT count(*) FROM pg_authid WHERE rolname = ANY(%s) AND rolpassword IS NOT NULL"
            (state.counts["roles with a password"],) = connection.execute(query, (list(self._roles),)).fetchone() or (
                0,
            )
        stages = self._aws().describe_secret(SecretId=self._case.namespace)["VersionIdsToStages"].values()
        state.counts["current tokens"] = sum("AWSCURRENT" in each for each in stages)
        state.counts["other tokens that can be read"] = sum(bool(each) and "AWSCURRENT" not in each for each in stages)
        # moto's own default is the version that was the first; AWS' is the current one.
        current = self._aws().get_secret_value(SecretId=self._case.namespace, VersionStage="AWSCURRENT")
        state.counts["tokens that were there before"] = int(current["SecretString"] == _FIRST)

    def remove(self) -> None:
        """Drop what lies outside of the namespace."""
        with psycopg.connect(self._case.servers.records, autocommit=True) as connection:
            for role in (*self._roles, self._group):
                connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (role,))
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
        self._aws().delete_secret(SecretId=self._case.namespace, ForceDeleteWithoutRecovery=True)

    def _secret(self, name: str, **data: str) -> None:
        body = {"metadata": {"name": name}, "stringData": data}
        self._api.post(f"/api/v1/namespaces/{self._case.namespace}/secrets", json=body).raise_for_status()

    def _values(self, name: str) -> list[str]:
        found = self._api.get(f"/api/v1/namespaces/{self._case.namespace}/secrets/{name}").raise_for_status().json()
        return [base64.b64decode(value).decode() for value in found["data"].values()]

    def _aws(self) -> Any:
        return boto3.client("secretsmanager", region_name=REGION, endpoint_url=self._case.servers.aws)


LEAVES = {
    "signing keys": 1,
    "signing keys that were there before": 0,
    "logins of the other role that work": 1,
    "roles with a password": 1,
    "current tokens": 1,
    "other tokens that can be read": 0,
    "tokens that were there before": 0,
}
"""What an undisturbed rotation of all of them leaves."""
