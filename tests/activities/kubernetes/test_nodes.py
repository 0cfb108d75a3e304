"""Nodes of a real cluster: what they offer, and waiting for a new one."""

import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from temporalio.exceptions import CancelledError
from temporalio.testing import ActivityEnvironment

from activities.common.errors import Refused, Unavailable
from activities.kubernetes.api import connect
from activities.kubernetes.nodes import AwaitNode, ClusterNodes, Node, NodeJoined, Nodes, NodesRequest, _tolerated
from sandbox import kubernetes_api
from sandbox.cluster import Cluster
from tests.activities.contracts.serving import Misbehaviour, serving
from tests.activities.kubernetes.on_cluster import HUNG, eventually

GPU = "nvidia.com/gpu"
MERGE = {"Content-Type": "application/merge-patch+json"}


@dataclass
class OwnNodes:
    """Nodes with a label of the test's own."""

    api: httpx.Client
    mark: str = field(default_factory=lambda: f"test-{secrets.token_hex(4)}")

    @property
    def request(self) -> NodesRequest:
        return NodesRequest(selector=f"group={self.mark}")

    def awaited(self, *known: str, seconds: float = HUNG.total_seconds()) -> AwaitNode:
        return AwaitNode(**self.request.model_dump(), known=list(known), timeout=timedelta(seconds=seconds))

    def name(self, which: str) -> str:
        return f"{self.mark}-{which}"

    def add(self, which: str, *, gpus: str | None = "4", **spec: Any) -> str:
        """Create one at once; kwok makes it Ready a moment later."""
        offers = {"cpu": "48", "memory": "192Gi", "pods": "110"} | ({GPU: gpus} if gpus is not None else {})
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": self.name(which), "labels": {"group": self.mark}},
            "spec": {"taints": [{"key": GPU, "effect": "NoSchedule"}], **spec},
            "status": {"allocatable": offers, "capacity": offers},
        }
        self.api.post("/api/v1/nodes", json=node).raise_for_status()
        return self.name(which)

    def ready(self, which: str) -> bool:
        status = self.api.get(f"/api/v1/nodes/{self.name(which)}").raise_for_status().json()["status"]
        return any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ()))

    def settled(self, which: str) -> bool:
        """Tell whether the controller has taken its own taint away, a moment after the node is ready."""
        spec = self.api.get(f"/api/v1/nodes/{self.name(which)}").raise_for_status().json()["spec"]
        return all(taint["key"] != "node.kubernetes.io/not-ready" for taint in spec.get("taints", ()))

    def add_ready(self, which: str, **options: Any) -> str:
        name = self.add(which, **options)
        eventually(lambda: self.ready(which))
        eventually(lambda: self.settled(which))
        return name

    def clean(self) -> None:
        self.api.delete("/api/v1/nodes", params={"labelSelector": f"group={self.mark}"}).raise_for_status()


@pytest.fixture
def own(kube: httpx.Client) -> Iterator[OwnNodes]:
    nodes = OwnNodes(kube)
    yield nodes
    nodes.clean()


@pytest.fixture(scope="module")
def cluster_nodes(kubeconfig: Path) -> Iterator[ClusterNodes]:
    with connect(kubeconfig) as api:
        yield ClusterNodes(api)


def _wait(nodes: ClusterNodes, request: AwaitNode, environment: ActivityEnvironment | None = None) -> NodeJoined:
    joined: NodeJoined = (environment or ActivityEnvironment()).run(nodes.await_new, request)
    return joined


# -- reading ----------------------------------------------------------------------------------------------


def test_nodes_and_what_they_offer(cluster_nodes: ClusterNodes, own: OwnNodes):
    own.add_ready("a")
    own.add_ready("b", gpus="8")
    own.add_ready("c", unschedulable=True)
    found = cluster_nodes.nodes(own.request)
    assert [(n.name, n.ready, n.schedulable, n.allocatable) for n in found.items] == [
        (own.name("a"), True, True, 4),
        (own.name("b"), True, True, 8),
        (own.name("c"), True, False, 4),
    ]
    assert str(found) == "3 nodes, 3 ready, 16 units"
    assert abs(datetime.now(UTC) - found.items[0].created_at) < timedelta(minutes=1)


