"""What is kept of pods and nodes before they go (runbook 8.1 step 2): logs, specs, events, a signed manifest of all.

Each piece is an object of its own in the evidence store, so that an attempt that follows a dead worker's goes on behind
what that one has kept. The manifest comes last: it names every piece with its SHA-256, and is signed. A pod's
specification may hold what nobody but the investigators may read, so it never enters a history.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import IO, Any

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.effects import Change, Effect, effect
from activities.common.errors import Misconfigured, Unavailable
from activities.common.heartbeat import pause
from activities.common.text import Key, ToldLine
from activities.evidence.evidence import Evidence, EvidenceStore, StoredEvidence, key_of
from activities.evidence.pod_logs import NOT_READABLE, PodLogs
from activities.kubernetes.api import Object, optional, pages
from activities.kubernetes.suspects import PodRef
from audit.signatures import fitting
from audit.signer import Signer, SigningError, key_id
from audit.text import counted
from libraries import kubernetes

_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"


class KeepEvidence(BaseModel):
    """Of which pods and nodes evidence is kept."""

    incident_id: Key
    part: int = Field(ge=1, description="The first time, the second, …: each has a manifest of its own.")
    pods: list[PodRef]
    nodes: list[Key]
    effect: Effect


class KeptEvidence(Change):
    """What was kept."""

    manifest: StoredEvidence
    signature: StoredEvidence | None = Field(default=None, description="None where no key signs.")
    pieces: int
    size: int = Field(description="Bytes of all pieces.")
    kept: list[PodRef] = Field(description="Pods whose specification and logs are there.")
    gone: list[ToldLine] = Field(default_factory=list, description="Pods that had gone, or were others, before.")
    unreadable: list[ToldLine] = Field(default_factory=list, description="Pods of which not every log could be read.")


class VerifyManifest(BaseModel):
    """Which manifest is verified."""

    incident_id: Key
    part: int
    manifest: StoredEvidence
    signature: StoredEvidence | None


class ManifestVerdict(BaseModel):
    """What verifying found."""

    good: bool
    signed: bool
    pieces: int
    wrong: list[ToldLine] = Field(default_factory=list)

    def __str__(self) -> str:
        if not self.good:
            return f"does NOT verify: {'; '.join(self.wrong)}"
        return f"{counted(self.pieces, 'piece')} as they were kept, {'signed' if self.signed else 'not signed'}"


@dataclass(frozen=True)
class _Piece:
    """One object of the store, as `Evidence.keep` wants it."""

    incident_id: str
    name: str
    effect: Effect


class Forensics:
    """Keeps evidence of pods and nodes; raises what `Evidence` and `Kubernetes` raise."""

    def __init__(
        self, evidence: Evidence, store: EvidenceStore, cluster: "kubernetes.ApiClient", signer: Signer | None
    ) -> None:
        self._evidence = evidence
        self._store = store
        self._core = kubernetes.CoreV1Api(cluster)
        self._logs = PodLogs(self._core)
        self._signer = signer

    @activity.defn(name="forensics.keep")
    @effect
    def keep(self, request: KeepEvidence) -> KeptEvidence:
        """Keep logs of all containers, specifications, events and nodes, and sign what there is (8.1 step 2).

        A log that can't be read is said so in its text: that is worth knowing, not worth losing the rest for.
        """
        pieces: list[tuple[str, StoredEvidence]] = []
        kept, gone, unreadable = [], [], []
        for pod in request.pods:
            raw = optional(self._core.read_namespaced_pod, pod.name, pod.namespace)
            if raw is None or raw["metadata"]["uid"] != pod.uid:
                gone.append(str(pod))
                continue
            pieces.append(self._piece(request, f"{_name(pod)}.json", _JSON, partial(_dump, raw)))
            pieces.append(self._piece(request, f"{_name(pod)}.log", _TEXT, partial(self._logs.everything, raw)))
            kept.append(pod)
            if NOT_READABLE in pieces[-1][1].detail:
                unreadable.append(f"{pod}: {pieces[-1][1].detail}")
        for namespace in sorted({pod.namespace for pod in kept}):
            uids = {pod.uid for pod in kept if pod.namespace == namespace}
            events = partial(self._events, namespace, uids)
            pieces.append(self._piece(request, f"events-{namespace}.json", _JSON, events))
        for node in request.nodes:
            raw = optional(self._core.read_node, node)
            if raw is not None:
                pieces.append(self._piece(request, f"node-{node}.json", _JSON, partial(_dump, raw)))
        return self._manifest(request, pieces, kept, gone, unreadable)

    def _piece(
        self, request: KeepEvidence, name: str, content_type: str, produce: Callable[[IO[bytes]], str]
    ) -> tuple[str, StoredEvidence]:
        activity.heartbeat()
        pause(0)
        piece = _Piece(request.incident_id, f"{request.part}-{name}"[:100], request.effect)
        return piece.name, self._evidence.keep(piece, content_type, produce)

    def _manifest(
        self,
        request: KeepEvidence,
        pieces: list[tuple[str, StoredEvidence]],
        kept: list[PodRef],
        gone: list[str],
        unreadable: list[str],
    ) -> KeptEvidence:
        content = {
            "incident": request.incident_id,
            "part": request.part,
            "workflow": request.effect.workflow_id,
            "pieces": [
                {"name": name, "uri": piece.uri, "sha256": piece.sha256, "size": piece.size, "what": piece.detail}
                for name, piece in pieces
            ],
            "pods": [pod.model_dump() for pod in kept],
            "gone before": gone,
            "logs not readable": unreadable,
        }
        written = (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
        piece = _Piece(request.incident_id, f"{request.part}-manifest.json", request.effect)
        manifest = self._evidence.keep(piece, _JSON, partial(_write, written))
        signature = None
        if self._signer is not None:
            # Of the manifest that was kept: an earlier attempt's, where there is one.
            piece = _Piece(request.incident_id, f"{request.part}-manifest.sig.json", request.effect)
            signature = self._evidence.keep(piece, _JSON, lambda out: _write(self._sign(manifest.sha256), out))
        size = sum(piece.size for _, piece in pieces)
        after = f"{counted(len(pieces), 'piece')} of {counted(len(kept), 'pod')}, {counted(size, 'byte')}"
        note = "; ".join(
            [
                f"manifest {manifest.sha256[:16]}{'' if signature else ', not signed: [audit] has no key'}",
                *(f"{each} had gone" for each in gone),
                *unreadable,
            ]
        )
        return KeptEvidence(
            target=f"evidence of {request.incident_id}",
            after=after,
            applied=manifest.applied,
            note=note[:2000],
            manifest=manifest,
            signature=signature,
            pieces=len(pieces),
            size=size,
            kept=kept,
            gone=gone,
            unreadable=unreadable,
        )

    def _sign(self, sha256: str) -> bytes:
        assert self._signer is not None
        try:
            signature = self._signer.sign(_statement(sha256))
            public = self._signer.public_key
        except SigningError as error:
            raise (Unavailable if error.passing else Misconfigured)(str(error)) from None
        document = {
            "algorithm": "Ed25519",
            "key": key_id(public),
            "signs": _statement(sha256).decode(),
            "signature": base64.b64encode(signature).decode(),
        }
        return (json.dumps(document, indent=1) + "\n").encode()

    def _events(self, namespace: str, uids: set[str], out: IO[bytes]) -> str:
        found = [
            event
            for event in pages(self._core.list_namespaced_event, namespace)
            if event.get("involvedObject", {}).get("uid") in uids
        ]
        out.write(json.dumps(found, indent=1).encode())
        return counted(len(found), "event")

    @activity.defn(name="forensics.verify")
    def verify(self, request: VerifyManifest) -> ManifestVerdict:
        """Read everything back: each piece has the SHA-256 that the manifest says, and the signature is our key's.

        What is wrong is a result: people are told before anything goes.
        """
        wrong: list[str] = []
        written = self._store.read(key_of(request.manifest, self._store))
        if hashlib.sha256(written).hexdigest() != request.manifest.sha256:
            wrong.append("the manifest is not what was kept")
        pieces: list[dict[str, Any]] = json.loads(written)["pieces"]
        for piece in pieces:
            activity.heartbeat()
            pause(0)
            content = self._store.read(key_of(StoredEvidence.model_validate(_stored(piece)), self._store))
            if hashlib.sha256(content).hexdigest() != piece["sha256"]:
                wrong.append(f"{piece['name']} is not what was kept")
        if request.signature is not None and not self._signed(request):
            wrong.append("the signature is not of our key, or not of this manifest")
        return ManifestVerdict(good=not wrong, signed=request.signature is not None, pieces=len(pieces), wrong=wrong)

    def _signed(self, request: VerifyManifest) -> bool:
        if self._signer is None or request.signature is None:
            return False
        document = json.loads(self._store.read(key_of(request.signature, self._store)))
        ours = base64.b64encode(self._signer.public_key).decode()
        return fitting(document["signature"], _statement(request.manifest.sha256), [ours]) is not None


def _statement(sha256: str) -> bytes:
    """Give what is signed: with its purpose, so that no signature of ours can be taken for another."""
    return f"durable-runbooks evidence manifest sha256:{sha256}".encode()


def _stored(piece: dict[str, Any]) -> dict[str, Any]:
    return {"uri": piece["uri"], "sha256": piece["sha256"], "size": piece["size"]}


def _name(pod: PodRef) -> str:
    """Name a pod's pieces: short enough for the store, and apart from another pod of that name."""
    return f"{pod.namespace[:20]}-{pod.name[:50]}-{pod.uid[:8]}"


def _dump(raw: Object, out: IO[bytes]) -> str:
    return _write((json.dumps(raw, indent=1) + "\n").encode(), out)


def _write(content: bytes, out: IO[bytes]) -> str:
    out.write(content)
    return ""
