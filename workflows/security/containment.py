"""Containing a security incident: isolate, keep evidence, and only then move (runbook 8.1 steps 1 and 2).

The page cordons, drains and then reads logs. A drain destroys what would have been read, so here it comes last, and
only for pods whose evidence was kept and read back.
"""

import asyncio

from temporalio import workflow

from activities.evidence.forensics import Forensics, KeepEvidence, KeptEvidence, VerifyManifest
from activities.evidence.live_state import CapturedLive, CaptureLive, LiveState
from activities.kubernetes.draining import Draining, Evicted, EvictPods
from activities.kubernetes.isolation import (
    CordonNode,
    IsolatePods,
    Isolation,
    LiftIsolation,
    LookAtSuspects,
    UncordonNode,
)
from activities.kubernetes.suspects import PodRef, SeenPod, Suspects
from audit.text import counted
from workflows.platform import policies
from workflows.platform.approval import Question
from workflows.security.asking import ask
from workflows.shared.desk import Desk, insist

_AGAIN, _DRAIN, _FORCE, _LEAVE = "again", "drain", "force", "leave"
_UNCORDON, _REPLACE = "uncordon", "replace"
_EVIDENCE_SHOWN = 20
"""Lines that a question shows of what a drain stops at; the timeline has all of them."""


