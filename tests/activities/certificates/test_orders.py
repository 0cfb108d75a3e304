"""Orders on a real certificate authority, a real cluster and a real Route 53 API: each step once."""

import base64
import dataclasses
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import httpx
import psycopg
import pytest
from kubernetes import client
from psycopg_pool import ConnectionPool
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from temporalio.testing import ActivityEnvironment

from activities.certificates.account import AcmeOptions
from activities.certificates.challenges import Challenges, HttpChallenges, Route53Challenges
from activities.certificates.orders import (
    Acme,
    IssueCertificate,
    Issued,
    OnOrder,
    OrderCertificate,
    Ordered,
    SeeOrder,
    Validated,
    ValidateOrder,
    WindowRequest,
)
from activities.certificates.secrets import InstallCertificate, LetRenewalGo, TlsSecrets
from activities.common.effects import Effect
from activities.common.errors import Misconfigured, NotFound, Refused, Unavailable
from sandbox.aws import ENVIRONMENT, REGION, Aws
from sandbox.certificate_authority import CertificateAuthority
from sandbox.ready import ready
from tests.activities.certificates.challenge_server import challenge_server
from tests.activities.certificates.issuing import DAY, Issuer, TlsSecretsOf
from tests.activities.contracts.serving import Misbehaviour, serving
from tests.activities.kubernetes.on_cluster import an_effect
from tests.records_schema.fixtures import count

WITHIN = timedelta(minutes=4)
MINUTE = timedelta(minutes=1)


class Ordering:
    """A Secret with an old certificate, and what orders a new one for it."""

    def __init__(self, api: client.ApiClient, kept: TlsSecretsOf, acme: Acme, host: str) -> None:
        self.api, self.kept, self.acme, self.host = api, kept, acme, host
        self.where: dict[str, Any] = {"namespace": kept.namespace, "name": "web"}
        self.secrets = TlsSecrets(api)
        self.run = ActivityEnvironment().run

    def effect(self, *, dry_run: bool = False) -> Effect:
        return an_effect(dry_run=dry_run)

    def order(self, *names: str, effect: Effect | None = None, **fields: Any) -> Ordered:
        wanted = list(names) or [self.host]
        known = {"profile": "default", **fields}  # without one, this authority takes any of its own
        return self.acme.order(OrderCertificate(**self.where, names=wanted, effect=effect or self.effect(), **known))

    def on(self, order: str, kind: str = "http-01") -> dict[str, Any]:
        return {**self.where, "order": order, "challenge": kind, "effect": self.effect()}

    def show(self, order: str, kind: str = "http-01") -> None:
        self.acme.show(OnOrder(**self.on(order, kind)))

    def validate(self, order: str, kind: str = "http-01") -> Validated:
        return self.run(self.acme.validate, ValidateOrder(**self.on(order, kind), within=WITHIN))

    def issue(self, order: str, *names: str, effect: Effect | None = None) -> Issued:
        fields = self.on(order) | ({"effect": effect} if effect else {})
        return self.run(self.acme.issue, IssueCertificate(**fields, names=list(names) or [self.host], within=WITHIN))


@pytest.fixture
def options(certificate_authority: CertificateAuthority, tensafe: str) -> AcmeOptions:
    return AcmeOptions(
        directory=certificate_authority.url,
        terms_agreed=True,
        contact=("ops@tensafe.example",),
        ca_file=certificate_authority.ca_file,
        namespace=tensafe,
        secret="account",
    )


@pytest.fixture
def http_challenges(
    records_pool: ConnectionPool[Any], certificate_authority: CertificateAuthority
) -> Iterator[HttpChallenges]:
    port = certificate_authority.http_port
    with challenge_server(records_pool, port), httpx.Client() as http:
        yield HttpChallenges(records_pool, http, f"http://127.0.0.1:{port}")