def test_the_oldest_is_first(cluster_nodes: ClusterNodes, own: OwnNodes):
    own.add("z")
    time.sleep(1.1)  # creation times are whole seconds
    own.add("a")
    assert [n.name for n in cluster_nodes.nodes(own.request).items] == [own.name("z"), own.name("a")]


def test_other_resources_are_read_as_whole_units(cluster_nodes: ClusterNodes, own: OwnNodes):
    own.add("a")
    (node,) = cluster_nodes.nodes(own.request.model_copy(update={"resource": "memory"})).items
    assert node.allocatable == 192 * 2**30


def test_no_nodes(cluster_nodes: ClusterNodes, own: OwnNodes):
    assert str(cluster_nodes.nodes(own.request)) == "0 nodes, 0 ready, 0 units"


def test_one_node_is_named_as_one():
    node = Node(name="a", ready=False, schedulable=True, allocatable=0, created_at=datetime.now(UTC))
    assert str(Nodes(items=[node])) == "1 node, 0 ready, 0 units"


def test_a_selector_that_is_none_is_refused(cluster_nodes: ClusterNodes):
    with pytest.raises(Refused, match="400"):
        cluster_nodes.nodes(NodesRequest(selector="!!"))


# -- waiting ----------------------------------------------------------------------------------------------


def test_a_node_that_joins_while_we_wait(cluster_nodes: ClusterNodes, own: OwnNodes):
    known = own.add_ready("a")
    environment, beats = ActivityEnvironment(), list[Any]()

    def beat(*details: Any) -> None:
        """Have it join between the first look and the second: each has a heartbeat before it."""
        beats.append(details)
        if len(beats) == 2:
            own.add("b")

    environment.on_heartbeat = beat
    joined = _wait(cluster_nodes, own.awaited(known), environment)
    assert joined.node is not None
    assert (joined.node.name, joined.node.allocatable, joined.reason) == (own.name("b"), 4, "")
    assert joined.seconds > 0
    assert str(joined) == f"{own.name('b')} is Ready with 4 units after {joined.seconds:.1f} s"


def test_a_node_that_has_joined_already(cluster_nodes: ClusterNodes, own: OwnNodes):
    own.add_ready("a")
    environment, beats = ActivityEnvironment(), []
    environment.on_heartbeat = lambda *details: beats.append(details)
    assert _wait(cluster_nodes, own.awaited(), environment).node is not None
    assert len(beats) == 1, "at the first look"


def test_the_known_ones_do_not_count(cluster_nodes: ClusterNodes, own: OwnNodes):
    joined = _wait(cluster_nodes, own.awaited(own.add_ready("a"), seconds=0.6))
    assert (joined.node, joined.reason) == (None, "no new node yet")
    assert str(joined) == f"no new node after {joined.seconds:.1f} s: no new node yet"


def test_a_node_whose_gpus_have_not_been_found_is_not_enough(cluster_nodes: ClusterNodes, own: OwnNodes):
    name = own.add_ready("a", gpus=None)
    joined = _wait(cluster_nodes, own.awaited(seconds=0.6))
    assert (joined.node, joined.reason) == (None, f"{name} is Ready but offers no nvidia.com/gpu")
    gpus = {"status": {"allocatable": {GPU: "4"}, "capacity": {GPU: "4"}}}
    own.api.patch(f"/api/v1/nodes/{name}/status", json=gpus, headers=MERGE).raise_for_status()
    assert _wait(cluster_nodes, own.awaited()).node is not None


