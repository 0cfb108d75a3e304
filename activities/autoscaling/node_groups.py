"""EKS managed node groups, through the AWS API (runbook 3.3)."""

import hashlib
from typing import Any

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common import aws
from activities.common.effects import Change, Effect, effect
from activities.common.errors import Refused, Unavailable
from audit.text import counted
from libraries import logger

_SYSTEM = "EKS"

_log = logger(__name__)


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
        text = f"{self.nodegroup} {self.status}, {self.desired} of {self.minimum}–{self.maximum}"
        return f"{text}; {'; '.join(self.issues)}" if self.issues else text


class ResizeNodeGroup(NodeGroupRequest):
    """`aws eks update-nodegroup-config --scaling-config`, to a pinned absolute number."""

    from_desired: int = Field(description="What was read when it was decided; refused when it is another by now.")
    desired: int = Field(ge=0)
    effect: Effect


class NodeGroups:
    """Reads and resizes node groups; `eks` is boto3's EKS client.

    Needs eks:DescribeNodegroup and eks:UpdateNodegroupConfig.

    Raises from every method: `Unavailable` (no connection, 5xx), `RateLimited` (throttling), `NotFound` (no such
    cluster or node group), `Refused` (permissions, validation), `Misconfigured` (no credentials), `Conflict` (another
    update is under way).
    """

    def __init__(self, eks: Any) -> None:
        self._eks = eks

    @activity.defn(name="node_groups.read")
    def read(self, request: NodeGroupRequest) -> NodeGroup:
        """Read its scaling configuration (3.3 step 2)."""
        with aws.failures(_SYSTEM):
            answer = self._eks.describe_nodegroup(clusterName=request.cluster, nodegroupName=request.nodegroup)
        try:
            found = answer["nodegroup"]
            scaling = found["scalingConfig"]
            return NodeGroup(
                cluster=request.cluster,
                nodegroup=request.nodegroup,
                status=found["status"],
                minimum=scaling["minSize"],
                maximum=scaling["maxSize"],
                desired=scaling["desiredSize"],
                issues=[f"{issue['code']}: {issue['message']}" for issue in found.get("health", {}).get("issues", ())],
            )
        except KeyError as error:
            raise Unavailable(f"{_SYSTEM} answered without {error}: is it AWS that answers?") from None

    @activity.defn(name="node_groups.resize")
    @effect
    def resize(self, request: ResizeNodeGroup) -> Change:
        """Set the desired size (3.3 step 2), with a client request token made from the effect's key.

        The node group's own minimum and maximum stay as they are. In plan mode it is only described.

        Raises:
            Refused: the desired size is no longer `from_desired` (nor already `desired`), or outside its bounds.

        """
        group = self.read(request)
        target, after = f"nodegroup/{request.nodegroup}", _nodes(request.desired)
        if group.desired == request.desired:
            if activity.info().attempt == 1:
                return Change(target=target, after=f"already {after}", applied=False)
            before, note = _nodes(request.from_desired), "done by an earlier attempt"
            return Change(target=target, before=before, after=after, applied=False, note=note)
        if group.desired != request.from_desired:
            # Somebody has decided something else in the meantime; EKS knows no conditional update, so this is as near
            # as one gets: an update that is under way makes the next one a conflict.
            was = _nodes(request.from_desired)
            raise Refused(f"{target} is set to {_nodes(group.desired)} now, no longer to {was}: decide again")
        if not group.minimum <= request.desired <= group.maximum:
            raise Refused(f"{target}: {after} are outside of its bounds, {group.minimum} to {group.maximum}")
        change = Change(target=target, before=_nodes(group.desired), after=after, applied=not request.effect.dry_run)
        if request.effect.dry_run:
            return change.model_copy(update={"note": f"plan only: within {group.minimum} to {group.maximum}"})
        with aws.failures(_SYSTEM):
            self._eks.update_nodegroup_config(
                clusterName=request.cluster,
                nodegroupName=request.nodegroup,
                scalingConfig={"desiredSize": request.desired},
                # While an update of an earlier attempt is under way, EKS knows it by this and makes no second one.
                clientRequestToken=hashlib.sha256(request.effect.key.encode()).hexdigest(),
            )
        _log.info("node group resized", target=target, before=change.before, after=after, effect=request.effect.key)
        return change


def _nodes(number: int) -> str:
    return counted(number, "node")
