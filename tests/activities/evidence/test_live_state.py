"""What only a running pod has, asked for at a real API server; the test is the kubelet, which the sandbox has not."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
from kubernetes import client
from temporalio.testing import ActivityEnvironment

from activities.common.effects import is_effect
from activities.evidence.live_state import SCRIPT, CapturedLive, CaptureLive, LiveState
from activities.kubernetes.isolation import Isolation
from activities.kubernetes.suspects import PodRef
from tests.activities.kubernetes.on_cluster import an_effect, eventually
from tests.activities.kubernetes.suspicious import Suspicious

IMAGE = "registry.example/busybox:1.37"
MERGE = {"Content-Type": "application/merge-patch+json"}


class Live:
    """A suspicious node's suspected pods, and the kubelet's part."""

    def __init__(self, place: Suspicious, cluster: client.ApiClient) -> None:
        self.place = place
        self.live = LiveState(cluster)
        self.pods: list[PodRef] = Isolation(cluster).look(place.look()).suspected

    def capture(self, **changes: Any) -> CapturedLive:
        request = CaptureLive.model_validate(
            {
                "pods": self.pods,
                "image": IMAGE,
                "checkpoint": False,
                "timeout": timedelta(seconds=30),
                "effect": an_effect(),
                **changes,
            }
        )
        done: CapturedLive = ActivityEnvironment().run(self.live.capture, request)
        return done

    def added(self, pod: PodRef) -> list[dict[str, Any]]:
        return list(self.place.read(pod.name)["spec"].get("ephemeralContainers") or ())

    def runs(self, pod: PodRef, state: dict[str, Any], *, known: int = 0) -> None:
        """Tell, as its kubelet does, what became of the debug containers of a pod, once it has more than are known."""
        eventually(lambda: len(self.added(pod)) > known)
        names = [each["name"] for each in self.added(pod)]
        states = [
            {"name": name, "image": IMAGE, "imageID": "", "ready": False, "restartCount": 0, "state": state}
            for name in names
        ]
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/status"
        body = {"status": {"ephemeralContainerStatuses": states}}
        self.place.kube.patch(path, headers=MERGE, json=body).raise_for_status()

    @contextmanager
    def kubelet(self, state: dict[str, Any]) -> Iterator[None]:
        with ThreadPoolExecutor() as pool:
            known = [len(self.added(pod)) for pod in self.pods]
            runs = [
                pool.submit(self.runs, pod, state, known=before) for pod, before in zip(self.pods, known, strict=True)
            ]
            yield
            for each in runs:
                each.result()


ENDED: dict[str, Any] = {"terminated": {"exitCode": 0, "reason": "Completed"}}


@pytest.fixture
def live(kube: httpx.Client, tensafe: str, cluster_api: client.ApiClient) -> Iterator[Live]:
    place = Suspicious(kube, tensafe)
    try:
        yield Live(place.create(), cluster_api)
    finally:
        place.remove()


def test_a_debug_container_looks_into_each_container_once(live: Live) -> None:
    assert is_effect(live.live.capture)
    effect = an_effect()
    with live.kubelet(ENDED):
        done = live.capture(effect=effect)
    assert done.captured == [f"{pod} app" for pod in live.pods]
    assert (len(live.pods), done.missing, done.applied) == (2, [], True)
    (added,) = live.added(live.pods[0])
    assert (added["targetContainerName"], added["image"], added["command"][:2]) == ("app", IMAGE, ["sh", "-c"])
    assert live.capture(effect=effect).captured == done.captured  # as the attempt after a dead worker's
    assert len(live.added(live.pods[0])) == 1
    with live.kubelet(ENDED):
        assert live.capture().missing == []  # another incident of the same pods
    assert len(live.added(live.pods[0])) == 2


def test_what_ends_later_stands_where_its_pod_does(live: Live) -> None:
    first, second = live.pods

    def one_after_the_other() -> None:
        live.runs(second, ENDED)
        time.sleep(2.5)  # it is looked every second: the other has been seen to end by then
        live.runs(first, ENDED)

    with ThreadPoolExecutor() as pool:
        told = pool.submit(one_after_the_other)
        assert live.capture().captured == [f"{first} app", f"{second} app"]
        told.result()


def test_a_plan_adds_none(live: Live) -> None:
    done = live.capture(effect=an_effect(dry_run=True), checkpoint=True)
    assert (done.after, done.applied) == ("2 containers would be looked into", False)
    assert live.added(live.pods[0]) == []


def test_what_does_not_start_or_end_is_told(live: Live) -> None:
    with live.kubelet({"waiting": {"reason": "ImagePullBackOff"}}):
        done = live.capture()
    assert done.captured == []
    assert "does not start: ImagePullBackOff" in done.missing[0]
    done = live.capture(timeout=timedelta(seconds=1))
    assert "did not end in 1 s" in done.missing[0]
    assert len(done.missing) == 2


def test_what_a_namespace_forbids_is_told(live: Live, kube: httpx.Client) -> None:
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    kube.patch(f"/api/v1/namespaces/{live.place.namespace}", headers=MERGE, json=label).raise_for_status()
    done = live.capture()
    assert done.captured == []
    assert all("PodSecurity" in each for each in done.missing)
    assert live.added(live.pods[0]) == []


def test_another_pod_by_that_name_is_left_alone(live: Live) -> None:
    live.pods = [pod.model_copy(update={"uid": "another"}) for pod in live.pods]
    done = live.capture(checkpoint=True)
    assert [each.partition(": ")[2] for each in done.missing] == ["had gone", "had gone"]
    assert live.added(live.pods[0]) == []


def test_a_kubelet_that_offers_no_checkpoint(live: Live) -> None:
    done = live.capture(image="", checkpoint=True)  # kwok's is one
    assert done.checkpoints == []
    assert len(done.missing) == 2
    assert all("no checkpoint" in each for each in done.missing)


class _Kubelet(HTTPServer):
    """Makes checkpoints, and remembers of what."""

    asked: list[str]


class _Answers(BaseHTTPRequestHandler):
    server: _Kubelet

    def do_POST(self) -> None:
        self.server.asked.append(self.path.partition("?")[0])
        content = json.dumps({"items": [f"/var/lib/kubelet/checkpoints/{len(self.server.asked)}.tar"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def kubelet(live: Live) -> Iterator[_Kubelet]:
    """One that can: it stands where the API server's proxy is, which reaches no node at a loopback address."""
    server = _Kubelet(("127.0.0.1", 0), _Answers)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    live.live._cluster = client.ApiClient(client.Configuration(host=f"http://127.0.0.1:{server.server_port}"))
    yield server
    server.shutdown()
    server.server_close()


