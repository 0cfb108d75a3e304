"""The whole sandbox, as people run it: up, status, down; and what survives what."""

import functools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from temporalio.client import Client

from sandbox import environment, kubernetes_api
from sandbox.probes import wait_until
from sandbox.supervisor import FIRST_BACKUP, State
from workers.settings import Settings, load

pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]


def sandbox(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *arguments], capture_output=True, text=True, check=False, timeout=600
    )


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    # With a space and an umlaut, as people's folders have them: every server gets such paths.
    folder = tmp_path_factory.mktemp("sandbox für alle")
    answer = sandbox("up", "--dir", str(folder))
    assert answer.returncode == 0, answer.stdout + answer.stderr
    yield folder
    sandbox("down", "--dir", str(folder))


def state(directory: Path) -> State:
    found = environment.status(directory)
    assert found is not None
    return found


def pid(directory: Path, name: str) -> int:
    (found,) = (process for process in state(directory).processes if process.name == name)
    assert found.pid is not None
    return found.pid


def settings(directory: Path) -> Settings:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNBOOKS_CONFIG", str(state(directory).config))
        return load()


def test_everything_runs_and_answers(directory: Path) -> None:
    now = state(directory)
    assert now.status == "ready"
    assert len(now.processes) == 23
    assert all(process.pid is not None and psutil.pid_exists(process.pid) for process in now.processes)
    for name in ("Temporal UI", "Prometheus", "Alertmanager", "AWS", "service", "certificates"):
        assert httpx.get(now.links[name], follow_redirects=True).status_code == 200, name
    assert httpx.get(f"{now.links['webhook']}/readyz").status_code == 200
    assert httpx.get(now.links["customers' links"]).status_code == 410


def test_nothing_listens_beyond_this_machine(directory: Path) -> None:
    for process in state(directory).processes:
        assert process.pid is not None
        listening = [c for c in psutil.Process(process.pid).net_connections("tcp") if c.status == psutil.CONN_LISTEN]
        assert {c.laddr.ip for c in listening} <= {"127.0.0.1"}, process.name


def test_its_settings_lead_to_its_servers(directory: Path) -> None:
    found = settings(directory)
    service = found.services["tensafe-server"]
    assert httpx.get(service.health_url).json()["version"] == "v1.2.3"
    assert found.kubernetes.kubeconfig is not None
    with kubernetes_api.connect(found.kubernetes.kubeconfig) as api:
        deployment = api.get(f"/apis/apps/v1/namespaces/{service.namespace}/deployments/{service.deployment}")
    assert deployment.json()["status"]["readyReplicas"] == 3
    for query in service.metrics.model_dump().values():
        # A rate needs two scrapes, which may be a few seconds apart on a busy machine.
        wait_until(functools.partial(_has_one_value, found.prometheus.url, query))


def _has_one_value(prometheus: str, query: str) -> bool:
    answer = httpx.get(f"{prometheus}/api/v1/query", params={"query": query}).json()
    return len(answer["data"]["result"]) == 1


async def test_both_workers_poll(directory: Path) -> None:
    from temporalio.api.enums.v1 import TaskQueueType  # noqa: PLC0415
    from temporalio.api.taskqueue.v1 import TaskQueue  # noqa: PLC0415
    from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest  # noqa: PLC0415

    found = settings(directory).temporal
    client = await Client.connect(found.address)
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=found.namespace,
            task_queue=TaskQueue(name=found.task_queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
    )
    assert len({poller.identity for poller in answer.pollers}) == 2


def test_secrets_are_their_owners(directory: Path) -> None:
    for name in (
        "runbooks.toml",
        "webhook.token",
        "gateway.pem",
        "kubernetes/kubeconfig.yaml",
        "kubernetes/tokens.csv",
    ):
        assert (directory / name).stat().st_mode & 0o077 == 0, name


def test_it_says_when_a_first_backup_can_be_restored(directory: Path) -> None:
    wait_until(lambda: FIRST_BACKUP in state(directory).ready)
    assert "is being taken" not in sandbox("status", "--dir", str(directory)).stdout


def test_up_again_leaves_a_running_one_as_it_is(directory: Path) -> None:
    before = state(directory)
    assert sandbox("up", "--dir", str(directory)).returncode == 0
    assert state(directory).pid == before.pid


@pytest.mark.parametrize("name", ["worker-1", "webhook", "service", "node-groups", "database-hosts"])
def test_what_keeps_nothing_is_started_again(directory: Path, name: str) -> None:
    before = pid(directory, name)
    os.kill(before, signal.SIGKILL)

    def again() -> bool:
        (found,) = (process for process in state(directory).processes if process.name == name)
        return found.pid not in {None, before} and found.restarts == 1

    wait_until(again)


def test_a_server_that_dies_is_reported(directory: Path) -> None:
    os.kill(pid(directory, "alertmanager"), signal.SIGKILL)
    wait_until(lambda: "alertmanager ended with exit code -9" in state(directory).message)
    assert "alertmanager ended" in sandbox("status", "--dir", str(directory)).stdout


def test_down_ends_everything(directory: Path) -> None:
    before = state(directory)
    assert sandbox("down", "--dir", str(directory)).returncode == 0
    assert not [p.name for p in before.processes if p.pid is not None and psutil.pid_exists(p.pid)]
    assert sandbox("status", "--dir", str(directory)).returncode == 3


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_killed_supervisor_leaves_nothing_and_the_next_start_is_clean(tmp_path: Path) -> None:
    assert sandbox("up", "--dir", str(tmp_path), "--workers", "1").returncode == 0
    before = state(tmp_path)
    os.kill(before.pid, signal.SIGKILL)
    wait_until(lambda: not [p.name for p in before.processes if p.pid is not None and psutil.pid_exists(p.pid)])
    assert state(tmp_path).status == "stopped"
    try:
        assert sandbox("up", "--dir", str(tmp_path), "--workers", "1").returncode == 0
        assert state(tmp_path).pid != before.pid
        assert state(tmp_path).status == "ready"
    finally:
        sandbox("down", "--dir", str(tmp_path))