def test_a_cordoned_node_is_not_enough(cluster_nodes: ClusterNodes, own: OwnNodes):
    name = own.add_ready("a", unschedulable=True)
    assert _wait(cluster_nodes, own.awaited(seconds=0.6)).reason == f"{name} is Ready but cordoned"


STARTUP = {"key": "readiness.example/gpu-driver", "value": "installing", "effect": "NoSchedule"}
DEDICATED = {"key": "team", "value": "payments", "effect": "NoExecute"}
GPU_TAINT = {"key": GPU, "effect": "NoSchedule"}


def test_a_node_whose_startup_taint_keeps_pods_off_is_not_enough(cluster_nodes: ClusterNodes, own: OwnNodes):
    name = own.add_ready("a", taints=[GPU_TAINT, STARTUP])
    joined = _wait(cluster_nodes, own.awaited(seconds=0.6))
    assert joined.reason == f"{name} is Ready, but its taint readiness.example/gpu-driver keeps pods off"
    taken = {"spec": {"taints": [GPU_TAINT]}}
    threading.Timer(1.0, lambda: own.api.patch(f"/api/v1/nodes/{name}", json=taken, headers=MERGE)).start()
    assert _wait(cluster_nodes, own.awaited()).node is not None


def test_a_taint_that_says_what_nodes_are_for_keeps_none_from_joining(cluster_nodes: ClusterNodes, own: OwnNodes):
    soft = {"key": "spot", "effect": "PreferNoSchedule"}
    known = own.add_ready("a", taints=[GPU_TAINT, DEDICATED])
    own.add_ready("b", taints=[GPU_TAINT, DEDICATED, soft])
    assert _wait(cluster_nodes, own.awaited(seconds=0.6)).node is None  # where no older node has it
    named = own.awaited().model_copy(update={"tolerates": ("team",)})
    assert _wait(cluster_nodes, named).node is not None
    assert _wait(cluster_nodes, own.awaited(known)).node is not None


def test_what_passes_is_not_tolerated_because_another_node_has_it_too(cluster_nodes: ClusterNodes, own: OwnNodes):
    starting = {"key": "startup-taint.cluster-autoscaler.kubernetes.io/gpu", "effect": "NoSchedule"}
    known = own.add_ready("a", taints=[GPU_TAINT, starting])
    name = own.add_ready("b", taints=[GPU_TAINT, starting])
    joined = _wait(cluster_nodes, own.awaited(known, seconds=0.6))
    assert joined.reason == f"{name} is Ready, but its taint {starting['key']} keeps pods off"


def test_a_taint_of_another_node_that_joins_at_the_same_time_is_not_tolerated():
    now = datetime.now(UTC)
    pool = {"ready": True, "schedulable": True, "allocatable": 4}
    old = Node(name="old", created_at=now - timedelta(days=9), taints=["team"], **pool)
    joining = Node(name="joining", created_at=now - timedelta(minutes=1), taints=["team", "gpu-driver"], **pool)
    asked = AwaitNode(selector="a=b", known=["old", "joining"], timeout=timedelta(seconds=1))
    assert _tolerated([old, joining], asked) == {"team"}
    # Where there is no older one, nobody knows better; but by its name.
    assert _tolerated([joining], asked) == {"team", "gpu-driver"}
    starting = joining.model_copy(update={"taints": ["team", "ebs.csi.aws.com/agent-not-ready", "x/uninitialized"]})
    assert _tolerated([starting], asked) == {"team"}


def test_a_condition_of_the_gpus_own_is_waited_for(cluster_nodes: ClusterNodes, own: OwnNodes):
    name = own.add_ready("a")
    status = own.api.get(f"/api/v1/nodes/{name}").json()["status"]
    others = [*status["conditions"], {"type": "nvidia.com/GPUReady", "status": "Unknown"}]
    patch = {"status": {"conditions": others}}
    own.api.patch(f"/api/v1/nodes/{name}/status", json=patch, headers=MERGE).raise_for_status()
    joined = _wait(cluster_nodes, own.awaited(seconds=0.6))
    assert joined.reason == f"{name} is Ready but its condition nvidia.com/GPUReady isn't True"