def test_checkpoints(live: Live, kubelet: _Kubelet) -> None:
    done = live.capture(image="", checkpoint=True)
    proxy = f"/api/v1/nodes/{live.place.name}/proxy"
    places = [f"{proxy}/checkpoint/{pod.namespace}/{pod.name}/app" for pod in live.pods]
    assert kubelet.asked == places
    assert done.checkpoints == [
        f"{pod} app: {live.place.name}:/var/lib/kubelet/checkpoints/{number}.tar"
        for number, pod in enumerate(live.pods, start=1)
    ]


def test_an_attempt_that_follows_makes_no_second_checkpoint(live: Live, kubelet: _Kubelet) -> None:
    environment = ActivityEnvironment()
    beats: list[Any] = []
    environment.on_heartbeat = lambda *details: beats.append(details)
    request = CaptureLive(pods=live.pods, image="", checkpoint=True, timeout=timedelta(seconds=5), effect=an_effect())
    first: CapturedLive = environment.run(live.live.capture, request)
    again = ActivityEnvironment()
    again.info = type(again.info)(**{**again.info.__dict__, "heartbeat_details": beats[-1]})
    second: CapturedLive = again.run(live.live.capture, request)
    assert second.checkpoints == first.checkpoints
    assert len(kubelet.asked) == 2


def test_what_a_debug_container_runs_shows_processes_and_connections() -> None:
    with subprocess.Popen(["sleep", "30"]) as process:
        try:
            told = subprocess.run(["sh", "-c", SCRIPT], capture_output=True, text=True, check=True).stdout
        finally:
            process.kill()
    assert f"\n{process.pid} uid=" in told
    assert "cmd=sleep 30" in told
    assert "== /proc/net/tcp\n  sl  local_address" in told
