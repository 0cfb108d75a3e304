"""The cluster behaves as a real one where the runbook looks: rollouts, crash loops, undo, scale, logs, dry run."""

import time
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from sandbox import manifests
from sandbox.cluster import Cluster
from sandbox.probes import wait_until
from tests.sandbox.deployments import MERGE, deployment_path, pods, roll_out


def deployment(kube: httpx.Client, namespace: str) -> dict[str, Any]:
    return kube.get(deployment_path(namespace)).raise_for_status().json()


def ready(kube: httpx.Client, namespace: str) -> int:
    return deployment(kube, namespace)["status"].get("readyReplicas", 0)


def crash_looping(kube: httpx.Client, namespace: str) -> int:
    containers = [c for pod in pods(kube, namespace) for c in pod["status"].get("containerStatuses", ())]
    return sum(
        c["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff" and c["restartCount"] > 0 for c in containers
    )


def test_nodes_are_ready(cluster: Cluster, kube: httpx.Client) -> None:
    found = {node["metadata"]["name"]: node for node in kube.get("/api/v1/nodes").json()["items"]}
    nodes = [found[name] for name in ("node-a", "node-b", "node-c")]  # other tests add GPU nodes
    for node in nodes:
        assert {c["type"]: c["status"] for c in node["status"]["conditions"]}["Ready"] == "True"
        assert node["status"]["allocatable"]["cpu"] == "8"
    assert kube.get("/version").json()["gitVersion"] == "v1.36.3"


def test_scales(tensafe: str, kube: httpx.Client) -> None:
    kube.patch(f"{deployment_path(tensafe)}/scale", json={"spec": {"replicas": 10}}, headers=MERGE).raise_for_status()
    wait_until(lambda: ready(kube, tensafe) == 10)
    assert len(pods(kube, tensafe)) == 10


def test_a_bad_release_takes_the_service_down_and_undo_brings_it_back(tensafe: str, kube: httpx.Client) -> None:
    roll_out(kube, tensafe, manifests.BAD_IMAGE)
    # It looks well first: all new pods become ready and the old ones go.
    wait_until(lambda: deployment(kube, tensafe)["status"].get("updatedReplicas") == 3)
    wait_until(lambda: ready(kube, tensafe) == 0)
    wait_until(lambda: crash_looping(kube, tensafe) == 3)
    assert {pod["status"]["phase"] for pod in pods(kube, tensafe)} == {"Running"}

    def warned() -> set[str]:
        events = kube.get(f"/api/v1/namespaces/{tensafe}/events").json()["items"]
        return {e["involvedObject"]["name"] for e in events if (e["reason"], e["type"]) == ("BackOff", "Warning")}

    wait_until(lambda: len(warned()) == 3)
    roll_out(kube, tensafe, manifests.GOOD_IMAGE)
    wait_until(lambda: ready(kube, tensafe) == 3 and crash_looping(kube, tensafe) == 0)
    assert {pod["spec"]["containers"][0]["image"] for pod in pods(kube, tensafe)} == {manifests.GOOD_IMAGE}


def test_it_goes_on_crashing_with_a_back_off(tensafe: str, kube: httpx.Client) -> None:
    roll_out(kube, tensafe, "registry.example/tensafe-server:v9-bad")

    crashed: dict[tuple[str, int], datetime] = {}

    def waits() -> list[tuple[int, timedelta]]:
        """Give the numbers of crashes, and how long the same pod then took to the next one."""
        for pod in pods(kube, tensafe):
            for container in pod["status"].get("containerStatuses", ()):
                if ended := container.get("lastState", {}).get("terminated"):
                    number = pod["metadata"]["name"], container["restartCount"]
                    crashed[number] = datetime.fromisoformat(ended["finishedAt"])
        return [
            (number, crashed[name, number + 1] - at)
            for (name, number), at in crashed.items()
            if (name, number + 1) in crashed
        ]

    wait_until(lambda: bool(waits()))
    for number, waited in waits():
        assert waited >= timedelta(seconds=10 * number - 1)  # the API's times are whole seconds


def test_logs_are_served_and_can_be_limited(cluster: Cluster, tensafe: str, kube: httpx.Client) -> None:
    pod = pods(kube, tensafe)[0]["metadata"]["name"]
    log = cluster.pods_log_directory / "of-this-test.log"
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z", time.gmtime())
    log.write_text(f"2020-01-01T00:00:00.000000000Z stdout F long ago\n{now} stderr F just now\n")
    body = {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Logs",
        "metadata": {"name": pod},
        "spec": {"logs": [{"logsFile": str(log)}]},
    }
    kube.post(f"/apis/kwok.x-k8s.io/v1alpha1/namespaces/{tensafe}/logs", json=body).raise_for_status()
    path = f"/api/v1/namespaces/{tensafe}/pods/{pod}/log"
    wait_until(lambda: kube.get(path).text == "long ago\njust now\n")
    assert kube.get(path, params={"sinceSeconds": "600"}).text == "just now\n"
    assert kube.get(path, params={"tailLines": "1"}).text == "just now\n"


def test_server_side_dry_run_changes_nothing(tensafe: str, kube: httpx.Client) -> None:
    answer = kube.patch(
        deployment_path(tensafe), params={"dryRun": "All"}, json={"spec": {"replicas": 7}}, headers=MERGE
    )
    assert answer.json()["spec"]["replicas"] == 7
    assert deployment(kube, tensafe)["spec"]["replicas"] == 3


def test_the_scaled_object_can_be_paused(tensafe: str, kube: httpx.Client) -> None:
    path = f"/apis/keda.sh/v1alpha1/namespaces/{tensafe}/scaledobjects/tensafe-scaledobject"
    for value in ("true", None):
        body = {"metadata": {"annotations": {"autoscaling.keda.sh/paused": value}}}
        answer = kube.patch(path, json=body, headers={"Content-Type": "application/merge-patch+json"})
        assert answer.raise_for_status().json()["metadata"].get("annotations", {}).get(
            "autoscaling.keda.sh/paused"
        ) == (value)


def test_the_official_client_verifies_the_certificate(cluster: Cluster) -> None:
    from kubernetes import client, config  # noqa: PLC0415 - slow to import, and needed here alone

    with config.new_client_from_config(str(cluster.kubeconfig)) as api:
        assert api.configuration.verify_ssl
        assert len(client.CoreV1Api(api).list_node().items) >= 3


def test_a_wrong_token_is_refused(cluster: Cluster, kube: httpx.Client) -> None:
    assert kube.get("/api/v1/nodes", headers={"Authorization": "Bearer wrong"}).status_code == 401
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{cluster.url}/api/v1/nodes")  # nobody vouches for the certificate but the kubeconfig
