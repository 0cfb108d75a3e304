"""A node with suspected pods, as the cluster's activities see it; what people may move, and what stands in the way."""

from collections.abc import Callable
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.accesses.accesses import ReviewAccesses, ReviewedAccesses
from activities.addresses.blocks import BlockAddresses, Blocking, Objections, UnblockAddresses
from activities.catalogue.security import CredentialPolicy, SecurityPolicy
from activities.common.effects import Change
from activities.credentials.credential import RotateCredential, Seen, Switched
from activities.credentials.credentials import LookAtCredentials, SeenCredentials, StillUsed, Uses
from activities.evidence.evidence import StoredEvidence
from activities.evidence.forensics import KeepEvidence, KeptEvidence, ManifestVerdict, VerifyManifest
from activities.evidence.live_state import CapturedLive, CaptureLive
from activities.kubernetes.cluster import AwaitRollout
from activities.kubernetes.draining import Evicted, EvictPods
from activities.kubernetes.isolation import (
    CordonNode,
    Isolated,
    IsolatePods,
    LiftIsolation,
    LookAtSuspects,
    UncordonNode,
)
from activities.kubernetes.states import Rollout
from activities.kubernetes.suspects import PodRef, SeenNode, SeenPod, Suspects
from activities.records.security import CloseSecurityIncident, OpenSecurityIncident
from tests.workflows.worlds.world import World, instead

ROTATABLE = {
    "login": CredentialPolicy(
        kind="database-roles",
        secret="database",
        key="url",
        database="main",
        roles=("a", "b"),
        deployments=("tensafe-server", "worker"),
    ),
    "signing": CredentialPolicy(kind="secret", secret="signing", key="now", overlap_key="also"),
}
"""What the credentials of the settings may be."""


def pod(name: str, grade: Any = "moves", **fields: Any) -> SeenPod:
    ref = PodRef(namespace="tensafe", name=name, uid=f"uid-{name}")
    return SeenPod(ref=ref, node="node-a", controller="ReplicaSet/x", grade=grade, **fields)


