"""What a deployment goes by: pinned before anything is done, and the same for all of its steps."""

from dataclasses import dataclass

from activities.catalogue.service import ReleasePolicy, Service
from activities.common.effects import Effect
from activities.releases.helm import HelmRelease
from workflows.shared.desk import Desk


@dataclass(frozen=True)
class Plan:
    """Put `version` in the place of `before`."""

    service: Service
    policy: ReleasePolicy
    version: str
    change_log: str
    desk: Desk
    before: HelmRelease
    upgrading: Effect

    @property
    def revision(self) -> int:
        """Helm's number of what ran before; 0 where nothing did."""
        return self.before.current.number if self.before.current else 0
