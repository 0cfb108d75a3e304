"""A node group's desired size becomes Nodes, also when AWS, the API or the controller itself was away."""

import os
import secrets
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox import node_groups
from sandbox.aws import Aws, create_node_group, delete_node_group, eks
from sandbox.cluster import Cluster
from sandbox.probes import wait_until
from sandbox.processes import ServerProcess


@dataclass
class Group:
    """A node group of the test's own, and its Nodes."""

    kube: httpx.Client
    endpoint: str
    cluster: str = "tensafe-prod"
    name: str = field(default_factory=lambda: f"gpu-{secrets.token_hex(4)}")

    def resize(self, desired: int) -> None:
        eks(self.endpoint).update_nodegroup_config(
            clusterName=self.cluster, nodegroupName=self.name, scalingConfig={"desiredSize": desired}
        )

    @property
    def nodes(self) -> dict[str, dict[str, Any]]:
        selector = f"eks.amazonaws.com/nodegroup={self.name},alpha.eksctl.io/cluster-name={self.cluster}"
        items = self.kube.get("/api/v1/nodes", params={"labelSelector": selector}).raise_for_status().json()["items"]
        return {item["metadata"]["name"]: item for item in items}

    def node(self, number: int) -> str:
        return f"{self.cluster}-{self.name}-{number}"

    def settles(self, *numbers: int) -> None:
        """Wait for exactly these nodes."""
        wait_until(lambda: sorted(self.nodes) == sorted(self.node(number) for number in numbers))

    def all_ready(self, desired: int) -> None:
        wait_until(lambda: node_groups.ready(self.kube, self.name) == desired)


@pytest.fixture
def controller(cluster: Cluster, aws: Aws, tmp_path: Path) -> Iterator[ServerProcess]:
    options = ["--kubeconfig", str(cluster.kubeconfig), "--endpoint", aws.url]
    argv = [sys.executable, "-m", "sandbox.node_groups", *options]
    process = ServerProcess("node-groups", tmp_path, argv)
    process.start()
    yield process
    process.stop()
    assert "Traceback" not in process.log.read_text(encoding="utf-8")


@pytest.fixture
def group(kube: httpx.Client, aws: Aws, controller: ServerProcess) -> Iterator[Group]:
    group = Group(kube, aws.url)
    create_node_group(aws.url, group.cluster, group.name)
    yield group
    if controller.pid is None:
        controller.start()
    delete_node_group(aws.url, group.cluster, group.name)
    group.settles()


def test_one_more_is_a_ready_node_with_gpus(group: Group) -> None:
    group.settles(1, 2)
    group.resize(3)
    group.settles(1, 2, 3)
    group.all_ready(3)
    newest = group.nodes[group.node(3)]
    assert newest["status"]["allocatable"]["nvidia.com/gpu"] == "4"
    assert newest["metadata"]["labels"]["nvidia.com/gpu.present"] == "true"
    taint = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    assert taint in newest["spec"]["taints"]


def test_one_less_takes_the_newest(group: Group) -> None:
    group.resize(4)
    group.settles(1, 2, 3, 4)
    group.resize(2)
    group.settles(1, 2)


def test_a_killed_controller_catches_up(group: Group, controller: ServerProcess) -> None:
    group.settles(1, 2)
    controller.kill()
    group.resize(4)
    group.kube.delete(f"/api/v1/nodes/{group.node(1)}").raise_for_status()
    controller.start()
    group.settles(2, 3, 4, 5)


def test_groups_of_one_name_in_two_clusters_do_not_meet(group: Group) -> None:
    other = Group(group.kube, group.endpoint, f"c{secrets.token_hex(3)}", group.name)
    create_node_group(other.endpoint, other.cluster, other.name, minimum=0, desired=1)
    try:
        group.settles(1, 2)
        other.settles(1)
    finally:
        delete_node_group(other.endpoint, other.cluster, other.name)
    other.settles()
    group.settles(1, 2)


def test_an_aws_that_is_away_costs_no_node(group: Group, aws: Aws, controller: ServerProcess) -> None:
    group.settles(1, 2)
    (process,) = aws.processes
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: "looking again" in controller.log.read_text(encoding="utf-8"))
        assert sorted(group.nodes) == [group.node(1), group.node(2)]
    finally:
        os.kill(process.pid, signal.SIGCONT)
    group.resize(3)
    group.settles(1, 2, 3)
