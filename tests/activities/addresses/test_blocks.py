"""Blocking addresses in an Ingress of a real API server and in (moto's) WAF, with the records on a real PostgreSQL."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import boto3
import httpx
import psycopg
import pytest
from kubernetes import client
from psycopg_pool import ConnectionPool

from activities.addresses.blocks import BlockAddresses, Blocking, Blocks, UnblockAddresses
from activities.addresses.lists import Lists
from activities.catalogue.security import BlockPolicy, IpSet, SecurityPolicy
from activities.catalogue.service import Service
from activities.common.effects import is_effect
from activities.common.errors import Refused
from activities.holds.kinds import BlockedAddresses
from sandbox.aws import REGION, Aws
from tests.activities.kubernetes.on_cluster import an_effect

DENY = "nginx.ingress.kubernetes.io/denylist-source-range"
BAD, BAD6, WIDE = "8.8.8.8/32", "2001:4860:4860::8888/128", "9.9.9.0/24"
OFFICE = "8.8.4.0/24"
LATER, OVER = datetime(2099, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)


class Lists4:
    """An Ingress and two IP sets; what is in them, as others see it."""

    def __init__(self, kube: httpx.Client, waf: Any) -> None:
        self.kube, self.waf = kube, waf
        self.namespace = f"blocks-{uuid4().hex[:8]}"
        kube.post("/api/v1/namespaces", json={"metadata": {"name": self.namespace}}).raise_for_status()
        self.path = f"/apis/networking.k8s.io/v1/namespaces/{self.namespace}/ingresses"
        backend = {"service": {"name": "web", "port": {"number": 80}}}
        body = {"metadata": {"name": "web"}, "spec": {"defaultBackend": backend}}
        kube.post(self.path, json=body).raise_for_status()
        self.sets = {version: self._set(version) for version in (4, 6)}
        self.policy = BlockPolicy(never=(OFFICE,), ingresses=("web",), ipv4_set=self.sets[4], ipv6_set=self.sets[6])
        self.service = f"service-{uuid4().hex[:8]}"

    def _set(self, version: int) -> IpSet:
        name = f"set-{uuid4().hex[:8]}"
        made = self.waf.create_ip_set(
            Name=name, Scope="REGIONAL", IPAddressVersion=f"IPV{version}", Addresses=[], Description="of the test"
        )
        return IpSet(name=name, id=made["Summary"]["Id"])

    def ingress(self, denied: str | None = None) -> set[str]:
        if denied is not None:
            body = {"metadata": {"annotations": {DENY: denied}}}
            kind = {"Content-Type": "application/merge-patch+json"}
            self.kube.patch(f"{self.path}/web", headers=kind, json=body).raise_for_status()
        found = self.kube.get(f"{self.path}/web").raise_for_status().json()
        text = (found["metadata"].get("annotations") or {}).get(DENY, "")
        return set(filter(None, text.split(",")))

    def ip_set(self, version: int, *more: str) -> set[str]:
        which = {"Name": self.sets[version].name, "Id": self.sets[version].id, "Scope": "REGIONAL"}
        answer = self.waf.get_ip_set(**which)
        if more:
            addresses = [*answer["IPSet"]["Addresses"], *more]
            self.waf.update_ip_set(**which, Addresses=addresses, LockToken=answer["LockToken"])
            return self.ip_set(version)
        return set(answer["IPSet"]["Addresses"])

    def where(self) -> dict[str, Any]:
        return {"service": self.service, "namespace": self.namespace, "policy": self.policy}

    def asked(self, *addresses: str) -> dict[str, Any]:
        return {**self.where(), "health_url": "http://127.0.0.1:1/health", "addresses": list(addresses)}

    def block(self, *addresses: str, incident: str = "SEC-1", until: datetime | None = LATER, dry_run: bool = False):
        made = an_effect(dry_run=dry_run)
        return BlockAddresses(**self.asked(*addresses), incident_id=incident, until=until, effect=made)

    def unblock(self, incident: str = "SEC-1") -> UnblockAddresses:
        return UnblockAddresses(**self.where(), incident_id=incident, effect=an_effect())


@pytest.fixture
def lists(kube: httpx.Client, aws: Aws) -> Iterator[Lists4]:
    waf = boto3.client(
        "wafv2", region_name=REGION, endpoint_url=aws.url, aws_access_key_id="x", aws_secret_access_key="y"
    )
    made = Lists4(kube, waf)
    yield made
    kube.delete(f"/api/v1/namespaces/{made.namespace}").raise_for_status()


@pytest.fixture
def blocks(lists: Lists4, cluster_api: client.ApiClient, records_pool: ConnectionPool[Any]) -> Blocks:
    return Blocks(records_pool, Lists(client.NetworkingV1Api(cluster_api), lambda: lists.waf))


def ends(sql: psycopg.Connection[Any]) -> None:
    sql.execute("UPDATE runbooks.blocked_addresses SET until = %s WHERE until IS NOT NULL", (OVER,))


def test_both_versions_are_blocked_once_and_given_back(
    blocks: Blocks, lists: Lists4, records_sql: psycopg.Connection[Any]
):
    assert is_effect(blocks.block)
    assert is_effect(blocks.unblock)
    lists.ingress("1.1.1.1/32")
    lists.ip_set(4, "1.1.1.1/32")
    request = lists.block(BAD, BAD6, WIDE)
    first = blocks.block(request)
    again = blocks.block(request)
    assert (first.applied, again.applied) == (True, False)
    assert lists.ingress() == {"1.1.1.1/32", BAD, BAD6, WIDE}
    assert (lists.ip_set(4), lists.ip_set(6)) == ({"1.1.1.1/32", BAD, WIDE}, {BAD6})
    assert not blocks.unblock(lists.unblock()).applied  # it is not over
    assert lists.ip_set(6) == {BAD6}
    ends(records_sql)
    assert "6 blocks given back" in blocks.unblock(lists.unblock()).after
    assert lists.ingress() == {"1.1.1.1/32"}
    assert (lists.ip_set(4), lists.ip_set(6)) == ({"1.1.1.1/32"}, set())
    assert not blocks.unblock(lists.unblock()).applied


def test_what_a_killed_attempt_entered_gets_into_the_lists(
    blocks: Blocks, lists: Lists4, monkeypatch: pytest.MonkeyPatch
):
    request = lists.block(BAD)
    with monkeypatch.context() as killed:
        killed.setattr("activities.addresses.lists.IngressList.change", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            blocks.block(request)
    assert lists.ingress() == set()
    blocks.block(request)
    assert lists.ingress() == lists.ip_set(4) == {BAD}


def test_two_incidents_block_one_address(blocks: Blocks, lists: Lists4, records_sql: psycopg.Connection[Any]):
    blocks.block(lists.block(BAD))
    blocks.block(lists.block(BAD, incident="SEC-2", until=None))
    ends(records_sql)
    blocks.unblock(lists.unblock())
    assert lists.ingress() == lists.ip_set(4) == {BAD}  # the other one has it for good


def test_two_blocks_for_a_time_end_with_the_later(blocks: Blocks, lists: Lists4, records_sql: psycopg.Connection[Any]):
    blocks.block(lists.block(BAD))
    blocks.block(lists.block(BAD, incident="SEC-2"))
    ends(records_sql)
    blocks.unblock(lists.unblock())
    blocks.unblock(lists.unblock("SEC-2"))
    assert lists.ingress() == lists.ip_set(4) == set()


def test_what_a_person_had_blocked_stays(blocks: Blocks, lists: Lists4, records_sql: psycopg.Connection[Any]):
    lists.ip_set(4, BAD)
    blocks.block(lists.block(BAD))
    ends(records_sql)
    blocks.unblock(lists.unblock())
    assert (lists.ip_set(4), lists.ingress()) == ({BAD}, set())


def test_a_change_under_another_s_token_is_made_again(blocks: Blocks, lists: Lists4, monkeypatch: pytest.MonkeyPatch):
    update, others = lists.waf.update_ip_set, ["1.0.0.1/32"]

    def overtaken(**request: Any) -> Any:
        if others:
            mine = {**request, "Addresses": [others.pop()]}
            update(**mine)
        return update(**request)

    monkeypatch.setattr(lists.waf, "update_ip_set", overtaken)
    blocks.block(lists.block(BAD))
    assert lists.ip_set(4) == {"1.0.0.1/32", BAD}


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("10.1.2.3/32", "public internet"),
        ("127.0.0.1/32", "own"),
        ("::1/128", "own|public internet"),
        ("fd00::1/128", "public internet"),
        ("::ffff:8.8.8.8/128", "public internet"),
        ("224.0.0.1/32", "public internet"),
        ("169.254.169.254/32", "public internet"),
        ("0.0.0.0/0", "settings never|public internet|wider|own"),
        ("8.8.0.0/16", "settings never"),
        ("9.0.0.0/16", "wider than /24"),
        ("2001:4860::/32", "wider than /56"),
        ("8.8.4.4/32", "settings never block it"),
        ("9.9.9.7/32", "own"),
    ],
)
def test_what_is_never_blocked(blocks: Blocks, lists: Lists4, address: str, why: str):
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "9.9.9.7"}]}}}
    kind = {"Content-Type": "application/merge-patch+json"}
    lists.kube.patch(f"{lists.path}/web/status", headers=kind, json=status).raise_for_status()
    against = blocks.objections(Blocking(**lists.asked(address, BAD))).against
    assert list(against) == [address]
    assert any(each in against[address] for each in why.split("|"))
    with pytest.raises(Refused):
        blocks.block(lists.block(address, BAD))
    assert lists.ingress() == set()


def test_a_load_balancer_with_a_name_is_the_services_own(
    blocks: Blocks, lists: Lists4, monkeypatch: pytest.MonkeyPatch
):
    status = {"status": {"loadBalancer": {"ingress": [{"hostname": "lb.example"}, {"hostname": "nowhere.invalid"}]}}}
    kind = {"Content-Type": "application/merge-patch+json"}
    lists.kube.patch(f"{lists.path}/web/status", headers=kind, json=status).raise_for_status()
    real = socket.getaddrinfo

    def resolved(host: str, *rest: Any) -> Any:
        return real("9.9.9.7" if host == "lb.example" else host, *rest)

    monkeypatch.setattr("activities.addresses.blocks.socket.getaddrinfo", resolved)  # no name server here knows it
    assert list(blocks.objections(Blocking(**lists.asked("9.9.9.7/32", BAD))).against) == ["9.9.9.7/32"]


def test_a_plan_changes_nothing(blocks: Blocks, lists: Lists4):
    assert not blocks.block(lists.block(BAD, dry_run=True)).applied
    assert lists.ingress() == lists.ip_set(4) == set()
    assert blocks.open(lists.service) == []


def test_the_sweep_finds_it_and_gives_it_back(blocks: Blocks, lists: Lists4, records_sql: psycopg.Connection[Any]):
    security = SecurityPolicy(blocks=lists.policy, channel="#closed")
    service = Service(
        name=lists.service,
        namespace=lists.namespace,
        deployment="web",
        selector="app=web",
        health_url="http://127.0.0.1:1/health",
        security=security,
    )
    kind = BlockedAddresses(blocks, {lists.service: service})
    blocks.block(lists.block(BAD))
    blocks.block(lists.block(WIDE, incident="SEC-2", until=None))
    (place,) = kind.places()
    assert place.channel == "#closed"
    (held,) = kind.held(place)
    assert (held.name, held.until, held.run) == ("SEC-1", LATER, "p1")
    ends(records_sql)
    (held,) = kind.held(held.place)
    assert held.until < datetime.now(UTC) - timedelta(days=1)
    assert kind.give_back(held, an_effect()).applied
    assert lists.ingress() == lists.ip_set(4) == {WIDE}
    assert kind.held(place) == []
