"""What an emergency scale-up goes by: pinned, so that neither a retry nor a reset doubles twice."""

from dataclasses import dataclass

from activities.catalogue.service import Service
from activities.common.effects import Effect
from workflows.shared.desk import Desk


@dataclass(frozen=True)
class ScalePlan:
    """From `before` to `target` replicas."""

    service: Service
    desk: Desk
    before: int
    target: int
    scaling: Effect
