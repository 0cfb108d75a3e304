"""Add a GPU node (runbook 3.3): when the GPUs' utilisation stays above 85 %."""

import asyncio
from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, Field
from temporalio import workflow

from activities.autoscaling.node_groups import NodeGroup, NodeGroupRequest, NodeGroups, ResizeNodeGroup
from activities.catalogue.service import GpuPolicy, Service
from activities.common.effects import Change, Effect
from activities.common.errors import Misconfigured, Refused
from activities.kubernetes.nodes import AwaitNode, ClusterNodes, Node, NodeJoined, NodesRequest
from activities.monitoring.prometheus import Metrics, MetricsRequest, PrometheusMetrics
from audit.text import counted, length
from workflows.platform import policies
from workflows.platform.approval import Question
from workflows.platform.requests import ServiceRequest
from workflows.platform.resets import before_reset
from workflows.platform.runbook import Runbook
from workflows.scaling.node_plan import NodePlan
from workflows.shared.desk import Desk

_KEEP, _PUT_BACK = "keep", "put-back"
_LOOK = timedelta(seconds=5)
Outcome = Literal["added", "not needed", "no node", "put back", "planned"]


class AddGpuNodeRequest(ServiceRequest):
    """Add one GPU node to a service's node group."""


class AddGpuNodeResult(BaseModel):
    """What became of it."""

    service: str
    outcome: Outcome
    before: int = Field(description="Desired size of the node group.")
    desired: int
    node: str = ""
    gpus: int = Field(default=0, description="What the new node offers.")


