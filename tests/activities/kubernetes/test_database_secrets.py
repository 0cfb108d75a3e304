"""Pointing a service at another database server on a real API server: each effect once, and no URL anywhere else."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from kubernetes import client

from activities.common.effects import Effect, is_effect
from activities.common.errors import Misconfigured, NotFound, Refused
from activities.kubernetes.database_secrets import (
    HOLD,
    DatabaseSecretRequest,
    DatabaseSecrets,
    HoldSecret,
    PointAt,
    ReleaseSecret,
)
from tests.activities.kubernetes.on_cluster import an_effect

SERVERS = {"primary": "db-primary", "replica-1": "db-replica-1"}
UNTIL = datetime.now(UTC) + timedelta(hours=3)


@pytest.fixture(scope="module")
def secrets(cluster_api: client.ApiClient) -> DatabaseSecrets:
    return DatabaseSecrets(cluster_api)


class Kept:
    """The Secrets of a namespace, as `kubectl` would see them."""

    def __init__(self, kube: httpx.Client, namespace: str) -> None:
        self.kube = kube
        self.namespace = namespace
        self.path = f"/api/v1/namespaces/{namespace}/secrets"
        for name, url in {"db": _url("primary"), **{s: _url(n) for n, s in SERVERS.items()}}.items():
            body = {"metadata": {"name": name}, "stringData": {"url": url}}
            kube.post(self.path, json=body).raise_for_status()

    def read(self, name: str = "db") -> dict[str, Any]:
        raw: dict[str, Any] = self.kube.get(f"{self.path}/{name}").raise_for_status().json()
        return raw

    def url(self, name: str = "db") -> str:
        return base64.b64decode(self.read(name)["data"]["url"]).decode()

    def write(self, url: str, name: str = "db") -> None:
        kind = {"Content-Type": "application/merge-patch+json"}
        body = json.dumps({"stringData": {"url": url}})
        self.kube.patch(f"{self.path}/{name}", headers=kind, content=body).raise_for_status()

    @property
    def where(self) -> dict[str, Any]:
        return {"namespace": self.namespace, "secret": "db", "servers": SERVERS}

    def point(
        self, effect: Effect | None = None, *, server: str = "replica-1", instead_of: str | None = "primary"
    ) -> PointAt:
        return PointAt(**self.where, server=server, instead_of=instead_of, effect=effect or an_effect())

    def hold(self, effect: Effect, until: datetime = UNTIL) -> HoldSecret:
        return HoldSecret(namespace=self.namespace, secret="db", until=until, effect=effect)


def _url(server: str) -> str:
    return f"postgresql://tensafe:s3cret@{server}:5432/tensafe"


def _of(run: str) -> Effect:
    return an_effect().model_copy(update={"workflow_id": run})


@pytest.fixture
def kept(kube: httpx.Client, tensafe: str) -> Kept:
    return Kept(kube, tensafe)


def test_where_the_service_is_pointed(secrets: DatabaseSecrets, kept: Kept):
    request = DatabaseSecretRequest(**kept.where)
    assert str(secrets.pointed_at(request)) == "primary"
    kept.write(_url("replica-1") + "\n")
    assert secrets.pointed_at(request).server == "replica-1"
    kept.write(_url("somewhere"))
    assert secrets.pointed_at(request).server is None


def test_pointed_elsewhere_once(secrets: DatabaseSecrets, kept: Kept):
    assert is_effect(secrets.point)
    request = kept.point()
    first = secrets.point(request)
    assert (first.before, first.after, first.applied) == ("primary", "replica-1", True)
    assert kept.url() == _url("replica-1")
    kept.write(_url("primary"))  # by a person, since
    again = secrets.point(request)
    assert (again.before, again.after, again.applied) == ("primary", "replica-1", False)
    assert kept.url() == _url("primary")


def test_no_url_leaves_the_secret(secrets: DatabaseSecrets, kept: Kept):
    change = secrets.point(kept.point())
    assert "s3cret" not in change.model_dump_json()
    assert "s3cret" not in json.dumps(kept.read()["metadata"]["annotations"])


def test_a_plan_changes_nothing(secrets: DatabaseSecrets, kept: Kept):
    before = kept.read()
    change = secrets.point(kept.point(an_effect(dry_run=True)))
    assert (change.after, change.applied) == ("replica-1", False)
    assert kept.read() == before


def test_refused_where_it_is_pointed_elsewhere_than_seen(secrets: DatabaseSecrets, kept: Kept):
    kept.write(_url("somewhere"))
    with pytest.raises(Refused, match="no longer at primary"):
        secrets.point(kept.point())
    assert kept.url() == _url("somewhere")
    assert secrets.point(kept.point(instead_of=None)).applied


def test_already_there_is_fine(secrets: DatabaseSecrets, kept: Kept):
    kept.write(_url("replica-1"))
    assert not secrets.point(kept.point()).applied


def test_settings_that_cannot_be_meant(secrets: DatabaseSecrets, kept: Kept):
    with pytest.raises(Misconfigured, match="not among"):
        secrets.point(kept.point(server="replica-9"))
    with pytest.raises(NotFound):
        secrets.pointed_at(DatabaseSecretRequest(**kept.where).model_copy(update={"secret": "nothing"}))
    with pytest.raises(Misconfigured, match=r"no key 'dsn'; it has: url"):
        secrets.pointed_at(DatabaseSecretRequest(**kept.where, key="dsn"))
    kept.write(_url("primary"), name="db-replica-1")
    with pytest.raises(Misconfigured, match="primary, replica-1 have the same url"):
        secrets.pointed_at(DatabaseSecretRequest(**kept.where))


def test_of_two_runs_one_holds_it(secrets: DatabaseSecrets, kept: Kept):
    assert secrets.hold(kept.hold(_of("run-a"))).applied
    found = secrets.pointed_at(DatabaseSecretRequest(**kept.where))
    assert (found.held_by, found.held_until) == ("run-a", UNTIL)
    with pytest.raises(Refused, match="held by run-a"):
        secrets.hold(kept.hold(_of("run-b")))
    with pytest.raises(Refused, match="held by run-a"):
        secrets.point(kept.point(_of("run-b")))
    assert secrets.point(kept.point(_of("run-a"))).applied
    later = UNTIL + timedelta(minutes=5)
    assert secrets.hold(kept.hold(_of("run-a"), later)).applied
    assert secrets.pointed_at(DatabaseSecretRequest(**kept.where)).held_until == later


def test_released_by_whose_it_is(secrets: DatabaseSecrets, kept: Kept):
    secrets.hold(kept.hold(_of("run-a")))
    release = {"namespace": kept.namespace, "secret": "db"}
    assert not secrets.release(ReleaseSecret(**release, effect=_of("run-b"))).applied
    assert HOLD in kept.read()["metadata"]["annotations"]
    assert secrets.release(ReleaseSecret(**release, effect=_of("run-a"))).applied
    assert HOLD not in kept.read()["metadata"]["annotations"]
    assert secrets.hold(kept.hold(_of("run-b"))).applied


def test_a_terminated_runs_hold_expires(secrets: DatabaseSecrets, kept: Kept):
    secrets.hold(kept.hold(_of("run-a"), datetime.now(UTC) - timedelta(minutes=11)))
    assert secrets.pointed_at(DatabaseSecretRequest(**kept.where)).held_by is None
    assert secrets.hold(kept.hold(_of("run-b"))).applied
