"""What the cluster lets an account do is asked of it, one thing at a time, and what it refuses is named in order."""

from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from activities.common.errors import Refused
from activities.kubernetes.access import Permission, refused
from tests.activities.contracts.serving import Misbehaviour, serving

WANTED = [
    Permission("shop", "get", "pods/log"),
    Permission("shop", "patch", "deployments", "apps"),
    Permission("", "list", "nodes"),
]
PATH = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class Cluster:
    """An API server that allows what it is told, and remembers what it was asked."""

    def __init__(self, url: str, wrong: Misbehaviour, asked: list[dict[str, Any]], allowed: set[str]) -> None:
        settings = client.Configuration()
        settings.host = url
        self.api = client.ApiClient(settings)
        self.wrong, self.asked, self.allowed = wrong, asked, allowed


@pytest.fixture(scope="module")
def serving_cluster() -> Iterator[Cluster]:
    wrong, asked, allowed = Misbehaviour(), [], set[str]()

    async def review(request: Request) -> JSONResponse:
        attributes = (await request.json())["spec"]["resourceAttributes"]
        asked.append(attributes)
        status = {"allowed": True} if attributes["resource"] in allowed else {"denied": True}
        return JSONResponse({} if attributes["resource"] == "nodes" else {"status": status}, 201)

    with serving(Starlette(routes=[Route(PATH, review, methods=["POST"])]), wrong) as url:
        yield Cluster(url, wrong, asked, allowed)


@pytest.fixture
def cluster_of_hand(serving_cluster: Cluster) -> Cluster:
    serving_cluster.asked.clear()
    serving_cluster.allowed.clear()
    return serving_cluster


def test_a_permission_is_said_as_a_person_would() -> None:
    assert [str(one) for one in WANTED] == ["get pods/log in shop", "patch deployments in shop", "list nodes"]


def test_each_is_asked_for_with_its_subresource_and_without_what_is_empty(cluster_of_hand: Cluster) -> None:
    refused(cluster_of_hand.api, WANTED)
    assert cluster_of_hand.asked == [
        {"namespace": "shop", "verb": "get", "resource": "pods", "subresource": "log"},
        {"namespace": "shop", "verb": "patch", "group": "apps", "resource": "deployments"},
        {"verb": "list", "resource": "nodes"},
    ]


def test_what_is_not_allowed_or_not_said_to_be_is_refused(cluster_of_hand: Cluster) -> None:
    cluster_of_hand.allowed.add("deployments")
    assert refused(cluster_of_hand.api, WANTED) == [WANTED[0], WANTED[2]]
    cluster_of_hand.allowed.add("pods")
    assert refused(cluster_of_hand.api, WANTED[:2]) == []


def test_an_api_server_that_does_not_tell_is_not_taken_for_one_that_allows(cluster_of_hand: Cluster) -> None:
    cluster_of_hand.wrong.answer_instead(PATH, JSONResponse({"message": "no"}, 403))
    with pytest.raises(Refused, match="answered 403"):
        refused(cluster_of_hand.api, WANTED)
