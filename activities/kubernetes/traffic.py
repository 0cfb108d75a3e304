"""The share of the traffic that reaches a service: the weight of an NGINX canary Ingress (runbook 7.2 step 6).

The canary Ingress leads to the service, and its main Ingress elsewhere, for example to a maintenance page. A share is
an absolute number, set under the resourceVersion that was read, and leaves the effect's note on the Ingress.
"""

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.effects import Change, Effect, effect
from activities.common.errors import Misconfigured, Refused
from activities.kubernetes import effect_notes
from activities.kubernetes.api import Object, ask
from activities.kubernetes.changing import Body, Plan, change, patch
from activities.kubernetes.effect_notes import EFFECTS, Done
from libraries import kubernetes

CANARY = "nginx.ingress.kubernetes.io/canary"
WEIGHT = "nginx.ingress.kubernetes.io/canary-weight"
WEIGHT_TOTAL = "nginx.ingress.kubernetes.io/canary-weight-total"

_ALL = 100


class ShareRequest(BaseModel):
    """Whose share."""

    namespace: str
    ingress: str = Field(description="A canary Ingress.")


class Share(BaseModel):
    """What reaches the service."""

    ingress: str
    percent: int = Field(ge=0, le=_ALL)

    def __str__(self) -> str:
        return f"{self.percent} % by ingress/{self.ingress}"


class ShiftTraffic(ShareRequest):
    """Set the share."""

    percent: int = Field(ge=0, le=_ALL)
    instead_of: list[int] = Field(description="Shares that it may have now; refused where it has another.")
    effect: Effect


class Traffic:
    """Reads and sets shares of traffic on one cluster; raises what `Kubernetes` raises, `NotFound` without Ingress."""

    def __init__(self, api: "kubernetes.ApiClient") -> None:
        self._networking = kubernetes.NetworkingV1Api(api)

    @activity.defn(name="traffic.share")
    def share(self, request: ShareRequest) -> Share:
        """Read the share; without a weight it is 0, as NGINX has it.

        Raises:
            Misconfigured: the Ingress is no canary (a weight would change nothing), or its weight is no number.

        """
        return Share(ingress=request.ingress, percent=_percent(self._read(request)))

    @activity.defn(name="traffic.shift")
    @effect
    def shift(self, request: ShiftTraffic) -> Change:
        """Set the share to an absolute value.

        Raises:
            Refused: it has a share that it may not have: somebody else has set it meanwhile.
            Misconfigured: as `share` does.
            Conflict: the Ingress changes all the time.

        """
        target = f"ingress/{request.ingress}"

        def plan(found: Object) -> Plan:
            now, after = _percent(found), f"{request.percent} % of the traffic"
            if now == request.percent:
                return Plan("", f"already {after}")
            if now not in request.instead_of:
                known = " or ".join(f"{percent} %" for percent in sorted(set(request.instead_of)))
                raise Refused(f"{target} is at {now} % and not at {known}: somebody else has set it; it stays so")
            return Plan(f"{now} %", after, lambda done: _weighed(found, request.percent, done))

        return change(
            target,
            request.effect,
            read=lambda: self._read(request),
            notes=lambda found: [found["metadata"].get("annotations") or {}],
            plan=plan,
            send=lambda body: self._patch(request, body),
        )

    def _read(self, request: ShareRequest) -> Object:
        return ask(self._networking.read_namespaced_ingress, request.ingress, request.namespace)

    def _patch(self, request: ShiftTraffic, body: Body) -> None:
        patch(
            self._networking.patch_namespaced_ingress,
            request.ingress,
            request.namespace,
            body=body,
            dry_run=request.effect.dry_run,
        )


def _weighed(ingress: Object, percent: int, done: Done) -> Object:
    annotations = ingress["metadata"].get("annotations") or {}
    weight = round(percent * _total(ingress) / _ALL)
    changed = {WEIGHT: str(weight), EFFECTS: effect_notes.noted(annotations, done)}
    return {"metadata": {"resourceVersion": ingress["metadata"]["resourceVersion"], "annotations": changed}}


def _percent(ingress: Object) -> int:
    annotations = ingress["metadata"].get("annotations") or {}
    if annotations.get(CANARY) != "true":
        name = ingress["metadata"]["name"]
        raise Misconfigured(f"ingress/{name} is no canary: its weight changes nothing until {CANARY} is 'true'")
    return min(round(_number(ingress, WEIGHT, 0) * _ALL / _total(ingress)), _ALL)


def _total(ingress: Object) -> int:
    return max(_number(ingress, WEIGHT_TOTAL, _ALL), 1)


def _number(ingress: Object, annotation: str, default: int) -> int:
    text = (ingress["metadata"].get("annotations") or {}).get(annotation, str(default))
    if not text.isdecimal():
        raise Misconfigured(f"ingress/{ingress['metadata']['name']}: {annotation} is not a whole number")
    return int(text)