class Breached(World):
    """`node-a` with a suspected pod, a bare pod, a pod of a DaemonSet and a static one."""

    def __init__(self, **policy: Any) -> None:
        super().__init__()
        self.service = self.service.model_copy(update={"security": SecurityPolicy(**policy)})
        self.pods = {
            each.ref.uid: each
            for each in (
                pod("server-1", suspect=True),
                pod("bare", "needs force", why=["no controller brings it back"]),
                pod("agent", "daemon set"),
                pod("static", "mirror"),
            )
        }
        self.cordoned = False
        self.isolated = False
        self.verifies = True
        self.budget = ""
        """What a PodDisruptionBudget says, as long as it blocks."""
        self.arrives: list[SeenPod] = []
        """Pods that come onto the node after the evidence was kept."""
        self.uses: list[str] = []
        """Who still uses what is to be retired."""
        self.problems: dict[str, list[str]] = {}
        """By credential: why it can't be rotated."""
        self.never: dict[str, str] = {}
        """Address → why it is never blocked."""
        self.not_captured: list[str] = []
        """What of the running pods can't be had."""
        self.suspects: list[str] = []
        """Addresses that the review of accesses finds."""
        self.stuck = False
        """No rollout completes."""
        self.order: list[str] = []
        """Effects and looks, as they came."""

    def activities(self) -> list[Callable[..., Any]]:
        mine = (self._cluster, self._store, self._security_records, self._credentials, self._blocks, self._accesses)
        return instead(super().activities(), *(each for make in mine for each in make()))

    def _cluster(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="isolation.look")
        def look(request: LookAtSuspects) -> Suspects:
            world._up("isolation.look")
            if "nowhere" in request.nodes:
                raise ApplicationError("nodes nowhere not found", type="NotFound", non_retryable=True)
            if request.incident_id:
                world.pods |= {each.ref.uid: each for each in world.arrives}
            node = SeenNode(name="node-a", schedulable=not world.cordoned)
            return Suspects(nodes=[node], pods=list(world.pods.values()))

        @activity.defn(name="isolation.isolate")
        def isolate(request: IsolatePods) -> Isolated:
            applied = world._done("isolation.isolate", request)
            world.isolated = world.isolated or applied
            world.order.append("isolate")
            return Isolated(target="networkpolicy", after="isolated", applied=applied, isolated=request.pods)

        @activity.defn(name="isolation.cordon")
        def cordon(request: CordonNode) -> Change:
            applied = world._done("isolation.cordon", request)
            world.cordoned = world.cordoned or applied
            return Change(target="node/node-a", after="cordoned", applied=applied)

        @activity.defn(name="isolation.uncordon")
        def uncordon(request: UncordonNode) -> Change:
            applied = world._done("isolation.uncordon", request)
            world.cordoned = world.cordoned and not applied
            return Change(target="node/node-a", after="schedulable", applied=applied)

        @activity.defn(name="isolation.lift")
        def lift(request: LiftIsolation) -> Change:
            return Change(target="networkpolicy", after="removed", applied=world._done("isolation.lift", request))

        @activity.defn(name="draining.evict")
        def evict(request: EvictPods) -> Evicted:
            applied = world._done("draining.evict", request)
            world.order.append("evict")
            if not applied:
                return Evicted(target="node/node-a", after="1 pod would go", applied=False)
            if world.budget:
                left = [f"{each} {world.budget}" for each in request.pods]
                return Evicted(target="node/node-a", after="0 pods gone", applied=False, left=left)
            refused, gone = [], []
            for each in request.pods:
                if world.pods[each.uid].grade == "needs force" and not request.force:
                    refused.append(str(each))
                else:
                    gone.append(each)
                    del world.pods[each.uid]
            return Evicted(target="node/node-a", after=f"{len(gone)} gone", applied=True, gone=gone, refused=refused)

        return [look, isolate, cordon, uncordon, lift, evict]

    def _store(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="forensics.keep")
        def keep(request: KeepEvidence) -> KeptEvidence:
            applied = world._done("forensics.keep", request)
            world.order.append("keep")
            name = f"file:///{request.incident_id}/{request.part}-manifest.json"
            stored = StoredEvidence(uri=name, sha256="0" * 64, size=1)
            return KeptEvidence(
                target="evidence",
                after="kept",
                applied=applied,
                manifest=stored,
                signature=stored,
                pieces=2,
                size=2,
                kept=request.pods,
            )

        @activity.defn(name="forensics.verify")
        def verify(request: VerifyManifest) -> ManifestVerdict:
            world.order.append("verify")
            wrong = [] if world.verifies else ["1-x.log is not what was kept"]
            return ManifestVerdict(good=world.verifies, signed=True, pieces=2, wrong=wrong)

        @activity.defn(name="live_state.capture")
        def capture(request: CaptureLive) -> CapturedLive:
            applied = world._done("live_state.capture", request)
            world.order.append("capture")
            captured = [f"{each} app" for each in request.pods] if request.image and applied else []
            made = [f"{each} app: node-a:/var/lib/kubelet/x.tar" for each in request.pods if request.checkpoint]
            return CapturedLive(
                target="pods",
                after="captured",
                applied=applied,
                captured=captured,
                checkpoints=made if applied else [],
                missing=world.not_captured,
            )

        return [keep, verify, capture]

    def _security_records(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="security_incidents.open")
        def enter(request: OpenSecurityIncident) -> Change:
            return Change(target="record", after="open", applied=world._done("security_incidents.open", request))

        @activity.defn(name="security_incidents.close")
        def close(request: CloseSecurityIncident) -> Change:
            applied = world._done("security_incidents.close", request)
            return Change(target="record", after=request.outcome, applied=applied)

        return [enter, close]

    def _credentials(self) -> list[Callable[..., Any]]:
        world = self

        def change(name: str, request: RotateCredential) -> dict[str, Any]:
            return {"target": request.policy.secret, "after": "new", "applied": world._done(name, request)}

        @activity.defn(name="credentials.look")
        def look(request: LookAtCredentials) -> SeenCredentials:
            world._up("credentials.look")
            return SeenCredentials(
                items=[
                    Seen(
                        name=of.name,
                        phases=["introduce", "switch", "retire"] if of.policy.overlap_key else ["switch", "retire"],
                        problems=world.problems.get(of.name, []),
                    )
                    for of in request.credentials
                ]
            )

        @activity.defn(name="credentials.introduce")
        def introduce(request: RotateCredential) -> Change:
            return Change(**change("credentials.introduce", request))

        @activity.defn(name="credentials.switch")
        def switch(request: RotateCredential) -> Switched:
            return Switched(**change("credentials.switch", request), retired=f"the old {request.name}")

        @activity.defn(name="credentials.still_used")
        def still_used(request: StillUsed) -> Uses:
            return Uses(by=world.uses)

        @activity.defn(name="credentials.retire")
        def retire(request: RotateCredential) -> Change:
            return Change(**change("credentials.retire", request))

        @activity.defn(name="kubernetes.await_rollout")
        def await_rollout(request: AwaitRollout) -> Rollout:
            return Rollout(
                complete=not world.stuck,
                ready=3,
                replicas=3,
                revision=2,
                seconds=1,
                reason="1 of 3 updated" if world.stuck else "",
            )

        return [look, introduce, switch, still_used, retire, await_rollout]

    def _blocks(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="blocks.objections")
        def objections(request: Blocking) -> Objections:
            world._up("blocks.objections")
            return Objections(against={each: why for each, why in world.never.items() if each in request.addresses})

        @activity.defn(name="blocks.block")
        def block(request: BlockAddresses) -> Change:
            return Change(target="addresses", after="blocked", applied=world._done("blocks.block", request))

        @activity.defn(name="blocks.unblock")
        def unblock(request: UnblockAddresses) -> Change:
            return Change(target="addresses", after="given back", applied=world._done("blocks.unblock", request))

        return [objections, block, unblock]

    def _accesses(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="accesses.review")
        def review(request: ReviewAccesses) -> ReviewedAccesses:
            world._up(f"accesses.{request.source}")
            applied = world._done("accesses.review", request)
            stored = StoredEvidence(uri=f"file:///access-review-{request.source}.json", sha256="1" * 64, size=1)
            found = len(world.suspects)
            return ReviewedAccesses(
                target="accesses",
                after=f"{found} findings",
                applied=applied,
                accesses=100,
                known=0,
                findings={"guessed": 0, "refused address": found, "refused name": 0, "new place": 0, "new address": 0},
                suspects=world.suspects,
                not_judged=["new place"],
                unreadable=[],
                document=stored,
                rows=stored,
            )

        return [review]
