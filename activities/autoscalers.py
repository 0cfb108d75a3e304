"""Autoscalers held still for a while, and let go again (runbook 3.2): KEDA's ScaledObject, else an HPA.

A hold is a lease: it names the run that has it and until when, in an annotation of the autoscaler itself. That makes
it a lock as well: while one run holds an autoscaler, another is refused.
"""

from datetime import datetime
from typing import Literal

from kubernetes import client
from pydantic import BaseModel, Field
from temporalio import activity

from activities.effects import Change, Effect, effect

Kind = Literal["ScaledObject", "HorizontalPodAutoscaler"]


class HoldAutoscaler(BaseModel):
    """Pause KEDA's ScaledObject, or raise an HPA's minimum, for a lease."""

    namespace: str
    scaled_object: str | None = None
    hpa: str | None = None
    lease: str = Field(description="Identity of the lease: the same for hold, renewal and release.")
    until: datetime
    floor: int = Field(ge=1, description="Replicas that an HPA may not go below meanwhile.")
    effect: Effect


class Hold(Change):
    """What was held."""

    kind: Kind
    name: str
    ours: bool = Field(description="False: somebody had paused it before; it is left to them, and not resumed.")


class RenewHold(BaseModel):
    """Move the end of a lease."""

    namespace: str
    kind: Kind
    name: str
    lease: str
    until: datetime
    effect: Effect


class ReleaseAutoscaler(BaseModel):
    """Let an autoscaler go again."""

    namespace: str
    kind: Kind
    name: str
    lease: str
    effect: Effect


class Release(Change):
    """How the autoscaler was left."""

    resumed: bool = Field(description="False: somebody else has changed it meanwhile, and it is as they want it.")


class Autoscalers:
    """Holds and releases autoscalers of one cluster; raises what `Kubernetes` raises."""

    def __init__(self, api: client.ApiClient) -> None:
        self._autoscaling = client.AutoscalingV2Api(api)
        self._custom = client.CustomObjectsApi(api)

    @activity.defn(name="autoscalers.hold")
    @effect
    def hold(self, request: HoldAutoscaler) -> Hold:
        """Hold an autoscaler still (3.2).

        The ScaledObject where there is one, by KEDA's `paused` annotation; else the HPA, whose `minReplicas` is raised
        to `floor`, so that it may add pods but not take them away.

        Raises:
            NotFound: there is neither (KEDA may not even be installed); says what to do instead.
            Refused: another run holds it; names that run, and until when. Also: `floor` is above the HPA's maximum.

        """
        raise NotImplementedError

    @activity.defn(name="autoscalers.renew")
    @effect
    def renew(self, request: RenewHold) -> Change:
        """Move a lease's end in the annotation, for those who read it there; not applied where it is gone."""
        raise NotImplementedError

    @activity.defn(name="autoscalers.release")
    @effect
    def release(self, request: ReleaseAutoscaler) -> Release:
        """Let it go as it was before, unless somebody else has changed it meanwhile; one that is gone is fine."""
        raise NotImplementedError
