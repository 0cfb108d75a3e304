"""What a cluster says of a service that nobody has described yet, with another one beside it."""

import httpx
import pytest
from kubernetes import client

from activities.autoscaling.discovery import Found, Selected, deployments, described, selected, selector
from activities.common.errors import NotFound
from tests.activities.autoscaling.discovering import (
    Make,
    deployment,
    in_front,
    make,  # noqa: F401
    scaler,
)
from tests.activities.kubernetes.on_cluster import OnCluster, eventually


def found(api: client.ApiClient, namespace: str, name: str) -> Found:
    (one,) = [each for each in deployments(api, namespace) if each["metadata"]["name"] == name]
    return described(api, one)


def test_the_sandboxs_own_service(cluster_api: client.ApiClient, server: OnCluster):
    seen = found(cluster_api, server.namespace, server.name)
    assert (seen.selector, seen.hpa, seen.scaled_object) == ("app=tensafe", "tensafe-server", "tensafe-scaledobject")


def test_each_of_two_gets_its_own(cluster_api: client.ApiClient, make: Make):  # noqa: F811
    asked = {"readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}}}
    ports = {"ports": [{"name": "http", "containerPort": 8000}]}
    where = make(
        deployment("api", {"app": "api"}, **ports, **asked),
        deployment("web", {"app": "web", "tier": "front"}, livenessProbe={"httpGet": {"path": "/live", "port": 9000}}),
        in_front("all", {"team": "shop"}, 9999, 9998),
        in_front("api-internal", {"app": "api"}, 80, 8000),
        in_front("front", {"app": "web"}, 443, 9000),
        scaler("scales-api", "api"),
    )
    assert found(cluster_api, where, "api") == Found(
        where, "api", "app=api", hpa="scales-api", health_url=f"http://api-internal.{where}.svc:80/ready"
    )
    assert found(cluster_api, where, "web") == Found(
        where, "web", "app=web,tier=front", health_url=f"http://front.{where}.svc:443/live"
    )
    everywhere = {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in deployments(cluster_api, None)}
    assert {(where, "api"), (where, "web")} <= everywhere


def test_what_nothing_says_is_empty(cluster_api: client.ApiClient, make: Make):  # noqa: F811
    where = make(deployment("api", {"app": "api"}), in_front("api", {"app": "api"}, 80, 8000))
    assert found(cluster_api, where, "api") == Found(where, "api", "app=api")


def test_a_selector_is_written_as_kubectl_takes_it():
    labels = {
        "matchLabels": {"b": "2", "a": "1"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["x", "y"]},
            {"key": "canary", "operator": "DoesNotExist"},
        ],
    }
    assert selector(labels) == "a=1,b=2,tier in (x, y),!canary"


def test_whose_pods_a_selector_matches(cluster_api: client.ApiClient, kube: httpx.Client, make: Make):  # noqa: F811
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "smoke"},
        "spec": {
            "template": {
                "metadata": {"labels": {"app": "api"}},
                "spec": {"restartPolicy": "Never", "containers": [{"name": "smoke", "image": "registry.example/s:1"}]},
            }
        },
    }
    where = make(deployment("api", {"app": "api"}), deployment("web", {"app": "web"}))
    kube.post(f"/apis/batch/v1/namespaces/{where}/jobs", json=job).raise_for_status()
    pods = f"/api/v1/namespaces/{where}/pods"
    eventually(lambda: len(kube.get(pods).json()["items"]) == 3)
    names = sorted(one["metadata"]["name"] for one in kube.get(pods).json()["items"])
    (api,) = [name for name in names if name.startswith("api-")]
    (web,) = [name for name in names if name.startswith("web-")]
    # A Job's pod bears the label as well, and is nobody's mistake.
    assert selected(cluster_api, where, "api", "app=api") == Selected([api], [], [])
    assert selected(cluster_api, where, "api", "team=shop") == Selected([api], [], [web])
    assert selected(cluster_api, where, "api", "app=web") == Selected([], [api], [web])
    assert selected(cluster_api, where, "api", "app=nobody") == Selected([], [api], [])
    with pytest.raises(NotFound):
        selected(cluster_api, where, "nobody", "app=api")
