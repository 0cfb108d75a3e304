"""TLS Secrets of the cluster: which there are, and a new certificate written into one (runbook 6.3).

A private key never leaves the activities: it is made beside the Secret that it is for, in one called `<name>-renewal`
(`pending`), and copied over once the certificate that goes with it is there. The copy is a compare-and-swap: refused
where the Secret has another certificate by now than the run has seen. Meanwhile the run holds the Secret by a mark with
an end.
"""

import base64
import binascii
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field
from temporalio import activity

from activities.certificates.facts import Certificate, chain_of, facts
from activities.certificates.pending import Pending, PendingSecrets
from activities.common.effects import Change, Effect, effect
from activities.common.errors import Refused
from activities.kubernetes import effect_notes, run_marks
from activities.kubernetes.api import Object, ask, moment, pages
from activities.kubernetes.changing import Plan, change, patch
from activities.kubernetes.effect_notes import EFFECTS, Done
from activities.kubernetes.run_marks import RunMark
from libraries import kubernetes

HOLD = "runbooks.dev/renewal"
NOT_BEFORE = "runbooks.dev/renewal-not-before"
"""When its authority may be asked again, in as many runs as there are until then."""
CERT_MANAGER = "cert-manager.io/certificate-name"
"""The annotation by which cert-manager says whose Secret it is."""

_KIND = "kubernetes.io/tls"
_CERTIFICATE, _KEY = "tls.crt", "tls.key"


class SecretsRequest(BaseModel):
    """Where to look."""

    namespaces: list[str]


