"""Autoscalers held still for a while, and let go again (runbook 3.2): KEDA's ScaledObject, else an HPA.

A hold is a lease: it names the run that has it and until when, in an annotation of the autoscaler itself. That makes
it a lock as well: while one run holds an autoscaler, another is refused.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field
from temporalio import activity

from activities.autoscaling import plans
from activities.autoscaling.objects import (
    KEDA,
    SCALED_OBJECTS,
    Autoscaler,
    HorizontalPodAutoscaler,
    Marker,
    ScaledObject,
)
from activities.autoscaling.plans import Plan
from activities.autoscaling.states import Autoscaling, AutoscalingRequest
from activities.common.effects import Change, Effect, effect
from activities.common.errors import Conflict, NotFound
from activities.kubernetes.api import ask, optional
from activities.kubernetes.changing import Body, patch, settle
from libraries import kubernetes, logger

_log = logger(__name__)

Kind = Literal["ScaledObject", "HorizontalPodAutoscaler"]


class HoldAutoscaler(BaseModel):
    """`kubectl annotate scaledobject …/paused`: pause KEDA's ScaledObject, or raise an HPA's minimum, for a lease."""

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
    until: datetime | None = Field(default=None, description="Until when the object says that it is held, if ours.")
    over: bool = Field(default=False, description="It was ours and has been let go already, e.g. before a reset.")


class Held(BaseModel):
    """One autoscaler."""

    namespace: str
    kind: Kind
    name: str


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
    """Reads, holds and releases autoscalers of one cluster; raises what `Kubernetes` raises."""

    def __init__(self, api: "kubernetes.ApiClient") -> None:
        self._autoscaling = kubernetes.AutoscalingV2Api(api)
        self._custom = kubernetes.CustomObjectsApi(api)

    @activity.defn(name="kubernetes.autoscaling")
    def read(self, request: AutoscalingRequest) -> Autoscaling:
        """Read the HPA and the ScaledObject (2.2 step 3, 3.1, 3.2): `kubectl get hpa`.

        What is not there is None, not an error.
        """
        state = Autoscaling()
        found: list[Autoscaler] = []
        if request.scaled_object is not None:
            target = (*KEDA, request.namespace, SCALED_OBJECTS, request.scaled_object)
            if raw := optional(self._custom.get_namespaced_custom_object, *target):
                found.append(ScaledObject(raw))
                state.scaled_object_paused = found[-1].paused
        if request.hpa is not None:
            read = self._autoscaling.read_namespaced_horizontal_pod_autoscaler
            if hpa := optional(read, request.hpa, request.namespace):
                found.append(HorizontalPodAutoscaler(hpa))
                state.hpa_min, state.hpa_max = hpa["spec"].get("minReplicas", 1), hpa["spec"]["maxReplicas"]
                state.hpa_current = hpa.get("status", {}).get("currentReplicas")
                state.hpa_desired = hpa.get("status", {}).get("desiredReplicas")
        if marker := next((one.marker for one in found if one.marker), None):
            state.held_by, state.held_until = marker.workflow_id, marker.until
        return state

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
        found, plan, applied = self._change(
            lambda: self._find(request),
            lambda found: plans.hold(found, request.lease, request.until, request.floor, request.effect),
            request.effect,
        )
        change = plan.change(found.target, applied=applied)
        kind: Kind = "ScaledObject" if isinstance(found, ScaledObject) else "HorizontalPodAutoscaler"
        until = request.until if plan.patch is not None else plan.until
        return Hold(**dict(change), kind=kind, name=found.name, ours=plan.ours, until=until, over=plan.over)

    @activity.defn(name="autoscalers.renew")
    @effect
    def renew(self, request: RenewHold) -> Change:
        """Move a lease's end in the annotation, for those who read it there; not applied where it is gone."""
        try:
            found, plan, applied = self._change(
                lambda: self._read(request),
                lambda found: plans.renew(found, request.lease, request.until, request.effect),
                request.effect,
            )
        except NotFound:
            return _gone(request)
        return plan.change(found.target, applied=applied)

    @activity.defn(name="autoscalers.release")
    @effect
    def release(self, request: ReleaseAutoscaler) -> Release:
        """Let it go as it was before, unless somebody else has changed it meanwhile; one that is gone is fine."""
        try:
            found, plan, applied = self._change(
                lambda: self._read(request),
                lambda found: plans.release(found, request.lease, request.effect),
                request.effect,
            )
        except NotFound:
            return Release(**dict(_gone(request)), resumed=False)
        return Release(**dict(plan.change(found.target, applied=applied)), resumed=plan.ours)

    def marked(self, namespace: str, kind: Kind, name: str) -> Marker | None:
        """Give the mark of whoever holds one.

        Raises:
            NotFound: it is not there.

        """
        return self._read(Held(namespace=namespace, kind=kind, name=name)).marker

    def _change(
        self, find: Callable[[], Autoscaler], planned: Callable[[Autoscaler], Plan], effect: Effect
    ) -> tuple[Autoscaler, Plan, bool]:
        """Change it; one that is deleted between our read and our patch is looked for again."""

        def decide(found: Autoscaler) -> tuple[Plan, Body | None]:
            plan = planned(found)
            return plan, plan.patch

        found, plan, sent = settle(
            "the autoscaler",
            read=find,
            plan=decide,
            send=lambda found, body: self._patch(found, body, dry_run=effect.dry_run),
            collided=(Conflict, NotFound),
        )
        if not sent:
            return found, plan, False
        if effect.dry_run:
            return found, plan.only(), False
        _log.info("autoscaler changed", target=found.target, before=plan.before, after=plan.after, effect=effect.key)
        return found, plan, True

    def _find(self, request: HoldAutoscaler) -> Autoscaler:
        """Find what there is to hold.

        Raises:
            NotFound: there is nothing.

        """
        missing = []
        if (name := request.scaled_object) is not None:
            read = self._custom.get_namespaced_custom_object
            if scaled_object := optional(read, *KEDA, request.namespace, SCALED_OBJECTS, name):
                return ScaledObject(scaled_object)
            keda = optional(self._custom.get_api_resources, *KEDA)
            missing.append(f"scaledobject/{name} ({'not there' if keda else 'KEDA is not installed'})")
        if (name := request.hpa) is not None:
            hpa = optional(self._autoscaling.read_namespaced_horizontal_pod_autoscaler, name, request.namespace)
            if hpa and not HorizontalPodAutoscaler(hpa).of_keda:
                return HorizontalPodAutoscaler(hpa)
            missing.append(f"hpa/{name} ({'made by KEDA, name its ScaledObject' if hpa else 'not there'})")
        raise NotFound(
            f"no autoscaler to hold in namespace {request.namespace}: {', '.join(missing) or 'none is named'}. Correct "
            "scaled_object and hpa of the service in the settings; where it has none, scale with manual-scale-up"
        )

    def _read(self, request: Held | RenewHold | ReleaseAutoscaler) -> Autoscaler:
        if request.kind == "ScaledObject":
            return ScaledObject(
                ask(self._custom.get_namespaced_custom_object, *KEDA, request.namespace, SCALED_OBJECTS, request.name)
            )
        read = self._autoscaling.read_namespaced_horizontal_pod_autoscaler
        return HorizontalPodAutoscaler(ask(read, request.name, request.namespace))

    def _patch(self, found: Autoscaler, body: Body, *, dry_run: bool) -> None:
        if isinstance(found, ScaledObject):
            of_custom = self._custom.patch_namespaced_custom_object
            patch(of_custom, *KEDA, found.namespace, SCALED_OBJECTS, found.name, body=body, dry_run=dry_run)
        else:
            of_hpa = self._autoscaling.patch_namespaced_horizontal_pod_autoscaler
            patch(of_hpa, found.name, found.namespace, body=body, dry_run=dry_run)


def _gone(request: RenewHold | ReleaseAutoscaler) -> Change:
    noun = ScaledObject.noun if request.kind == "ScaledObject" else HorizontalPodAutoscaler.noun
    return Change(target=f"{noun}/{request.name}", after="gone", applied=False, note="somebody has deleted it")
