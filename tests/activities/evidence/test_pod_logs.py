"""Logs of a real API server's pods, kept as evidence."""

import hashlib
import re
import socket
import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import httpx
import pytest
import yaml
from temporalio.exceptions import CancelledError
from temporalio.testing import ActivityEnvironment

from activities.common.errors import Unavailable
from activities.evidence import pod_logs
from activities.evidence.evidence import CollectLogs, Evidence, StoredEvidence
from activities.evidence.files import FileStore
from activities.kubernetes.api import connect
from tests.activities.kubernetes.on_cluster import BAD, OnCluster, an_effect, eventually


class WithLogs(OnCluster):
    """Pods whose logs the test writes."""

    def write(self, directory: Path, pod: str, lines: list[str], before: list[str] | None = None) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000000000Z")
        files = {}
        for kind, texts in (("logsFile", lines), ("previousLogsFile", before or [])):
            files[kind] = directory / f"{pod}.{kind}"
            files[kind].write_text("".join(f"{now} stdout F {text}\n" for text in texts))
        document = {
            "apiVersion": "kwok.x-k8s.io/v1alpha1",
            "kind": "Logs",
            "metadata": {"name": pod, "namespace": self.namespace},
            "spec": {"logs": [{kind: str(path) for kind, path in files.items()}]},
        }
        path = f"/apis/kwok.x-k8s.io/v1alpha1/namespaces/{self.namespace}/logs"
        self.kube.post(path, json=document).raise_for_status()

    @property
    def pods(self) -> list[dict[str, Any]]:
        found = self.kube.get(f"/api/v1/namespaces/{self.namespace}/pods").json()["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


@pytest.fixture
def server(kube: httpx.Client, kubeconfig: Path, tensafe: str) -> WithLogs:
    return WithLogs(kube, kubeconfig, tensafe)


def _collect(evidence: Evidence, server: OnCluster, **changes: Any) -> tuple[StoredEvidence, str]:
    values = {
        "incident_id": "INC-1",
        "name": "logs.txt",
        "namespace": server.namespace,
        "selector": "app=tensafe",
        "since": timedelta(hours=1),
        "effect": an_effect(),
    }
    stored = ActivityEnvironment().run(evidence.collect_logs, CollectLogs(**(values | changes)))
    return stored, Path(unquote(urlparse(stored.uri).path)).read_text() if stored.applied else ""


def _served(server: OnCluster, pod: str, line: str) -> bool:
    """Whether kwok serves the log already."""
    answer = server.kube.get(f"/api/v1/namespaces/{server.namespace}/pods/{pod}/log")
    return line in answer.text


def test_logs(filed: Evidence, server: WithLogs, tmp_path: Path):
    names = [pod["metadata"]["name"] for pod in server.pods]
    for name in names:
        server.write(tmp_path, name, [f"hello from {name}", "bye"])
        eventually(partial(_served, server, name, name))
    stored, text = _collect(filed, server)
    assert stored.detail == "6 lines of 3 pods"
    for name in names:
        assert text.count(f"hello from {name}") == 1
        assert f"===== {name}, tensafe-server (registry.example/tensafe-server:v1.2.3, " in text
    assert stored.sha256 == hashlib.sha256(text.encode()).hexdigest()
    first = next(line for line in text.splitlines() if "hello" in line)
    datetime.fromisoformat(first.split()[0])


def test_logs_of_crashed_pods_with_the_run_before(filed: Evidence, server: WithLogs, tmp_path: Path):
    server.release(BAD)
    eventually(
        lambda: (
            len(server.pods) == 3
            and all(pod["status"].get("containerStatuses", [{}])[0].get("restartCount") for pod in server.pods)
        )
    )
    crashed = server.pods[0]["metadata"]["name"]
    server.write(tmp_path, crashed, ["starting again"], ["Traceback: no table orders"])
    eventually(lambda: _served(server, crashed, "starting again"))
    stored, text = _collect(filed, server, failing_only=True)
    before, now = text.index("no table orders"), text.index("starting again")
    assert before < now
    assert f"===== {crashed}, tensafe-server, the run before (" in text
    assert re.search(r"CrashLoopBackOff, [1-9]\d* restart", text)  # it crashes again after ten seconds
    # The sandbox gives the others a line each.
    assert stored.detail == "6 lines of 3 failing pods"


def test_a_log_that_cannot_be_read_is_said_and_no_failure(filed: Evidence, server: WithLogs, tmp_path: Path):
    lost, *_ = [pod["metadata"]["name"] for pod in server.pods]
    server.write(tmp_path, lost, ["hello"])
    eventually(lambda: _served(server, lost, "hello"))
    (tmp_path / f"{lost}.logsFile").unlink()
    stored, text = _collect(filed, server)
    about = text[text.index(f"===== {lost}, tensafe-server (") :].splitlines()
    assert about[1].startswith("(not readable: ")
    assert stored.detail == "2 lines of 3 pods, 1 log not readable"


def test_logs_of_failing_pods_where_none_fails(filed: Evidence, server: WithLogs):
    stored, text = _collect(filed, server, failing_only=True)
    assert text == f"No failing pods of app=tensafe in {server.namespace}.\n"
    assert stored.detail == "0 lines of 0 failing pods"


def test_huge_logs_are_cut_and_say_so(
    filed: Evidence, server: WithLogs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(filed._pod_logs, "_most_bytes", 300_000)
    for pod in server.pods:
        server.write(tmp_path, pod["metadata"]["name"], [f"{number} {'x' * 200}" for number in range(3000)])
        eventually(partial(_served, server, pod["metadata"]["name"], "xxx"))
    stored, text = _collect(filed, server)
    assert stored.size < 302_000
    assert text.count("(cut here: more than 100000 bytes)\n") == 3


def test_a_planned_collection_stores_nothing(filed: Evidence, server: WithLogs, tmp_path: Path):
    stored, _ = _collect(filed, server, effect=an_effect(dry_run=True))
    assert not stored.applied
    assert not (tmp_path / "evidence").exists()


def test_collecting_heartbeats_and_is_cancelled(filed: Evidence, server: WithLogs, monkeypatch: pytest.MonkeyPatch):
    beats: list[Any] = []
    environment = ActivityEnvironment()

    def beat(*details: Any) -> None:
        beats.append(details)
        environment.cancel()

    environment.on_heartbeat = beat
    genuine = pod_logs.PodLogs._read
    release = threading.Event()

    def slow(self: Any, *args: Any) -> Any:
        release.wait(240)
        return genuine(self, *args)

    monkeypatch.setattr(pod_logs.PodLogs, "_read", slow)
    request = CollectLogs(
        incident_id="INC-1",
        name="logs.txt",
        namespace=server.namespace,
        selector="app=tensafe",
        since=timedelta(hours=1),
        effect=an_effect(),
    )
    with pytest.raises(CancelledError):
        environment.run(filed.collect_logs, request)
    release.set()
    assert beats


def test_logs_of_a_cluster_that_does_not_answer(tmp_path: Path, kubeconfig: Path, http: httpx.Client):
    config = yaml.safe_load(kubeconfig.read_text())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{free.getsockname()[1]}"
    elsewhere = tmp_path / "kubeconfig"
    elsewhere.write_text(yaml.safe_dump(config))
    request = CollectLogs(
        incident_id="INC-1",
        name="logs.txt",
        namespace="x",
        selector="a=b",
        since=timedelta(hours=1),
        effect=an_effect(),
    )
    with connect(elsewhere) as api:
        evidence = Evidence(FileStore(tmp_path / "evidence"), api, http, "http://127.0.0.1:1")
        with pytest.raises(Unavailable):
            ActivityEnvironment().run(evidence.collect_logs, request)
    assert not (tmp_path / "evidence").exists()
