"""What adding a GPU node goes by: pinned before the group is resized."""

from dataclasses import dataclass

from activities.autoscaling.node_groups import NodeGroup, NodeGroupRequest
from activities.catalogue.service import GpuPolicy
from workflows.shared.desk import Desk


@dataclass(frozen=True)
class NodePlan:
    """One node more than `group` had."""

    gpu: GpuPolicy
    desk: Desk
    where: NodeGroupRequest
    group: NodeGroup
    desired: int
