"""Certificate renewal for real: an authority, a cluster, records, and addresses that serve what the Secret has."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from kubernetes import client as kubernetes_client
from psycopg_pool import ConnectionPool
from temporalio.client import Client

from activities.catalogue.certificates import AcmePolicy, CertificatePolicy, IngressPolicy, ServedName
from activities.catalogue.lookup import Catalogue
from activities.catalogue.service import ApprovalPolicy, Service
from activities.certificates.account import AcmeOptions
from activities.certificates.cert_manager import CertManager
from activities.certificates.challenges import HttpChallenges
from activities.certificates.orders import Acme
from activities.certificates.probe import ProbeRequest, TlsProbe
from activities.certificates.secrets import TlsSecrets
from activities.kubernetes.api import connect
from activities.kubernetes.cluster import Kubernetes
from activities.messages.chat.chat import Slack
from activities.messages.chat.records import RecordsChat
from activities.messages.paging.paging import Paging
from activities.messages.paging.records import RecordsPager
from sandbox.certificate_authority import CertificateAuthority
from sandbox.tls_ingress import Restarts, TlsIngress
from tests.activities.certificates.challenge_server import challenge_server
from tests.activities.certificates.issuing import DAY, Issuer, TlsSecretsOf
from tests.servers import start_environment
from tests.workflows.conftest import Working
from tests.workflows.steering import begin, told, waiting_for
from workers.later import activities_of
from workers.settings import TemporalSettings
from workers.worker import build
from workflows.maintenance.certificate_renewal import CertificateRenewalRequest
from workflows.platform.approval import Decision

pytestmark = pytest.mark.timeout(600)

NAME = "certificate_renewal"
SAM = {"who": "sam", "role": "security"}


class Real:
    """One test's service: a Secret, what serves it, and the authority."""

    def __init__(
        self,
        kubeconfig: Path,
        kept: TlsSecretsOf,
        authority: CertificateAuthority,
        pool: ConnectionPool[Any],
        folder: Path,
    ) -> None:
        self.kubeconfig, self.kept, self.authority, self.pool = kubeconfig, kept, authority, pool
        self.host = f"web-{uuid4().hex[:8]}.test"
        self.issuer = Issuer()
        self.stack = ExitStack()
        self.roots = self.issuer.write_root(folder / "roots.pem")
        self.roots.write_bytes(self.roots.read_bytes() + authority.root_file.read_bytes())
        kept.put("web", *self.issuer.issue(self.host))
        self.addresses: list[str] = []
        self.issued_before = authority.issued

    def serve(self, address: str = "127.0.0.1", *, restarts: bool = False) -> None:
        """Serve the Secret at one more address."""
        deployment = Restarts(self.kept.namespace, "tensafe-server") if restarts else None
        ingress = TlsIngress(self.kubeconfig, self.kept.namespace, "web", address=address, restarts=deployment)
        self.addresses.append(self.stack.enter_context(ingress).address)

    @property
    def issued(self) -> int:
        return self.authority.issued - self.issued_before

    def look(self) -> None:
        """Look once, so that an ingress has what was there when it started."""
        served = ServedName(host=self.host, addresses=tuple(self.addresses))
        seen = TlsProbe(self.roots).probe(ProbeRequest(served=served))
        assert seen.problems == []

    def activities(self, api: kubernetes_client.ApiClient, http: httpx.Client) -> list[Callable[..., Any]]:
        namespace, authority = self.kept.namespace, self.authority
        policy = CertificatePolicy(
            served=(ServedName(host=self.host, addresses=tuple(self.addresses)),),
            acme=AcmePolicy(secrets=("web",), profile="default", validate_within=20 * _SECOND),
            ingress=IngressPolicy(namespace=namespace, deployment="tensafe-server"),
            served_within=3 * _SECOND,
        )
        service = Service(
            namespace=namespace,
            deployment="tensafe-server",
            selector="app=tensafe",
            health_url="http://127.0.0.1:1/health",
            certificates=policy,
        )
        options = AcmeOptions(
            directory=authority.url,
            terms_agreed=True,
            ca_file=authority.ca_file,
            namespace=namespace,
            secret="account",
        )
        pages = HttpChallenges(self.pool, http, f"http://127.0.0.1:{authority.http_port}")
        systems = (
            Catalogue({"tensafe-server": service}, ApprovalPolicy(allow_unsigned=True)),
            TlsProbe(self.roots),
            TlsSecrets(api),
            CertManager(api),
            Acme(api, options, {"http-01": lambda: pages}),
            Kubernetes(api),
            Slack(RecordsChat(self.pool)),
            Paging(RecordsPager(self.pool)),
        )
        return [
            activity
            for system in systems
            for activity in activities_of(type(system), lambda system=system: system)  # type: ignore[misc]
        ]


_SECOND = DAY / 86_400


@pytest.fixture
def api(kubeconfig: Path) -> Iterator[kubernetes_client.ApiClient]:
    with connect(kubeconfig) as made:
        yield made


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as made:
        yield made


@pytest.fixture
def kept(kube: httpx.Client, tensafe: str) -> TlsSecretsOf:
    return TlsSecretsOf(kube, tensafe)


@pytest.fixture
def real(
    kubeconfig: Path,
    kept: TlsSecretsOf,
    certificate_authority: CertificateAuthority,
    records_pool: ConnectionPool[Any],
    tmp_path: Path,
) -> Iterator[Real]:
    made = Real(kubeconfig, kept, certificate_authority, records_pool, tmp_path)
    with made.stack, challenge_server(records_pool, certificate_authority.http_port):
        yield made


