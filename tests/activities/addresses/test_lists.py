"""A list of blocked addresses is replaced whole, under what was read, and left alone where nothing is to change."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from kubernetes import client

from activities.addresses.lists import IngressList, Lists, WafList, _denied
from activities.catalogue.security import BlockPolicy, IpSet
from activities.common.errors import Conflict, NotFound

SET = IpSet(name="blocked", id="11111111-2222-3333-4444-555555555555")
WHICH = {"Name": SET.name, "Id": SET.id, "Scope": "REGIONAL"}
BAD, WORSE = "8.8.8.8/32", "9.9.9.0/24"
DENY = "nginx.ingress.kubernetes.io/denylist-source-range"


@pytest.fixture(scope="module")
def waf() -> Any:
    return boto3.client(
        "wafv2",
        region_name="us-east-1",
        endpoint_url="http://127.0.0.1:1",
        aws_access_key_id="x",
        aws_secret_access_key="y",
    )


@pytest.fixture
def answers(waf: Any) -> Iterator[Stubber]:
    """Give the SDK's own stand-in for AWS, which checks what is asked of it."""
    with Stubber(waf) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def holds(answers: Stubber, token: str, *addresses: str, description: str = "") -> None:
    known = {"Name": SET.name, "Id": SET.id, "ARN": "a" * 20, "IPAddressVersion": "IPV4", "Addresses": list(addresses)}
    found = {**known, "Description": description} if description else known
    answers.add_response("get_ip_set", {"IPSet": found, "LockToken": f"{token:->36}"}, WHICH)


def update(token: str, *addresses: str, **more: str) -> dict[str, Any]:
    return {**WHICH, "Addresses": list(addresses), "LockToken": f"{token:->36}", **more}


def add(before: set[str]) -> set[str]:
    return before | {BAD}


def test_a_set_is_replaced_under_the_token_that_was_read_and_keeps_its_description(waf: Any, answers: Stubber) -> None:
    holds(answers, "1", WORSE, description="of security")
    answers.add_response("update_ip_set", {}, update("1", BAD, WORSE, Description="of security"))
    WafList(lambda: waf, SET).change(add, dry_run=False)


def test_over_somebody_elses_change_it_is_made_again_from_what_is_there_then(waf: Any, answers: Stubber) -> None:
    holds(answers, "1")
    answers.add_client_error("update_ip_set", "WAFOptimisticLockException", http_status_code=400)
    holds(answers, "2", WORSE)
    answers.add_response("update_ip_set", {}, update("2", BAD, WORSE))
    WafList(lambda: waf, SET).change(add, dry_run=False)


def test_a_set_that_changes_all_the_time_is_a_conflict(waf: Any, answers: Stubber) -> None:
    for number in range(5):
        holds(answers, str(number))
        answers.add_client_error("update_ip_set", "WAFOptimisticLockException", http_status_code=400)
    with pytest.raises(Conflict, match="ip-set/blocked changes all the time"):
        WafList(lambda: waf, SET).change(add, dry_run=False)


def test_nothing_is_sent_where_nothing_changes_or_it_is_a_plan(waf: Any, answers: Stubber) -> None:
    holds(answers, "1", BAD)
    WafList(lambda: waf, SET).change(add, dry_run=False)
    holds(answers, "1")
    WafList(lambda: waf, SET).change(add, dry_run=True)


def test_a_set_that_is_not_there_is_told(waf: Any, answers: Stubber) -> None:
    answers.add_client_error("get_ip_set", "WAFNonexistentItemException", http_status_code=404)
    with pytest.raises(NotFound, match="AWS WAF answered 404 WAFNonexistentItemException"):
        WafList(lambda: waf, SET).read()


@pytest.mark.parametrize(
    ("annotations", "denied"),
    [
        (None, set()),
        ({}, set()),
        ({DENY: ""}, set()),
        ({DENY: f" {BAD} ,{WORSE},, "}, {BAD, WORSE}),
        ({"another": BAD}, set()),
    ],
)
def test_what_an_ingress_denies_is_read_as_people_write_it(annotations: Any, denied: set[str]) -> None:
    assert _denied({"metadata": {"annotations": annotations}}) == denied


def test_each_version_has_the_ingresses_and_its_own_set() -> None:
    lists = Lists(client.NetworkingV1Api(client.ApiClient()), lambda: None)
    policy = BlockPolicy(never=("10.0.0.0/8",), ingresses=("web", "admin"), ipv4_set=SET)
    assert [one.name for one in lists.of("shop", policy, 4)] == ["ingress/web", "ingress/admin", "ip-set/blocked"]
    assert [one.name for one in lists.of("shop", policy, 6)] == ["ingress/web", "ingress/admin"]


@pytest.mark.parametrize(
    ("status", "entrances"),
    [
        (None, set()),
        ({"loadBalancer": {}}, set()),
        ({"loadBalancer": {"ingress": [{"ip": "9.9.9.7"}, {"hostname": "lb.example"}, {}]}}, {"9.9.9.7", "lb.example"}),
    ],
)
def test_an_ingress_is_reached_at_addresses_or_names(
    monkeypatch: pytest.MonkeyPatch, status: Any, entrances: set[str]
) -> None:
    found = IngressList(client.NetworkingV1Api(client.ApiClient()), "shop", "web")
    monkeypatch.setattr(found, "_raw", lambda: {"status": status})
    assert found.entrances() == entrances
