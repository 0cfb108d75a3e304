"""A cluster that asks RBAC, with the roles of deploy/."""

from pathlib import Path

from sandbox.cluster import Cluster

RBAC = Path(__file__).parents[2] / "deploy" / "kubernetes" / "rbac.yaml"


class Guarded(Cluster):
    """A cluster that asks who may do what."""

    def _api_server(self) -> tuple[str, ...]:
        return tuple(flag.replace("=AlwaysAllow", "=RBAC") for flag in super()._api_server())