async def test_the_second_address_serves_it_after_a_restart(
    real: Real, working: Working, client: Client, api: kubernetes_client.ApiClient, http: httpx.Client
) -> None:
    real.serve()
    real.serve("127.0.0.2", restarts=True)
    real.look()
    async with working(real.activities(api, http)) as queue:
        handle = await begin(client, queue, CertificateRenewalRequest(), NAME)
        status = await waiting_for(handle, "decide ingress")
        assert real.addresses[1] in status.questions[0].evidence[0]
        await handle.execute_update("decide", Decision(**SAM, question="ingress", choice="restart"))
        result = await handle.result()
        history = (await handle.fetch_history()).to_json()
    assert (len(result["renewed"]), result["not_served"], result["restarted"]) == (1, [], True)
    assert real.issued == 1
    assert real.kept.key_fits("web")
    key = real.kept.data("web", "tls.key").decode()
    assert "PRIVATE KEY" not in history
    assert all(line not in history for line in key.splitlines()[1:-1])


@pytest.mark.parametrize(
    ("lifetime", "left", "renewed"), [(90, 29, True), (90, 31, False), (6, 2.9, True), (6, 3.1, False)]
)
async def test_what_is_due_by_its_lifetime_is_renewed_and_no_other(
    real: Real, api: kubernetes_client.ApiClient, http: httpx.Client, lifetime: int, left: float, *, renewed: bool
) -> None:
    real.kept.put("web", *real.issuer.issue(real.host, lifetime=lifetime * DAY, left=left * DAY))
    old = real.kept.certificate("web")
    real.serve()
    # A server of its own: the others' clock may be days ahead, and these certificates are as old as they are today.
    async with await start_environment() as environment:
        queue = real.host
        with environment.auto_time_skipping_disabled():
            async with build(environment.client, TemporalSettings(task_queue=queue), real.activities(api, http)):
                handle = await begin(environment.client, queue, CertificateRenewalRequest(), NAME)
                result = await handle.result()
    assert (len(result["renewed"]), real.issued) == (renewed, renewed)
    assert (result["failed"], result["not_served"], result["paged"]) == ([], [], [])
    assert (real.kept.certificate("web") != old) == renewed
    assert real.kept.key_fits("web")
    seen = TlsProbe(real.roots).probe(ProbeRequest(served=ServedName(host=real.host, addresses=tuple(real.addresses))))
    assert seen.problems == []


async def test_a_failing_challenge_is_one_order_and_one_question(
    real: Real, working: Working, client: Client, api: kubernetes_client.ApiClient, http: httpx.Client
) -> None:
    real.serve()
    real.authority.resolve(real.host, "127.0.0.9")
    async with working(real.activities(api, http)) as queue:
        handle = await begin(client, queue, CertificateRenewalRequest(), NAME)
        status = await waiting_for(handle, "decide renewal-1")
        (question,) = status.questions
        assert f"{real.host}: connection: " in question.evidence[0]
        assert not real.kept.there("web-renewal")
        real.authority.resolve(real.host, "127.0.0.1")  # a person mends it, and says so
        await handle.execute_update("decide", Decision(**SAM, question="renewal-1", choice="retry"))
        result = await handle.result()
        timeline = await told(handle)
    assert len(result["renewed"]) == 1
    assert timeline.count(f"Order {real.host}: ") == 2
    assert real.issued == 1


async def test_of_two_runs_at_once_one_renews(
    real: Real,
    working: Working,
    client: Client,
    api: kubernetes_client.ApiClient,
    http: httpx.Client,
) -> None:
    real.serve()
    async with working(real.activities(api, http)) as queue:
        handles = [await begin(client, queue, CertificateRenewalRequest(), NAME) for _ in range(2)]
        results = await asyncio.gather(*(handle.result() for handle in handles))
    assert sorted(len(result["renewed"]) for result in results) == [0, 1]
    (loser,) = [result for result in results if not result["renewed"]]
    # It was kept away, or came when all was done: between the other's steps, or after its last.
    assert all("is being renewed by" in left or "somebody has replaced it" in left for left in loser["left"])
    assert real.issued == 1
    assert [loser["failed"], loser["paged"], loser["not_served"]] == [[], [], []]
    with real.pool.connection() as connection:
        assert connection.execute("SELECT count(*) FROM runbooks.acme_challenges").fetchone() == (0,)


@pytest.mark.usefixtures("same_day")
async def test_a_window_that_the_authority_moves_forward_renews_now(
    real: Real, working: Working, client: Client, api: kubernetes_client.ApiClient, http: httpx.Client
) -> None:
    real.serve()
    async with working(real.activities(api, http)) as queue:
        await (await begin(client, queue, CertificateRenewalRequest(), NAME)).result()
        calm = await begin(client, queue, CertificateRenewalRequest(), NAME)
        assert (await calm.result())["renewed"] == []
        yesterday = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - hours * 3600)) for hours in (48, 24)]
        real.authority.suggest_renewal(real.kept.data("web", "tls.crt").decode(), yesterday[0], yesterday[1])
        moved = await begin(client, queue, CertificateRenewalRequest(), NAME)
        result = await moved.result()
        assert "its authority wants it renewed" in await told(moved)
    assert len(result["renewed"]) == 1
    assert real.issued == 2
