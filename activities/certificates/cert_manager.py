"""cert-manager's Certificates: how each stands, and that one be issued anew (runbook 6.3 steps 1 and 2).

It is asked as its own `cmctl renew` asks it: by the condition Issuing, with the reason ManuallyTriggered, in the status
of the Certificate. The revision that was seen is the key: what has a later one, or is being issued, has been asked
already.
"""

from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, Field
from temporalio import activity

from activities.certificates.orders import Window
from activities.common.effects import Change, Effect, effect
from activities.common.errors import NotFound
from activities.common.heartbeat import Progress, resume, turns
from activities.kubernetes.api import Object, ask, moment
from activities.kubernetes.changing import Plan, change, patch
from audit.text import length
from libraries import kubernetes

_GROUP, _VERSION, _PLURAL = "cert-manager.io", "v1", "certificates"
_POLL = timedelta(seconds=1)


class CertificatesRequest(BaseModel):
    """Where to look."""

    namespaces: list[str]


class CertificateName(BaseModel):
    """One Certificate."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class ManagedCertificate(CertificateName):
    """What cert-manager says of one."""

    secret: str
    names: list[str]
    issuer: str
    ready: bool
    issuing: bool
    revision: int = Field(description="0 before the first.")
    not_after: datetime | None = None
    renewal_time: datetime | None = Field(default=None, description="When cert-manager renews it by itself.")
    failed_attempts: int = 0
    told: str = Field(default="", description="What its conditions say where it isn't ready, or failed.")
    window: Window | None = Field(default=None, description="The authority's, where cert-manager asks for it.")

    def __str__(self) -> str:
        state = "ready" if self.ready else f"not ready: {self.told}"
        return f"{self.namespace}/{self.name} of {self.issuer}, revision {self.revision}, {state}"


class ManagedCertificates(BaseModel):
    """All that were found."""

    items: list[ManagedCertificate]

    def __str__(self) -> str:
        return "; ".join(map(str, self.items)) or "no cert-manager Certificates"


class TriggerIssuance(CertificateName):
    """Have cert-manager issue it anew."""

    revision: int = Field(ge=0, description="The one that was seen.")
    effect: Effect


class AwaitIssuance(CertificateName):
    """Wait until it has."""

    revision: int = Field(ge=0, description="The one that was seen.")
    within: timedelta


class Issuance(BaseModel):
    """How it ended."""

    issued: bool
    revision: int
    reason: str = Field(default="", description="Why it was not issued.")

    def __str__(self) -> str:
        return f"issued, revision {self.revision}" if self.issued else f"not issued: {self.reason}"


class CertManager:
    """cert-manager on one cluster; raises what `Kubernetes` raises."""

    def __init__(self, api: "kubernetes.ApiClient") -> None:
        self._objects = kubernetes.CustomObjectsApi(api)

    @activity.defn(name="cert_manager.list")
    def list(self, request: CertificatesRequest) -> ManagedCertificates:
        """Read all Certificates; there are none where cert-manager isn't installed."""
        found: list[ManagedCertificate] = []
        for namespace in request.namespaces:
            try:
                page = ask(self._objects.list_namespaced_custom_object, _GROUP, _VERSION, namespace, _PLURAL)
            except NotFound:
                continue
            found += [_read(item) for item in page["items"]]
        return ManagedCertificates(items=found)

    @activity.defn(name="cert_manager.trigger")
    @effect
    def trigger(self, request: TriggerIssuance) -> Change:
        """Ask for a new revision.

        Raises:
            NotFound: there is no such Certificate (any more).

        """

        def plan(found: Object) -> Plan:
            now = _read(found)
            before = f"revision {now.revision}"
            if now.revision > request.revision:
                return Plan(f"revision {request.revision}", f"already {before}")
            if now.issuing:
                return Plan(before, "already being issued")
            return Plan(before, "being issued anew", lambda _: _triggered(found))

        return change(
            f"certificate/{request.name}",
            request.effect,
            read=lambda: self._ask(request),
            notes=lambda _: [],
            plan=plan,
            send=lambda body: patch(
                self._objects.patch_namespaced_custom_object_status,
                *(_GROUP, _VERSION, request.namespace, _PLURAL, request.name),
                body=body,
                dry_run=request.effect.dry_run,
            ),
        )

    @activity.defn(name="cert_manager.await_issuance")
    def await_issuance(self, request: AwaitIssuance) -> Issuance:
        """Wait for Ready with a new revision, for cert-manager's refusal, or until the time is up."""
        for _ in turns(resume(Progress), within=request.within, every=_POLL):
            now = _read(self._ask(request))
            if now.revision > request.revision and now.ready:
                return Issuance(issued=True, revision=now.revision)
            if not now.issuing and now.failed_attempts:
                return Issuance(issued=False, revision=now.revision, reason=now.told)
        return Issuance(issued=False, revision=now.revision, reason=f"not within {length(request.within)}: {now.told}")

    def _ask(self, at: CertificateName) -> Object:
        return ask(self._objects.get_namespaced_custom_object, _GROUP, _VERSION, at.namespace, _PLURAL, at.name)


def _read(found: Object) -> ManagedCertificate:
    metadata, spec, status = found["metadata"], found["spec"], found.get("status") or {}
    conditions = {one["type"]: one for one in status.get("conditions", ())}
    issuer = spec["issuerRef"]
    return ManagedCertificate(
        namespace=metadata["namespace"],
        name=metadata["name"],
        secret=spec["secretName"],
        names=spec.get("dnsNames", []),
        issuer=f"{issuer.get('kind', 'Issuer')}/{issuer['name']}",
        ready=conditions.get("Ready", {}).get("status") == "True",
        issuing=conditions.get("Issuing", {}).get("status") == "True",
        revision=status.get("revision", 0),
        not_after=_moment(status.get("notAfter")),
        renewal_time=_moment(status.get("renewalTime")),
        failed_attempts=status.get("failedIssuanceAttempts", 0),
        told=_told(conditions),
        window=_window(status.get("acme", {}).get("ari", {})),
    )


def _told(conditions: dict[str, Object]) -> str:
    """Give what is wrong: why issuing failed counts more than why it isn't ready."""
    wanted = [conditions.get("Issuing"), conditions.get("Ready")]
    return next((f"{one.get('reason', '')}: {one.get('message', '')}" for one in wanted if one), "no conditions yet")


def _window(found: Object) -> Window | None:
    window = found.get("suggestedWindow")
    if not window:
        return None
    explanation = str(found.get("explanationURL", ""))
    return Window(offered=True, start=moment(window["start"]), end=moment(window["end"]), explanation=explanation)


def _moment(text: str | None) -> datetime | None:
    return moment(text) if text else None


def _triggered(found: Object) -> Object:
    metadata = found["metadata"]
    condition = {
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "Certificate re-issuance manually triggered",
        "observedGeneration": metadata["generation"],
        "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    # A merge patch replaces a list as a whole: the others go with it, and nobody has changed them since.
    others = [one for one in (found.get("status") or {}).get("conditions", ()) if one["type"] != "Issuing"]
    return {
        "metadata": {"resourceVersion": metadata["resourceVersion"]},
        "status": {"conditions": [*others, condition]},
    }
