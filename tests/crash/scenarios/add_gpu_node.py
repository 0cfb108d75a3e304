"""Add a GPU node: a node group of the case's own; one node more, or none and a person who takes it back."""

from typing import Any, ClassVar

import httpx
from temporalio.client import WorkflowHandle

from sandbox import aws, kubernetes_api, node_groups
from sandbox.probes import wait_until
from tests.crash.people import tell, when
from tests.crash.scenario import Case, EndState
from tests.crash.world import ServiceScenario, items
from workflows.platform.approval import Decision
from workflows.scaling.add_gpu_node import AddGpuNode, AddGpuNodeRequest


class AddGpuNodeScenario(ServiceScenario):
    name = "add-gpu-node"
    procedure = "add_gpu_node"
    leaves: ClassVar = {"desired nodes": aws.DESIRED + 1, "nodes": aws.DESIRED + 1, "messages post-added": 1}

    def policy(self, case: Case) -> dict[str, Any]:
        gpu = {"cluster": aws.CLUSTER, "nodegroup": case.namespace, "join_within": "PT5M"}
        return {"gpu": {**gpu, "selector": f"{node_groups.NODE_GROUP_LABEL}={case.namespace}"}}

    def begin(self, case: Case, health: str) -> None:
        aws.create_node_group(case.servers.aws, aws.CLUSTER, case.namespace)
        with kubernetes_api.connect(case.servers.kubeconfig) as api:
            wait_until(lambda: node_groups.ready(api, case.namespace) == aws.DESIRED)

    def request(self, case: Case) -> AddGpuNodeRequest:
        return AddGpuNodeRequest()

    def look(self, case: Case, api: httpx.Client, state: EndState) -> None:
        group = aws.eks(case.servers.aws).describe_nodegroup(clusterName=aws.CLUSTER, nodegroupName=case.namespace)
        desired = group["nodegroup"]["scalingConfig"]["desiredSize"]
        # A node too many would come a moment later, if it came; and a node too many is on its way out as long.
        wait_until(lambda: node_groups.ready(api, case.namespace) == desired)
        nodes = items(api, "/api/v1/nodes", labelSelector=f"{node_groups.NODE_GROUP_LABEL}={case.namespace}")
        state.counts["desired nodes"] = desired
        state.counts["nodes"] = len(nodes)
        state.counts.update(f"node {node['metadata']['name'].rpartition('-')[2]}" for node in nodes)

    def remove(self, case: Case) -> None:
        client = aws.eks(case.servers.aws)
        if case.namespace in client.list_nodegroups(clusterName=aws.CLUSTER, maxResults=100)["nodegroups"]:
            aws.delete_node_group(case.servers.aws, aws.CLUSTER, case.namespace)
        super().remove(case)


class NoNodeScenario(AddGpuNodeScenario):
    """No node comes that is what the service needs, and a person puts the size back."""

    name = "add-gpu-node-put-back"
    leaves: ClassVar = {
        "desired nodes": aws.DESIRED,
        "nodes": aws.DESIRED,
        "pages page-level-1": 1,
        "messages post-put-back": 1,
    }

    def policy(self, case: Case) -> dict[str, Any]:
        gpu: dict[str, Any] = super().policy(case)["gpu"]
        return {"gpu": {**gpu, "resource": "example.com/none", "join_within": "PT2S"}}

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        await when(handle, lambda status: bool(status.questions))
        word = Decision(question="put-back", choice="put-back", who="ada", role="on-call")
        await tell(handle, AddGpuNode.decide, word)
