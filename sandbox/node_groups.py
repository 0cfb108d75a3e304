"""`python -m sandbox.node_groups`: what EC2 and the kubelets would do, a Node for every instance a node group asks for.

Looks at every node group of every EKS cluster, and at the cluster's Nodes, and makes the second agree with the first;
kwok makes new Nodes Ready. It keeps nothing of its own: one that was killed, or that could not reach AWS or the API
for a while, catches up at its next look.
"""

import argparse
import signal
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import structlog
from botocore.exceptions import BotoCoreError, ClientError

from sandbox import aws, kubernetes_api

NODE_GROUP_LABEL = "eks.amazonaws.com/nodegroup"
CLUSTER_LABEL = "alpha.eksctl.io/cluster-name"
GPUS = 4
"""What each node offers."""

_NUMBER_LABEL = "sandbox.runbooks.dev/number"
_LOOK_SECONDS = 0.5
"""Each look costs this process and moto's some 30 ms of CPU."""
_RESOURCES = {"cpu": "48", "memory": "192Gi", "pods": "110", "nvidia.com/gpu": str(GPUS)}
_EFFECTS = {"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute", "PREFER_NO_SCHEDULE": "PreferNoSchedule"}

_log = structlog.get_logger(__name__)

Group = tuple[str, str]
"""EKS cluster and node group."""


def agree(eks: Any, api: httpx.Client) -> None:
    """Create the Nodes that are missing, and delete those too many, the newest first.

    Raises:
        BotoCoreError, ClientError, httpx.HTTPError: AWS or the API is away, or refuses.

    """
    wanted = dict(_wanted(eks))
    found = _found(api)
    for group in wanted.keys() | found.keys():
        described, numbers = wanted.get(group), found[group]
        size = described["scalingConfig"]["desiredSize"] if described else 0  # deleted: so are its instances
        for number in sorted(numbers)[size:]:
            api.delete(f"/api/v1/nodes/{name(group, number)}").raise_for_status()
            _log.info("node deleted", node=name(group, number), desired=size)
        if described:
            newest = max(numbers, default=0)
            for number in range(newest + 1, newest + 1 + size - len(numbers)):
                api.post("/api/v1/nodes", json=_node(group, number, described)).raise_for_status()
                _log.info("node created", node=name(group, number), desired=size)


def ready(api: httpx.Client, nodegroup: str) -> int:
    """Count a node group's Nodes that are Ready."""
    nodes = api.get("/api/v1/nodes", params={"labelSelector": f"{NODE_GROUP_LABEL}={nodegroup}"}).raise_for_status()
    conditions = [item["status"].get("conditions", ()) for item in nodes.json()["items"]]
    return sum(any(c["type"] == "Ready" and c["status"] == "True" for c in those) for those in conditions)


def name(group: Group, number: int) -> str:
    """Name a node: no other group of any cluster has one of that name."""
    return "-".join((*group, str(number)))


def _wanted(eks: Any) -> Iterator[tuple[Group, dict[str, Any]]]:
    for cluster in _listed(eks, "clusters"):
        for nodegroup in _listed(eks, "nodegroups", clusterName=cluster):
            described = eks.describe_nodegroup(clusterName=cluster, nodegroupName=nodegroup)
            yield (cluster, nodegroup), described["nodegroup"]


def _listed(eks: Any, what: str, **of: str) -> Iterator[str]:
    for page in eks.get_paginator(f"list_{what}").paginate(**of):
        yield from page[what]


def _found(api: httpx.Client) -> defaultdict[Group, set[int]]:
    found: defaultdict[Group, set[int]] = defaultdict(set)
    listed = api.get("/api/v1/nodes", params={"labelSelector": _NUMBER_LABEL}).raise_for_status().json()
    for item in listed["items"]:
        labels = item["metadata"]["labels"]
        found[labels[CLUSTER_LABEL], labels[NODE_GROUP_LABEL]].add(int(labels[_NUMBER_LABEL]))
    return found


def _node(group: Group, number: int, described: dict[str, Any]) -> dict[str, Any]:
    cluster, nodegroup = group
    labels = {
        **described["labels"],
        CLUSTER_LABEL: cluster,
        NODE_GROUP_LABEL: nodegroup,
        _NUMBER_LABEL: str(number),
        "kubernetes.io/hostname": name(group, number),
        "node.kubernetes.io/instance-type": described["instanceTypes"][0],
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name(group, number), "labels": labels},
        "spec": {"taints": [{**taint, "effect": _EFFECTS[taint["effect"]]} for taint in described["taints"]]},
        "status": {"allocatable": _RESOURCES, "capacity": _RESOURCES},
    }


def main() -> None:
    """Look again and again until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.node_groups", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--endpoint", required=True, help="AWS' URL")
    parser.add_argument("--every", type=float, default=_LOOK_SECONDS, help="seconds between two looks")
    options = parser.parse_args()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    eks, api = aws.eks(options.endpoint), kubernetes_api.connect(options.kubeconfig)
    while not stop.is_set():
        try:
            agree(eks, api)
        except (BotoCoreError, ClientError, httpx.HTTPError) as error:
            _log.warning("looking again", error=str(error))
        stop.wait(options.every)


if __name__ == "__main__":
    main()