@workflow.defn
class AddGpuNode(Runbook):
    """Look, pin desired + 1, resize, wait for the node, verify what it offers."""

    SECTION = "3.3"

    @workflow.run
    async def run(self, request: AddGpuNodeRequest) -> AddGpuNodeResult:
        """Follow 3.3.

        Raises:
            InvalidInput: the service is not in the catalogue.
            Misconfigured: the service has no GPU nodes.
            Refused: the node group is at its maximum, or not active.

        """
        service = await self.begin(request, title="Add a GPU node", service=request.service, severity="P3")
        self.title = f"Add a GPU node for {service.name}"
        gpu = service.gpu
        if gpu is None:
            raise Misconfigured(f"{service.name} has no GPU nodes: add [services.{service.name}.gpu] to runbooks.toml")
        desk = Desk(self, service, "P3", self.title, "GPU")
        where = NodeGroupRequest(cluster=gpu.cluster, nodegroup=gpu.nodegroup)
        offering = NodesRequest(selector=gpu.selector, resource=gpu.resource, tolerates=gpu.tolerates)

        self.phase("Current GPU nodes")
        nodes, group, used = await asyncio.gather(
            self.step("3.3/1", "GPU nodes", ClusterNodes.nodes, offering, policies.READ),
            self.step("3.3/2", "Node group", NodeGroups.read, where, policies.READ),
            self._utilisation(gpu),
        )
        adding = self.effect("add-node")
        now = group
        earlier = await before_reset(self, "3.3/2", adding, ClusterNodes.nodes, NodeGroups.read)
        if earlier is not None:
            nodes, group = earlier.answer(ClusterNodes.nodes) or nodes, earlier.answer(NodeGroups.read) or group
        sustained = used.values.get("utilisation") if used is not None else None
        if earlier is None and request.alert is not None and sustained is not None and sustained <= gpu.above:
            self.say(
                "decision",
                f"Not needed: the least of {length(gpu.sustained)} is {sustained:.0%}, not over {gpu.above:.0%}",
            )
            return await self._end("not needed", service, group.desired, group.desired)
        desired = _pinned(gpu, group)
        plan = NodePlan(gpu, desk, where, group, desired)
        self.say("decision", f"{group.desired} + 1 is {counted(desired, 'node')}", section="3.3/2")

        self.phase("Scale the node group")
        if earlier is not None and (change := earlier.change(Change)) is not None:
            self.say("decision", f"This run was reset, and had done it before: {change}", section="3.3/2")
            if now.desired != desired:
                self.say("decision", f"{gpu.nodegroup} is set to {counted(now.desired, 'node')} since: that stays")
                return await self._end(
                    "put back" if now.desired == group.desired else "no node", service, group.desired, now.desired
                )
        else:
            await self._resize("Add a node", where, group.desired, desired, adding)
        if self.dry_run:
            return await self._end("planned", service, group.desired, desired)

        self.phase("Wait for the node")
        new = AwaitNode(**offering.model_dump(), known=[node.name for node in nodes.items], timeout=gpu.join_within)
        joined = await self._joined(new)
        if joined is None or joined.node is None:
            return await self._no_node(plan, joined, new)
        return await self._added(plan, joined.node)

    async def _joined(self, new: AwaitNode) -> NodeJoined | None:
        return await self.attempt("3.3/3", "New node", ClusterNodes.await_new, new, policies.WAIT.lasting(new.timeout))

    async def _added(self, plan: NodePlan, node: Node) -> AddGpuNodeResult:
        self.say("step", f"{node.name} offers {node.allocatable} {plan.gpu.resource}", section="3.3/4")
        nodes = counted(plan.desired, "node")
        await plan.desk.tell("added", f":heavy_plus_sign: {node.name} has joined {plan.gpu.nodegroup} ({nodes}).")
        result = await self._end("added", plan.desk.service, plan.group.desired, plan.desired)
        return result.model_copy(update={"node": node.name, "gpus": node.allocatable})

    async def _utilisation(self, gpu: GpuPolicy) -> Metrics | None:
        """Read the lowest utilisation of the time that counts as sustained."""
        if gpu.utilisation is None:
            return None
        window = f"{gpu.sustained.total_seconds():.0f}s"
        query = f"min_over_time(({gpu.utilisation})[{window}:])"
        return await self.attempt(
            "3.3",
            f"GPU utilisation, least of {window}",
            PrometheusMetrics.snapshot,
            MetricsRequest(queries={"utilisation": query}),
            policies.READ,
        )

    async def _resize(self, title: str, where: NodeGroupRequest, before: int, after: int, effect: Effect) -> None:
        await self.step(
            "3.3/2",
            title,
            NodeGroups.resize,
            ResizeNodeGroup(**where.model_dump(), from_desired=before, desired=after, effect=effect),
            policies.EFFECT,
        )

    async def _no_node(self, plan: NodePlan, joined: NodeJoined | None, new: AwaitNode) -> AddGpuNodeResult:
        """Escalate; put the desired size back only if a person says so."""
        gpu, desk, group, desired = plan.gpu, plan.desk, plan.group, plan.desired
        service = desk.service
        why = joined.reason if joined else "the nodes could not be read"
        within = length(gpu.join_within)
        self.say("deadline", f"No new node within {within}: {why}")
        await desk.escalate(
            f"{gpu.nodegroup} was set to {counted(desired, 'node')}, and none came within {within}: {why}"
        )
        question = Question(
            id="put-back",
            title=f"Put {gpu.nodegroup} back to {counted(group.desired, 'node')}?",
            options={
                _PUT_BACK: f"set the desired size back to {group.desired}",
                _KEEP: f"leave it at {desired}: the node may still come",
            },
            default=_KEEP,
            kind="scale",
            evidence=[str(group), why, *group.issues],
            timeout=gpu.decision_timeout,
        )
        self.background(desk.ask(question))
        answer = await self.ask(question, escalate=desk.escalate)
        if answer.choice != _PUT_BACK:
            return await self._end("no node", service, group.desired, desired)
        if workflow.patched("looked-again-before-the-size-goes-back"):
            late = await self._joined(new.model_copy(update={"timeout": _LOOK}))
            if late is not None and late.node is not None:
                self.say("decision", f"{late.node.name} has come meanwhile: the size stays at {desired}")
                return await self._added(plan, late.node)
        await self._resize("Put the size back", plan.where, desired, group.desired, self.effect("put-back"))
        return await self._end("put back", service, group.desired, group.desired)

    async def _end(self, outcome: Outcome, service: Service, before: int, desired: int) -> AddGpuNodeResult:
        await self.settle()
        self.finish(outcome)
        return AddGpuNodeResult(service=service.name, outcome=outcome, before=before, desired=desired)


def _pinned(gpu: GpuPolicy, group: NodeGroup) -> int:
    """Pin desired + 1, within the bounds of settings and of the node group itself.

    Raises:
        Refused: it is at its maximum, or below its minimum; nothing has been changed.

    """
    desired = group.desired + 1
    most = min(gpu.max_nodes, group.maximum)
    if desired > most:
        whose = "settings (gpu.max_nodes)" if most == gpu.max_nodes else "the node group itself"
        raise Refused(
            f"{group.nodegroup} is at its maximum: {counted(group.desired, 'node')}, and {whose} allow {most}"
        )
    least = max(gpu.min_nodes, group.minimum)
    if desired < least:
        raise Refused(
            f"{group.nodegroup} has {counted(group.desired, 'node')}, fewer than its minimum of {least}: "
            "set that right first"
        )
    return desired