class SecretName(BaseModel):
    """One Secret."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class TlsSecret(SecretName):
    """One TLS Secret, without its key."""

    certificate: Certificate | None = None
    problem: str = Field(default="", description="Why its certificate can't be read.")
    managed_by: str | None = Field(default=None, description="cert-manager's Certificate that it belongs to.")
    held_by: str | None = Field(default=None, description="Workflow ID of the run that renews it now.")
    held_until: datetime | None = None
    not_before: datetime | None = Field(default=None, description="When its authority may be asked again.")


class TlsSecretList(BaseModel):
    """All that were found."""

    at: datetime
    items: list[TlsSecret]

    def __str__(self) -> str:
        return ", ".join(f"{one}: {one.certificate or one.problem}" for one in self.items) or "no TLS Secrets"


class HoldForRenewal(SecretName):
    """Keep other runs from renewing it."""

    until: datetime
    effect: Effect


class LetRenewalGo(SecretName):
    """Let other runs in, and forget the key that was made but not used."""

    not_before: datetime | None = Field(default=None, description="When its authority may be asked again.")
    effect: Effect


class InstallCertificate(SecretName):
    """Put the new key and certificate in."""

    fingerprint: str = Field(description="Of the new certificate, as the authority issued it.")
    instead_of: str = Field(description="Fingerprint of the one that was seen; refused where there is another.")
    effect: Effect


class TlsSecrets:
    """The TLS Secrets of one cluster; raises what `Kubernetes` raises."""

    def __init__(self, api: "kubernetes.ApiClient") -> None:
        self._core = kubernetes.CoreV1Api(api)
        self._pending = PendingSecrets(self._core)

    @activity.defn(name="tls_secrets.list")
    def list(self, request: SecretsRequest) -> TlsSecretList:
        """Read the certificates of all TLS Secrets (6.3 step 1)."""
        items = [
            _read(item)
            for namespace in request.namespaces
            for item in pages(self._core.list_namespaced_secret, namespace, field_selector=f"type={_KIND}")
        ]
        return TlsSecretList(at=datetime.now(UTC), items=items)

    @activity.defn(name="tls_secrets.read")
    def read(self, request: SecretName) -> TlsSecret:
        """Read one again.

        Raises:
            NotFound: it is gone.

        """
        return _read(self._ask(request))

    @activity.defn(name="tls_secrets.hold")
    @effect
    def hold(self, request: HoldForRenewal) -> Change:
        """Hold it for the run.

        Raises:
            Refused: another run holds it; names that run, and until when.

        """
        mark = RunMark(run=request.effect.workflow_id, until=request.until)

        def plan(found: Object) -> Plan:
            held = _free_for(found, request.effect)
            annotations: dict[str, str | None] = {HOLD: mark.model_dump_json()}
            after = f"held until {request.until:%H:%M:%S %Z}"
            return Plan("held" if held else "free", after, lambda done: _patch(found, done, annotations))

        return self._change(request, request.effect, plan)

    @activity.defn(name="tls_secrets.release")
    @effect
    def release(self, request: LetRenewalGo) -> Change:
        """Let it go; a key of this run that waits beside it is forgotten first."""
        if not request.effect.dry_run:
            self._pending.forget(request.namespace, request.name, request.effect)

        def plan(found: Object) -> Plan:
            mark = run_marks.written(_annotations(found), HOLD)
            if mark is None:
                return Plan("free", "already free")
            if mark.run != request.effect.workflow_id:
                return Plan(f"held by {mark.run}", "left to that run")
            not_before = request.not_before.isoformat() if request.not_before else None
            return Plan("held", "free", lambda done: _patch(found, done, {HOLD: None, NOT_BEFORE: not_before}))

        return self._change(request, request.effect, plan)

    @activity.defn(name="tls_secrets.install")
    @effect
    def install(self, request: InstallCertificate) -> Change:
        """Put the new certificate and its key in (6.3 step 2).

        Raises:
            Refused: it has another certificate by now: somebody has replaced it. Or another run holds it. Or what waits
                beside it is not the certificate that was issued.

        """

        def plan(found: Object) -> Plan:
            _free_for(found, request.effect)
            now = _read(found).certificate
            if now is not None and now.fingerprint == request.fingerprint:
                return Plan("", f"already {now}")
            if now is None or now.fingerprint != request.instead_of:
                told = str(now) if now else "none that can be read"
                raise Refused(f"secret/{request.name} has another certificate by now ({told}): it stays")
            chain, key = _issued(self._pending.read(request.namespace, request.name), request)
            data = {_CERTIFICATE: base64.b64encode(chain).decode(), _KEY: base64.b64encode(key).decode()}
            after = str(facts(chain_of(chain)[0]))
            return Plan(str(now), after, lambda done: {**_patch(found, done, {}), "data": data})

        return self._change(request, request.effect, plan)

    def marked(self, at: SecretName) -> RunMark | None:
        """Give the mark of a run on it, an expired one too."""
        return run_marks.written(_annotations(self._ask(at)), HOLD)

    def _change(self, at: SecretName, effect: Effect, plan: Callable[[Object], Plan]) -> Change:
        return change(
            f"secret/{at.name}",
            effect,
            read=lambda: self._ask(at),
            notes=lambda found: [_annotations(found)],
            plan=plan,
            send=lambda body: patch(
                self._core.patch_namespaced_secret, at.name, at.namespace, body=body, dry_run=effect.dry_run
            ),
        )

    def _ask(self, at: SecretName) -> Object:
        return ask(self._core.read_namespaced_secret, at.name, at.namespace)


def _issued(new: Pending | None, request: InstallCertificate) -> tuple[bytes, bytes]:
    """Give the new chain and its key."""
    if new is None or new.chain is None:
        raise Refused(f"no new certificate waits for secret/{request.name}: somebody has removed it")
    if facts(chain_of(new.chain)[0]).fingerprint != request.fingerprint:
        raise Refused(f"another certificate than the one that was issued waits for secret/{request.name}")
    return new.chain, new.key


def _free_for(found: Object, effect: Effect) -> bool:
    mark = run_marks.read(_annotations(found), HOLD)
    if mark is not None and mark.run != effect.workflow_id:
        raise Refused(f"secret/{found['metadata']['name']} is being renewed by {mark}")
    return mark is not None


def _annotations(found: Object) -> dict[str, str]:
    return found["metadata"].get("annotations") or {}


def _patch(found: Object, done: Done, annotations: dict[str, str | None]) -> Object:
    """Give a merge patch, refused (409) where anything has changed meanwhile; None removes an annotation."""
    noted = {**annotations, EFFECTS: effect_notes.noted(_annotations(found), done)}
    return {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"], "annotations": noted}}


def _read(found: Object) -> TlsSecret:
    metadata = found["metadata"]
    mark = run_marks.read(_annotations(found), HOLD)
    certificate, problem = _certificate(found)
    return TlsSecret(
        namespace=metadata["namespace"],
        name=metadata["name"],
        certificate=certificate,
        problem=problem,
        managed_by=_annotations(found).get(CERT_MANAGER),
        held_by=mark.run if mark else None,
        held_until=mark.until if mark else None,
        not_before=_moment(_annotations(found).get(NOT_BEFORE)),
    )


def _moment(text: str | None) -> datetime | None:
    try:
        return moment(text) if text else None
    except ValueError:
        return None  # somebody edited it by hand


def _certificate(found: Object) -> tuple[Certificate | None, str]:
    data: dict[str, Any] = found.get("data") or {}
    if not data.get(_CERTIFICATE):
        return None, f"it has no {_CERTIFICATE}"
    try:
        return facts(chain_of(base64.b64decode(data[_CERTIFICATE], validate=True))[0]), ""
    except (ValueError, IndexError, binascii.Error):
        return None, f"its {_CERTIFICATE} can't be read"
