"""Nodes of the cluster and what they offer (runbook 3.3)."""

from datetime import datetime, timedelta

from kubernetes import client
from pydantic import BaseModel, Field
from temporalio import activity


class NodesRequest(BaseModel):
    """Which nodes, and which of their resources."""

    selector: str
    resource: str = Field(default="nvidia.com/gpu")


class Node(BaseModel):
    """One node."""

    name: str
    ready: bool
    schedulable: bool
    allocatable: int = Field(description="Units of the resource; 0 where it offers none (yet).")
    created_at: datetime


class Nodes(BaseModel):
    """Nodes of a selector, oldest first."""

    items: list[Node]

    def __str__(self) -> str:
        """For example `3 nodes, 3 ready, 12 units`."""
        raise NotImplementedError


class AwaitNode(NodesRequest):
    """Wait for a node that is not one of the known ones."""

    known: list[str] = Field(description="Names of the nodes there were before.")
    timeout: timedelta


class NodeJoined(BaseModel):
    """How the wait ended."""

    node: Node | None = Field(description="Ready, schedulable and with the resource allocatable; None: none in time.")
    seconds: float
    reason: str = Field(default="", description="Why there is none: what is still missing.")

    def __str__(self) -> str:
        """One line for the timeline."""
        raise NotImplementedError


class ClusterNodes:
    """Reads nodes; raises what `Kubernetes` raises."""

    def __init__(self, api: client.ApiClient) -> None:
        self._core = client.CoreV1Api(api)

    @activity.defn(name="nodes.list")
    def nodes(self, request: NodesRequest) -> Nodes:
        """Read the nodes of a selector (3.3 step 1)."""
        raise NotImplementedError

    @activity.defn(name="nodes.await_new")
    def await_new(self, request: AwaitNode) -> NodeJoined:
        """Wait for a new node to be Ready with the resource allocatable, heartbeating (3.3 steps 3 and 4).

        Running out of time is a result, not an error. An API server that doesn't answer is waited for as well.
        """
        raise NotImplementedError
