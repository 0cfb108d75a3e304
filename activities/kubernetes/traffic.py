"""The share of the traffic that reaches a service: the weight of an NGINX canary Ingress (runbook 7.2 step 6).

The canary Ingress leads to the service, and its main Ingress elsewhere, for example to a maintenance page. A share is
an absolute number, set under the resourceVersion that was read, and leaves the effect's note on the Ingress.
"""

import time

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.effects import Change, Effect, effect
from activities.common.errors import Conflict, Misconfigured, Refused
from activities.kubernetes import effect_notes
from activities.kubernetes.api import Object, ask
from activities.kubernetes.effect_notes import EFFECTS, Done
from activities.kubernetes.patches import PAUSES, patch
from libraries import kubernetes, logger

CANARY = "nginx.ingress.kubernetes.io/canary"
WEIGHT = "nginx.ingress.kubernetes.io/canary-weight"
WEIGHT_TOTAL = "nginx.ingress.kubernetes.io/canary-weight-total"

_log = logger(__name__)
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
        for pause in PAUSES:
            time.sleep(pause)
            raw = self._read(request)
            annotations = raw["metadata"].get("annotations") or {}
            if did := effect_notes.find(request.effect.key, annotations):
                note = "done by an earlier attempt"
                return Change(target=target, before=did.before, after=did.after, applied=False, note=note)
            now = _percent(raw)
            if now == request.percent:
                return Change(target=target, after=f"already {now} % of the traffic", applied=False)
            if now not in request.instead_of:
                known = " or ".join(f"{percent} %" for percent in sorted(set(request.instead_of)))
                raise Refused(f"{target} is at {now} % and not at {known}: somebody else has set it; it stays so")
            after = f"{request.percent} % of the traffic"
            done = Done(key=request.effect.key, by=request.effect.actor, before=f"{now} %", after=after)
            try:
                self._patch(request, raw, done)
            except Conflict:
                continue
            if request.effect.dry_run:
                note = "plan only: the API server would accept it"
                return Change(target=target, before=done.before, after=after, applied=False, note=note)
            _log.info("traffic shifted", target=target, before=done.before, after=after, effect=done.key)
            return Change(target=target, before=done.before, after=after, applied=True)
        raise Conflict(f"{target} changes all the time")

    def _read(self, request: ShareRequest) -> Object:
        return ask(self._networking.read_namespaced_ingress, request.ingress, request.namespace)

    def _patch(self, request: ShiftTraffic, raw: Object, done: Done) -> None:
        annotations = raw["metadata"].get("annotations") or {}
        weight = round(request.percent * _total(raw) / _ALL)
        changed = {WEIGHT: str(weight), EFFECTS: effect_notes.noted(annotations, done)}
        body: Object = {"metadata": {"resourceVersion": raw["metadata"]["resourceVersion"], "annotations": changed}}
        patch(
            self._networking.patch_namespaced_ingress, request.ingress, request.namespace, body=body,
            dry_run=request.effect.dry_run,
        )  # fmt: skip


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