def test_a_node_that_is_not_ready_is_not_enough(cluster: Cluster):
    (kwok,) = (process for process in cluster.processes if process.name == "kwok")
    assert kwok.pid is not None
    with kubernetes_api.connect(cluster.kubeconfig) as api, connect(cluster.kubeconfig) as client:
        own = OwnNodes(api)
        os.kill(kwok.pid, signal.SIGSTOP)
        try:
            own.add("a"), own.add("b")
            joined = _wait(ClusterNodes(client), own.awaited(seconds=0.6))
            assert joined.node is None
            assert joined.reason == "; ".join(f"{own.name(w)} has joined but is NotReady" for w in "ab")
            os.kill(kwok.pid, signal.SIGCONT)
            assert _wait(ClusterNodes(client), own.awaited()).node is not None
        finally:
            os.kill(kwok.pid, signal.SIGCONT)
            own.clean()


def test_waiting_is_cancelled_at_once(cluster_nodes: ClusterNodes, own: OwnNodes):
    environment, beats = ActivityEnvironment(), []

    def beat(*details: Any) -> None:
        beats.append(details)
        if len(beats) == 2:
            environment.cancel()

    environment.on_heartbeat = beat
    with pytest.raises(CancelledError):
        _wait(cluster_nodes, own.awaited(seconds=3600), environment)
    assert len(beats) == 2


def test_the_next_attempt_has_only_the_time_that_is_left(cluster_nodes: ClusterNodes, own: OwnNodes):
    environment = ActivityEnvironment()
    started = (datetime.now(UTC) - timedelta(minutes=4, seconds=59)).isoformat()
    environment.info = replace(environment.info, heartbeat_details=[{"started_at": started}])
    began = time.monotonic()
    joined = _wait(cluster_nodes, own.awaited(seconds=300), environment)
    assert time.monotonic() - began < 120
    assert joined.seconds >= 300


# -- an API server that is away ---------------------------------------------------------------------------


@pytest.fixture
def through(kube: httpx.Client, tmp_path: Path) -> Iterator[Callable[[], tuple[ClusterNodes, Misbehaviour]]]:
    """The real API behind something that can misbehave."""
    wrong = Misbehaviour()

    def forward(request: Request) -> Response:
        answer = kube.get(request.url.path, params=dict(request.query_params))
        return Response(answer.content, answer.status_code, media_type="application/json")

    app = Starlette(routes=[Route("/{path:path}", forward)])
    with serving(app, wrong) as url:
        kubeconfig = tmp_path / "kubeconfig"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        }
        kubeconfig.write_text(yaml.safe_dump(config))
        with connect(kubeconfig) as api:
            yield lambda: (ClusterNodes(api), wrong)


def test_an_outage_is_waited_for(through: Callable[[], tuple[ClusterNodes, Misbehaviour]], own: OwnNodes):
    nodes, wrong = through()
    own.add_ready("a")
    wrong.answer_instead("nodes", PlainTextResponse("", 503))
    wrong.answer_instead("nodes", PlainTextResponse("", 429))
    wrong.lose_answer("nodes")
    joined = _wait(nodes, own.awaited())
    assert joined.node is not None
    assert joined.seconds > 1.4


def test_an_outage_to_the_end_is_told(tmp_path: Path, through: Callable[[], tuple[ClusterNodes, Misbehaviour]]):
    nodes, wrong = through()
    for _ in range(10):
        wrong.answer_instead("nodes", PlainTextResponse("", 503))
    request = AwaitNode(selector="a=b", known=[], timeout=timedelta(seconds=0.6))
    joined = _wait(nodes, request)
    assert (joined.node, joined.reason) == (None, "the Kubernetes API answered 503: Service Unavailable")
    with pytest.raises(Unavailable):
        nodes.nodes(request)
