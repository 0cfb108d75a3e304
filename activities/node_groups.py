"""EKS managed node groups, through the AWS API (runbook 3.3)."""

from typing import Any

from pydantic import BaseModel, Field
from temporalio import activity

from activities.effects import Change, Effect, effect


class NodeGroupRequest(BaseModel):
    """Which node group."""

    cluster: str
    nodegroup: str


class NodeGroup(NodeGroupRequest):
    """A node group's scaling, and how it is."""

    status: str = Field(description="EKS' word, for example ACTIVE, UPDATING, DEGRADED.")
    minimum: int
    maximum: int
    desired: int
    issues: list[str] = Field(default_factory=list, description="EKS' health issues: code and message.")

    def __str__(self) -> str:
        """For example `gpu-workers ACTIVE, 3 of 2–10`."""
        raise NotImplementedError


class ResizeNodeGroup(NodeGroupRequest):
    """`aws eks update-nodegroup-config --scaling-config`, to a pinned absolute number."""

    from_desired: int = Field(description="What was read when it was decided; refused when it is another by now.")
    desired: int = Field(ge=0)
    effect: Effect


class NodeGroups:
    """Reads and resizes node groups; `client` is boto3's EKS client.

    Raises from every method: `Unavailable` (no connection, 5xx), `RateLimited` (throttling), `NotFound` (no such
    cluster or node group), `Refused` (credentials, permissions, validation), `Conflict` (another update is under way).
    """

    def __init__(self, eks: Any) -> None:
        self._eks = eks

    @activity.defn(name="node_groups.read")
    def read(self, request: NodeGroupRequest) -> NodeGroup:
        """Read its scaling configuration (3.3 step 2)."""
        raise NotImplementedError

    @activity.defn(name="node_groups.resize")
    @effect
    def resize(self, request: ResizeNodeGroup) -> Change:
        """Set the desired size (3.3 step 2), with a client request token made from the effect's key.

        The node group's own minimum and maximum stay as they are. In plan mode it is only described.

        Raises:
            Refused: the desired size is no longer `from_desired` (nor already `desired`), or outside its bounds.

        """
        raise NotImplementedError