@pytest.fixture
def route53(aws: Aws) -> Any:
    keys: Any = {"aws_access_key_id": ENVIRONMENT["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": "sandbox"}
    return boto3.client("route53", region_name=REGION, endpoint_url=aws.url, **keys)


@pytest.fixture
def ordering(
    cluster_api: client.ApiClient, kube: httpx.Client, tensafe: str, options: AcmeOptions, request: Any
) -> Ordering:
    def of(name: str) -> Callable[[], Challenges]:
        return lambda: request.getfixturevalue(name)

    kept = TlsSecretsOf(kube, tensafe)
    host = f"web-{uuid4().hex[:8]}.test"
    kept.put("web", *Issuer().issue(host))
    ways = {"http-01": of("http_challenges"), "dns-01": lambda: Route53Challenges(request.getfixturevalue("route53"))}
    return Ordering(cluster_api, kept, Acme(cluster_api, options, ways), host)


@pytest.fixture
def http_ordering(ordering: Ordering, http_challenges: HttpChallenges) -> Ordering:
    return ordering


def test_a_certificate_by_http_01(http_ordering: Ordering, records_sql: psycopg.Connection[Any]) -> None:
    ordering = http_ordering
    old = ordering.kept.certificate("web")
    ordered = ordering.order()
    assert (ordered.applied, ordered.problems) == (True, [])
    ordering.show(ordered.order)
    seen = ordering.run(ordering.acme.seen, SeeOrder(order=ordered.order, challenge="http-01", within=WITHIN))
    assert seen.hidden == []
    validated = ordering.validate(ordered.order)
    assert (validated.valid, validated.problems) == (True, [])
    issued = ordering.issue(ordered.order)
    new = issued.certificate
    assert new is not None
    assert new.names == [ordering.host]
    assert 89 * DAY < new.left(datetime.now(UTC)) < 90 * DAY
    assert ordering.kept.certificate("web") == old  # nothing is in use yet
    effect = ordering.effect()
    install = InstallCertificate(
        **ordering.where, fingerprint=new.fingerprint, instead_of=old.fingerprint, effect=effect
    )
    assert ordering.secrets.install(install).applied
    assert ordering.kept.certificate("web") == new
    assert ordering.kept.key_fits("web")
    ordering.acme.clean(OnOrder(**ordering.on(ordered.order)))
    assert count(records_sql, "acme_challenges") == 0
    ordering.secrets.release(LetRenewalGo(**ordering.where, effect=effect))
    assert not ordering.kept.there("web-renewal")
    again = ordering.secrets.install(install)
    assert (again.applied, again.note) == (False, "done by an earlier attempt")


def test_every_step_a_second_time_finds_what_the_first_did(http_ordering: Ordering) -> None:
    ordering = http_ordering
    effect = ordering.effect()
    first, second = ordering.order(effect=effect), ordering.order(effect=effect)
    assert second.order == first.order
    assert (second.applied, second.note) == (False, "done by an earlier attempt")
    for _ in range(2):
        ordering.show(first.order)
    assert ordering.validate(first.order).valid
    assert ordering.validate(first.order).valid
    issued = [ordering.issue(first.order) for _ in range(2)]
    assert issued[0].certificate == issued[1].certificate
    assert (issued[1].applied, issued[1].note) == (False, "done by an earlier attempt")


def test_an_order_of_another_effect_begins_clean(http_ordering: Ordering) -> None:
    ordering = http_ordering
    first = ordering.order()
    key = ordering.kept.data("web-renewal", "tls.key")
    second = ordering.order()
    assert second.order != first.order
    assert ordering.kept.data("web-renewal", "tls.key") != key
    with pytest.raises(NotFound, match="order again"):
        ordering.issue(first.order)


def test_a_name_that_is_not_ours_is_a_problem_and_no_failure(
    http_ordering: Ordering, certificate_authority: CertificateAuthority
) -> None:
    ordering = http_ordering
    certificate_authority.resolve(ordering.host, "127.0.0.9")  # nobody answers there
    ordered = ordering.order()
    ordering.show(ordered.order)
    validated = ordering.validate(ordered.order)
    assert not validated.valid
    (problem,) = validated.problems
    assert (problem.type, problem.identifier, problem.permanent) == ("connection", ordering.host, False)


def test_what_the_authority_never_issues_is_permanent(ordering: Ordering) -> None:
    ordered = ordering.order("www.blocked.example")
    assert (ordered.order, ordered.applied) == ("", False)
    (problem,) = ordered.problems
    assert (problem.type, problem.permanent) == ("rejectedIdentifier", True)


def test_a_wildcard_and_several_names_by_dns_01(
    ordering: Ordering, route53: Any, certificate_authority: CertificateAuthority
) -> None:
    zone = f"{uuid4().hex[:8]}.test"
    made = route53.create_hosted_zone(Name=zone, CallerReference=zone)["HostedZone"]["Id"]
    record = f"_acme-challenge.{zone}."
    others = {"Name": record, "Type": "TXT", "TTL": 60, "ResourceRecords": [{"Value": '"of somebody else"'}]}
    route53.change_resource_record_sets(
        HostedZoneId=made, ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": others}]}
    )

    def values() -> dict[str, set[str]]:
        found = route53.list_resource_record_sets(HostedZoneId=made)["ResourceRecordSets"]
        return {r["Name"]: {v["Value"].strip('"') for v in r["ResourceRecords"]} for r in found if r["Type"] == "TXT"}

    names = [zone, f"*.{zone}", f"api.{zone}"]
    ordered = ordering.order(*names)
    for _ in range(2):  # a second time it changes nothing
        ordering.show(ordered.order, "dns-01")
    shown = values()
    assert {name: len(found) for name, found in shown.items()} == {record: 3, f"_acme-challenge.api.{zone}.": 1}
    seen = ordering.run(ordering.acme.seen, SeeOrder(order=ordered.order, challenge="dns-01", within=WITHIN))
    assert seen.hidden == []
    for name, found in shown.items():  # the authority's DNS is not Route 53's
        for value in found:
            certificate_authority.set_txt(name, value)
    assert ordering.validate(ordered.order, "dns-01").valid
    issued = ordering.issue(ordered.order, *names)
    assert issued.certificate is not None
    assert set(issued.certificate.names) == set(names)
    for _ in range(2):
        ordering.acme.clean(OnOrder(**ordering.on(ordered.order, "dns-01")))
    assert values() == {record: {"of somebody else"}}


def test_a_name_without_a_hosted_zone(ordering: Ordering, route53: Any) -> None:
    ordered = ordering.order("nowhere.invalid")
    with pytest.raises(Misconfigured, match=r"no public hosted zone for _acme-challenge\.nowhere\.invalid"):
        ordering.show(ordered.order, "dns-01")


def test_a_wildcard_has_no_page(http_ordering: Ordering) -> None:
    ordered = http_ordering.order(f"*.{http_ordering.host}")
    with pytest.raises(Refused, match="offers no http-01 for"):
        http_ordering.show(ordered.order)


def test_a_plan_orders_nothing(ordering: Ordering) -> None:
    ordered = ordering.order(effect=ordering.effect(dry_run=True))
    assert (ordered.order, ordered.applied) == ("", False)
    assert "would" not in ordered.after
    assert not ordering.kept.there("web-renewal")


def test_a_shorter_life_by_profile(http_ordering: Ordering) -> None:
    ordered = http_ordering.order(profile="shortlived")
    http_ordering.show(ordered.order)
    assert http_ordering.validate(ordered.order).valid
    issued = http_ordering.issue(ordered.order).certificate
    assert issued is not None
    assert issued.lifetime < 7 * DAY


def test_the_window_moves_as_the_authority_says(
    http_ordering: Ordering, certificate_authority: CertificateAuthority
) -> None:
    ordering = http_ordering
    ordered = ordering.order()
    ordering.show(ordered.order)
    ordering.validate(ordered.order)
    new = ordering.issue(ordered.order).certificate
    assert new is not None
    window = ordering.acme.window(WindowRequest(certificate=new))
    assert window.offered
    assert window.start is not None
    assert window.start > datetime.now(UTC) + 30 * DAY
    pem = ordering.kept.data("web-renewal", "tls.crt").decode()
    start, end = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
    certificate_authority.suggest_renewal(pem, start, end, "https://ca.test/incident")
    moved = ordering.acme.window(WindowRequest(certificate=new))
    assert str(moved) == "2026-01-01 00:00 UTC to 2026-01-02 00:00 UTC, see https://ca.test/incident"
    assert moved.moment(new) == moved.moment(new)
    again = ordering.order(replaces=new.renewal_id)
    assert (again.applied, again.problems) == (True, [])
    certificate_authority.suggest_renewal(pem, end, start)
    assert not ordering.acme.window(WindowRequest(certificate=new)).offered


def test_another_authoritys_certificate_has_no_window(ordering: Ordering) -> None:
    assert not ordering.acme.window(WindowRequest(certificate=ordering.kept.certificate("web"))).offered


def test_the_account_is_made_once(ordering: Ordering, options: AcmeOptions) -> None:
    ordering.order()
    key = ordering.kept.data(options.secret, "account.pem")
    ordering.order()
    assert ordering.kept.data(options.secret, "account.pem") == key


def test_an_account_that_is_bound_to_a_customer(cluster_api: client.ApiClient, tensafe: str, tmp_path: Path) -> None:
    key = base64.urlsafe_b64encode(b"k" * 32).decode().rstrip("=")
    with ready(CertificateAuthority(tmp_path, bound_to={"customer-1": key})) as authority:
        options = AcmeOptions(
            directory=authority.url, terms_agreed=True, ca_file=authority.ca_file, namespace=tensafe, secret="account"
        )
        order = OrderCertificate(namespace=tensafe, name="web", names=["a.test"], profile="default", effect=an_effect())
        with pytest.raises(Misconfigured, match="eab_key_id and eab_key"):
            Acme(cluster_api, options, {}).order(order)
        bound = dataclasses.replace(options, eab_key_id="customer-1", eab_key=SecretStr(key))
        assert Acme(cluster_api, bound, {}).order(order).applied


def test_without_agreement_or_authority_nothing_is_asked(cluster_api: client.ApiClient, ordering: Ordering) -> None:
    request = OrderCertificate(**ordering.where, names=["a.test"], effect=an_effect())
    with pytest.raises(Misconfigured, match=r"\[acme\] directory"):
        Acme(cluster_api, None, {}).order(request)
    disagreeing = AcmeOptions(directory="https://127.0.0.1:1/dir", terms_agreed=False, namespace="x")
    with pytest.raises(Misconfigured, match="terms_agreed"):
        Acme(cluster_api, disagreeing, {}).order(request)
    silent = AcmeOptions(
        directory="https://127.0.0.1:1/dir", terms_agreed=True, namespace=ordering.kept.namespace, secret="silent"
    )
    with pytest.raises(Unavailable, match="did not answer"):
        Acme(cluster_api, silent, {}).order(request)


def an_authority(refusal: dict[str, str], headers: dict[str, str], status: int) -> Starlette:
    """One that has an account for everybody, and an order for nobody."""

    def at(request: Request, path: str) -> str:
        return str(request.base_url).rstrip("/") + path

    async def directory(request: Request) -> Response:
        return JSONResponse(
            {
                "newNonce": at(request, "/nonce"),
                "newAccount": at(request, "/account"),
                "newOrder": at(request, "/order"),
            }
        )

    async def nonce(request: Request) -> Response:
        return Response(headers={"Replay-Nonce": uuid4().hex})

    async def account(request: Request) -> Response:
        return JSONResponse({"status": "valid"}, 201, {"Replay-Nonce": uuid4().hex, "Location": at(request, "/a/1")})

    async def order(request: Request) -> Response:
        return JSONResponse(
            refusal, status, {"Replay-Nonce": uuid4().hex, **headers}, media_type="application/problem+json"
        )

    return Starlette(
        routes=[
            Route("/dir", directory),
            Route("/nonce", nonce, methods=["HEAD", "GET"]),
            Route("/account", account, methods=["POST"]),
            Route("/order", order, methods=["POST"]),
        ]
    )


def _refused(api: client.ApiClient, namespace: str, refusal: dict[str, str], status: int, **headers: str) -> Ordered:
    with serving(an_authority(refusal, headers, status), Misbehaviour()) as url:
        options = AcmeOptions(directory=f"{url}/dir", terms_agreed=True, namespace=namespace, secret="account")
        request = OrderCertificate(namespace=namespace, name="web", names=["a.test"], effect=an_effect())
        return Acme(api, options, {}).order(request)


def test_a_rate_limit_says_when_it_may_be_asked_again(cluster_api: client.ApiClient, tensafe: str) -> None:
    limited = {"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many certificates (5) already issued"}
    ordered = _refused(cluster_api, tensafe, limited, 429, **{"Retry-After": "90000"})
    (problem,) = ordered.problems
    assert (problem.type, problem.permanent) == ("rateLimited", False)
    assert problem.not_before is not None
    assert 24 * 60 < (problem.not_before - datetime.now(UTC)) / MINUTE < 26 * 60


def test_a_compound_refusal_is_as_lasting_as_its_worst_part(cluster_api: client.ApiClient, tensafe: str) -> None:
    part = {
        "type": "urn:ietf:params:acme:error:caa",
        "detail": "CAA forbids",
        "identifier": {"type": "dns", "value": "a.test"},
    }
    refusal: Any = {"type": "urn:ietf:params:acme:error:compound", "detail": "two", "subproblems": [part]}
    (problem,) = _refused(cluster_api, tensafe, refusal, 403).problems
    assert problem.permanent
    assert "a.test caa: CAA forbids" in problem.detail


def test_a_passing_fault_may_be_tried_again(cluster_api: client.ApiClient, tensafe: str) -> None:
    with pytest.raises(Unavailable, match="serverInternal"):
        _refused(cluster_api, tensafe, {"type": "urn:ietf:params:acme:error:serverInternal", "detail": "oops"}, 500)


def test_nothing_of_a_key_is_in_what_an_activity_answers(http_ordering: Ordering) -> None:
    ordering = http_ordering
    ordered = ordering.order()
    ordering.show(ordered.order)
    answers = [ordered, ordering.validate(ordered.order), ordering.issue(ordered.order)]
    told = "".join(answer.model_dump_json() for answer in answers)
    key = ordering.kept.data("web-renewal", "tls.key").decode()
    assert "PRIVATE" not in told
    assert key.splitlines()[1] not in told
