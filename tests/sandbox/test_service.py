"""The service's HTTP side says what the cluster says."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from sandbox import manifests, probes
from sandbox.cluster import Cluster
from sandbox.ports import free_port
from sandbox.probes import wait_until
from sandbox.processes import ServerProcess
from sandbox.service_database import PRIMARY, REPLICA, SECRET, ServiceDatabase
from tests.sandbox.deployments import MERGE, deployment_path, pods, roll_out

Start = Callable[..., ServiceDatabase]


@pytest.fixture
def service(cluster: Cluster, tensafe: str, tmp_path: Path) -> Iterator[str]:
    port = free_port()
    process = ServerProcess(
        "service",
        tmp_path,
        [
            *(sys.executable, "-m", "sandbox.service", "--kubeconfig", cluster.kubeconfig, "--namespace", tensafe),
            *("--port", str(port), "--logs", cluster.pods_log_directory),
        ],
    )
    process.start()
    url = f"http://127.0.0.1:{port}"
    process.wait_ready(probes.http(f"{url}/health"), 15)
    wait_until(lambda: httpx.get(f"{url}/health").json()["status"] == "healthy")
    yield url
    process.stop()


def health(url: str) -> tuple[int, str]:
    answer = httpx.get(f"{url}/health")
    return answer.status_code, answer.json()["status"]


def metric(url: str, name: str) -> float:
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def test_health_follows_a_bad_release_and_its_undo(service: str, tensafe: str, kube: httpx.Client) -> None:
    body = httpx.get(f"{service}/health").json()
    assert body == {"status": "healthy", "version": "v1.2.3", "ready": 3, "desired": 3}
    roll_out(kube, tensafe, manifests.BAD_IMAGE)
    wait_until(lambda: httpx.get(f"{service}/health").json()["version"] == "v1.2.4")
    wait_until(lambda: health(service) == (503, "unhealthy"))
    assert metric(service, "service_up") == 0
    assert metric(service, "service_ready_replicas") == 0
    wait_until(lambda: metric(service, 'http_requests_total{code="503"') > 0)
    crashed = pods(kube, tensafe)[0]["metadata"]["name"]
    log = kube.get(f"/api/v1/namespaces/{tensafe}/pods/{crashed}/log").text
    assert "starting tensafe-server v1.2.4" in log
    assert "RuntimeError: database schema 41" in log
    before = kube.get(f"/api/v1/namespaces/{tensafe}/pods/{crashed}/log", params={"previous": "true"})
    assert before.is_success, "there is a run before since the first crash"
    assert "RuntimeError: database schema 41" in before.text
    roll_out(kube, tensafe, manifests.GOOD_IMAGE)
    wait_until(lambda: health(service) == (200, "healthy"))
    assert metric(service, 'service_info{service="tensafe-server",version="v1.2.3"}') == 1


def test_it_is_degraded_while_pods_are_missing(service: str, tensafe: str, kube: httpx.Client) -> None:
    # At half a CPU each, 48 pods fit on the three nodes; the others stay pending.
    kube.patch(deployment_path(tensafe), json={"spec": {"replicas": 50}}, headers=MERGE).raise_for_status()
    wait_until(lambda: httpx.get(f"{service}/health").json()["ready"] == 48)
    assert health(service) == (200, "degraded")


def test_more_requests_saturate_it_and_more_pods_relieve_it(service: str, tensafe: str, kube: httpx.Client) -> None:
    assert metric(service, "service_saturation") == pytest.approx(2 / 3)
    httpx.put(f"{service}/load/150").raise_for_status()
    assert metric(service, "service_saturation") == 1
    path = f"/apis/autoscaling/v2/namespaces/{tensafe}/horizontalpodautoscalers/tensafe-server"
    wait_until(lambda: kube.get(path).json()["status"].get("desiredReplicas") == 11)
    kube.patch(deployment_path(tensafe), json={"spec": {"replicas": 10}}, headers=MERGE).raise_for_status()
    wait_until(lambda: metric(service, "service_saturation") == pytest.approx(0.75))


def test_its_gpus_are_as_busy_as_one_says(service: str) -> None:
    assert metric(service, 'service_gpu_utilisation{service="tensafe-server"}') == 0.4
    httpx.put(f"{service}/gpu/92.5").raise_for_status()
    assert metric(service, "service_gpu_utilisation") == 0.925
    assert httpx.put(f"{service}/gpu/101").status_code == 400
    assert metric(service, "service_gpu_utilisation") == 0.925


def test_as_many_of_its_answers_fail_as_one_says(service: str) -> None:
    assert metric(service, 'http_requests_total{code="500"') == 0
    httpx.put(f"{service}/errors/50").raise_for_status()
    wait_until(lambda: metric(service, 'http_requests_total{code="500"') > 20)
    assert health(service) == (200, "healthy")
    httpx.put(f"{service}/errors/0").raise_for_status()
    failed = metric(service, 'http_requests_total{code="500"')
    wait_until(lambda: metric(service, 'http_requests_total{code="200"') > failed)
    assert metric(service, 'http_requests_total{code="500"') <= failed + 5
    assert httpx.put(f"{service}/errors/101").status_code == 400


def test_it_outlives_an_absent_deployment(service: str, tensafe: str, kube: httpx.Client) -> None:
    kube.delete(deployment_path(tensafe)).raise_for_status()
    wait_until(lambda: health(service) == (503, "unhealthy"))


def test_a_pod_uses_the_database_that_its_secret_named_when_it_was_created(
    service: str, tensafe: str, kube: httpx.Client, kubeconfig: Path, start_service_database: Start
) -> None:
    database = start_service_database()
    manifests.apply_secrets(kubeconfig, tensafe, database.secrets())

    def used() -> str | None:
        found: str | None = httpx.get(f"{service}/health").json().get("database")
        return found

    wait_until(lambda: used() == "ok")
    assert metric(service, "service_database_up") == 1
    database.kill(PRIMARY)
    wait_until(lambda: used() == "unreachable")
    assert health(service) == (503, "unhealthy")
    assert metric(service, "service_database_up") == 0
    manifests.apply_secrets(kubeconfig, tensafe, {SECRET: database.service_url(REPLICA)})
    with pytest.raises(TimeoutError):
        wait_until(lambda: used() != "unreachable", 2)
    roll_out(kube, tensafe, manifests.BAD_IMAGE.replace("v1.2.4", "v1.2.5"))
    wait_until(lambda: used() == "read-only")
    wait_until(lambda: health(service) == (200, "degraded"))
    with psycopg.connect(database.url(REPLICA), autocommit=True) as connection:
        connection.execute("SELECT pg_promote()")
    wait_until(lambda: health(service) == (200, "healthy"))