class Containment:
    """Nodes and pods of one incident, and how far their containment has come."""

    def __init__(self, desk: Desk, *, nodes: list[str], pods: list[str]) -> None:
        self.desk = desk
        self.run = desk.run
        self.service = desk.service
        self.policy = desk.service.security
        self.nodes = nodes
        self.suspects = Suspects(nodes=[], pods=[])
        self.kept: dict[str, PodRef] = {}
        """By UID: whose evidence is safe. Nobody else is moved."""
        self.parts: list[KeptEvidence] = []
        self.live: CapturedLive | None = None
        """What was captured of what only a running pod has."""
        self.isolated: list[PodRef] = []
        self.gone: set[str] = set()
        self.left: list[str] = []
        self._pods = pods
        # Pods that the run had isolated before it was reset are the service's no more: they are found by the incident.
        self._isolated = "isolate" in desk.run.begun_before
        self._asked = 0

    # -- before anything -------------------------------------------------------------------------------------

    async def look(self) -> None:
        """Read what there is.

        Raises:
            ActivityError: a node or a pod is not there, or not one of the service; nothing has been changed.

        """
        self.suspects = await self.run.step(
            "8.1/1", "What is suspected", Isolation.look, self._looking(), policies.READ
        )

    def _looking(self) -> LookAtSuspects:
        return LookAtSuspects(
            namespace=self.service.namespace,
            selector=self.service.selector,
            nodes=self.nodes,
            pods=self._pods,
            incident_id=self.desk.id if self._isolated else "",
        )

    # -- 0 to 5 minutes --------------------------------------------------------------------------------------

    async def hold(self) -> bool:
        """Isolate the pods and cordon the nodes; what fails is escalated, and the evidence is kept all the same."""
        # First the nodes, so that no replacement of an isolated pod comes onto one of them.
        held = [*await asyncio.gather(*(self._cordon(node) for node in self.nodes)), await self._isolate()]
        if not all(held):
            await self.desk.escalate("not everything could be isolated: look at the run")
        return all(held)

    async def _isolate(self) -> bool:
        if not self.suspects.suspected:
            return True
        request = IsolatePods(
            incident_id=self.desk.id,
            namespace=self.service.namespace,
            pods=self.suspects.suspected,
            effect=self.run.effect("isolate"),
        )
        self._isolated = not self.run.dry_run
        done = await self.run.attempt("8.1/1", "Isolate the pods", Isolation.isolate, request, policies.EFFECT)
        if done is None:
            return False
        self.isolated = done.isolated
        for told in done.told:
            self.run.say("problem", told, section="8.1/1")
        return True

    async def _cordon(self, node: str) -> bool:
        request = CordonNode(
            node=node, at=workflow.now(), effect=self.run.effect(f"cordon-{self.nodes.index(node) + 1}")
        )
        done = await self.run.attempt("8.1/1", f"Cordon {node}", Isolation.cordon, request, policies.EFFECT)
        return done is not None

    async def capture_live(self) -> None:
        """Capture what only a running pod has, where settings allow it; it goes into what is kept then."""
        policy = self.policy
        if not self.suspects.suspected or not (policy.debug_image or policy.checkpoint):
            return
        request = CaptureLive(
            pods=self.isolated or self.suspects.suspected,
            image=policy.debug_image,
            checkpoint=policy.checkpoint,
            timeout=policy.debug_within,
            effect=self.run.effect("capture-live"),
        )
        step = "Capture processes, connections, memory"
        self.live = await self.run.attempt("8.1/2", step, LiveState.capture, request, policies.COLLECT)
        for told in self.live.missing if self.live is not None else ["it failed: look at the run"]:
            self.run.say("problem", f"Not captured: {told}", section="8.1/2")

    async def keep_evidence(self) -> bool:
        """Keep evidence of everything that the incident speaks of, until it is safe or people leave it."""
        while not await self._keep([pod.ref for pod in self.suspects.pods], "evidence"):
            await self.desk.escalate("the evidence is not safe: nothing is moved before it is")
            self._asked += 1
            question = Question(
                id=f"evidence-{self._asked}",
                title="The evidence could not be kept whole. Try again?",
                options={_AGAIN: "read and keep it once more", _LEAVE: "go on without a drain"},
                default=_LEAVE,
                kind="contain",
                timeout=self.policy.decision_timeout,
            )
            if (await ask(self.desk, question)).choice != _AGAIN:
                return False
        return True

    async def _keep(self, pods: list[PodRef], effect: str) -> bool:
        request = KeepEvidence(
            incident_id=self.desk.id,
            part=len(self.parts) + 1,
            pods=pods,
            nodes=self.nodes,
            effect=self.run.effect(effect),
        )
        kept = await self.run.attempt("8.1/2", "Keep the evidence", Forensics.keep, request, policies.COLLECT)
        if kept is None:
            return False
        self.parts.append(kept)
        if self.run.dry_run:
            self.kept |= {pod.uid: pod for pod in kept.kept}
            return True
        verify = VerifyManifest(
            incident_id=self.desk.id, part=request.part, manifest=kept.manifest, signature=kept.signature
        )
        verdict = await self.run.attempt("8.1/2", "Verify the manifest", Forensics.verify, verify, policies.COLLECT)
        if verdict is None or not verdict.good:
            return False
        self.kept |= {pod.uid: pod for pod in kept.kept}
        return True

    # -- the drain -------------------------------------------------------------------------------------------

    async def drain(self) -> bool:
        """Ask two people, then evict; True where nothing is left that should have gone."""
        why: list[str] = []
        while True:
            if not await self._look_again() or not self._to_go():
                return True
            choice = await self._ask_to_drain(why)
            if choice == _LEAVE:
                self.left = [str(pod) for pod in self._to_go()]
                return False
            done = await self._evict(force=choice == _FORCE)
            if self.run.dry_run:
                return True
            if done is not None and done.complete and (choice == _FORCE or not done.refused):
                return True
            why = [*done.left, *(f"{pod} goes only by force" for pod in done.refused)] if done else ["it failed"]

    async def _look_again(self) -> bool:
        """Read again what there is now, and keep evidence of what has come since; False where it can't be read."""
        again = await self.run.attempt("8.1/1", "What is still there", Isolation.look, self._looking(), policies.READ)
        if again is None:
            await self.desk.escalate("what is on the nodes can't be read: nothing is moved")
            return False
        self.suspects = again
        new = [pod.ref for pod in again.pods if pod.ref.uid not in self.kept and pod.grade in {"moves", "needs force"}]
        if new and not self.run.dry_run:
            self.run.say("problem", f"{counted(len(new), 'pod')} came since the evidence was kept", section="8.1/2")
            await self._keep(new, "evidence-since")
        return True

    def _to_go(self) -> list[SeenPod]:
        """Give what a drain would move or is refused: whose evidence is safe, on the nodes or isolated."""
        return [
            pod
            for pod in self.suspects.pods
            if pod.grade in {"moves", "needs force"}
            and pod.ref.uid in self.kept
            and (pod.suspect or pod.node in self.nodes)
        ]

    async def _ask_to_drain(self, why: list[str]) -> str:
        going = self._to_go()
        forced = [pod for pod in going if pod.grade == "needs force"]
        stays = [pod for pod in self.suspects.pods if pod.grade in {"daemon set", "mirror"}]
        for pod in forced:
            self.run.say("problem", f"A drain stops at {pod}", section="8.1/1")
        if self.run.dry_run:
            self.run.say("decision", f"would ask two persons whether to drain: {self.suspects}", section="8.1/1")
            return _FORCE if len(forced) == len(going) else _DRAIN
        self._asked += 1
        moves = counted(len(going) - len(forced), "pod")
        options = {}
        if len(forced) < len(going):
            options[_DRAIN] = f"evict {moves}; {len(forced)} that would be lost stay"
        if forced:
            options[_FORCE] = f"evict all {len(going)}, lost or not"
        options[_LEAVE] = "move nothing"
        where = ", ".join(self.nodes) or f"{self.service.namespace}'s isolated pods"
        unreadable = [f"not every log is kept: {each}" for part in self.parts for each in part.unreadable]
        shown = [*why, *unreadable, *(f"needs force: {pod}" for pod in forced), *(f"stays: {pod}" for pod in stays)]
        if len(shown) > _EVIDENCE_SHOWN:
            shown = [*shown[:_EVIDENCE_SHOWN], f"and {len(shown) - _EVIDENCE_SHOWN} more"]
        question = Question(
            id=f"drain-{self._asked}",
            title=f"Drain {where}? Their evidence is kept.",
            options=options,
            default=_LEAVE,
            kind="drain",
            reason_for=[_FORCE],
            evidence=shown,
            timeout=self.policy.decision_timeout,
        )
        return (await ask(self.desk, question)).choice

    async def _evict(self, *, force: bool) -> Evicted | None:
        if not all(await asyncio.gather(*(self._cordon(node) for node in self.nodes))):
            return None
        request = EvictPods(
            nodes=self.nodes,
            pods=[pod.ref for pod in self._to_go()],
            force=force,
            timeout=self.policy.drain_within,
            effect=self.run.effect("drain"),
        )
        waiting = policies.WAIT.lasting(self.policy.drain_within)
        done = await self.run.attempt("8.1/1", "Drain", Draining.evict, request, waiting)
        if done is not None and not self.run.dry_run:
            self.gone |= {pod.uid for pod in done.gone}
            self.left = [*done.left, *done.refused]
        return done

    # -- the end ---------------------------------------------------------------------------------------------

    async def give_back(self) -> str:
        """Ask whether the nodes return, and do what is answered; nobody's answer leaves them cordoned."""
        choice = "none"
        if self.nodes:
            choice = await self._ask_for_the_nodes()
            if choice == _UNCORDON:
                await asyncio.gather(*(self._uncordon(node) for node in self.nodes))
        if self._isolated or (self.run.dry_run and self.suspects.suspected):
            request = LiftIsolation(
                incident_id=self.desk.id, namespace=self.service.namespace, effect=self.run.effect("lift")
            )
            await self.run.attempt("8.1/1", "Lift the isolation", Isolation.lift, request, policies.EFFECT)
        return choice

    async def _ask_for_the_nodes(self) -> str:
        names = ", ".join(self.nodes)
        if self.run.dry_run:
            self.run.say("decision", f"would ask whether {names} returns")
            return "none"
        question = Question(
            id="return",
            title=f"What becomes of {names}?",
            options={
                _UNCORDON: "pods may run there again",
                _REPLACE: "it stays cordoned; people delete the node and end its machine",
                _LEAVE: "it stays cordoned, for the investigation",
            },
            default=_LEAVE,
            kind="contain",
            evidence=[f"left on it: {pod}" for pod in self.left[:_EVIDENCE_SHOWN]],
            timeout=self.policy.return_within,
        )
        return (await ask(self.desk, question)).choice

    async def _uncordon(self, node: str) -> None:
        request = UncordonNode(node=node, effect=self.run.effect(f"uncordon-{self.nodes.index(node) + 1}"))
        await insist(
            self.desk, "8.1/1", f"Uncordon {node}", Isolation.uncordon, request, undone=f"{node} is still cordoned"
        )

    def held(self) -> str:
        """Say what stays as it is when nobody looks after it any more."""
        told = []
        if self.nodes:
            told.append(f"{', '.join(self.nodes)} cordoned (`kubectl uncordon`)")
        if self.isolated and not self.run.dry_run:
            told.append(f"{counted(len(self.isolated), 'pod')} isolated under {self.desk.id}")
        return "; ".join(told) or "nothing"
