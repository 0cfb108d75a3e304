"""Changes of a Deployment, each once: read, plan, patch under resourceVersion, leave a note (see `rollouts`)."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from activities.common.effects import Change, Effect
from activities.common.errors import Conflict, NotFound, Refused
from activities.kubernetes.api import Object, ask
from activities.kubernetes.changing import Body, Plan, change, patch
from activities.kubernetes.rollouts import (
    BROUGHT_BACK,
    STOPPED,
    ReplicaSet,
    Rollouts,
    controller,
    selector,
    stop_mark,
)
from activities.kubernetes.run_marks import BroughtBack, RunMark
from activities.kubernetes.templates import RESTARTED_AT
from audit.text import counted

if TYPE_CHECKING:
    from libraries import kubernetes


class Deployments:
    """The Deployments of one cluster.

    Every change is an absolute value. A second attempt finds the first one's note and reports what that one did.
    Raises from every change `Refused` where another run keeps it without replicas: names that run, and until when.
    """

    def __init__(self, apps: "kubernetes.AppsV1Api") -> None:
        self._apps = apps

    def read(self, namespace: str, name: str) -> Rollouts:
        """Read a Deployment with its ReplicaSets.

        Raises:
            NotFound: there is no such Deployment.

        """
        raw = ask(self._apps.read_namespaced_deployment, name, namespace)
        found = ask(self._apps.list_namespaced_replica_set, namespace, label_selector=selector(raw))
        uid = raw["metadata"]["uid"]
        owned = [ReplicaSet(item) for item in found["items"] if controller(item) == uid]
        return Rollouts(raw, tuple(sorted(owned, key=lambda rs: rs.revision)))

    def undo(
        self, namespace: str, name: str, to_revision: int, effect: Effect, *, from_revision: int | None = None
    ) -> Change:
        """Go back to a revision.

        Raises:
            NotFound: there is no such revision.
            Refused: the Deployment is paused, or no longer on the revision that was to be left.

        """

        def plan(found: Rollouts) -> Plan:
            if from_revision is not None and found.revision != from_revision:
                # A release in the meantime, perhaps the fix: what was decided was decided about another state.
                raise Refused(f"deployment/{name} is on {_current(found)} now, no longer on revision {from_revision}")
            target = found.find(to_revision)
            if target is None:
                known = ", ".join(str(rs.revision) for rs in found.replica_sets if rs.revision) or "none"
                raise NotFound(f"deployment/{name} has no revision {to_revision}; it has: {known}")
            _require_not_paused(found, name)
            if found.on(target):
                return Plan(_current(found), f"already on {target}")
            after = f"{target}, now numbered {found.next_revision}"
            if dropped := found.dropped(target):
                after += f"; its pods are without what was put on them since: {', '.join(dropped)}"
            if left := found.left(target):
                after += f"; the Deployment still says what it said last: {', '.join(left)}"
            return Plan(_current(found), after, lambda done: found.undo_patch(target, done))

        return self._change(namespace, name, effect, plan)

    def restart(self, namespace: str, name: str, restarted_at: datetime, effect: Effect) -> Change:
        """Replace all pods.

        Raises:
            Refused: the Deployment is paused.

        """
        at = _second(restarted_at)

        def plan(found: Rollouts) -> Plan:
            _require_not_paused(found, name)
            annotations = found.raw["spec"]["template"]["metadata"].get("annotations") or {}
            if annotations.get(RESTARTED_AT) == at:
                return Plan(_current(found), f"already restarted at {at}")
            after = f"all pods restarting, as revision {found.next_revision}"
            return Plan(_current(found), after, lambda done: found.merge_patch({"template": _restarted(at)}, done))

        return self._change(namespace, name, effect, plan)

    def scale(
        self,
        namespace: str,
        name: str,
        replicas: int,
        effect: Effect,
        *,
        at_least: bool = False,
        stopped_until: datetime | None = None,
        replaced_at: datetime | None = None,
    ) -> Change:
        """Set the number of replicas; `at_least` never takes any away.

        With `stopped_until` no other run changes it until then or until this run scales it up. With `replaced_at` the
        pods that it has already are replaced, as by `restart`.
        """

        def plan(found: Rollouts) -> Plan:
            had = found.replicas or (found.stopped.replicas if found.stopped else None)
            stop = RunMark(run=effect.workflow_id, until=stopped_until, replicas=had) if stopped_until else None
            mark = stop.model_dump_json(exclude_none=True) if stop else None
            before, after = counted(found.replicas, "replica"), counted(replicas, "replica")
            if at_least and found.replicas > replicas:
                return Plan(before, f"already more than {after}")
            spec: Object = {"replicas": replicas}
            if replaced_at is not None and found.replicas and replicas:
                spec["template"] = _restarted(_second(replaced_at))
                after += ", those that were there replaced"
            # What we have stopped is let go by the same patch, though it had no replicas before and gets none now.
            if found.replicas == replicas and mark is None and not found.stopped and "template" not in spec:
                return Plan(before, f"already {after}")
            back = _back(found, effect) if replicas and mark is None else {}
            marks: dict[str, str | None] = {STOPPED: mark, **back}
            if mark is not None and BROUGHT_BACK in found.annotations:
                marks[BROUGHT_BACK] = None  # that was of another stop
            return Plan(before, after, lambda done: found.merge_patch(spec, done, **marks))

        return self._change(namespace, name, effect, plan)

    def marked(self, namespace: str, name: str) -> RunMark | None:
        """Give the mark of a run that stopped it, an expired one too."""
        raw = ask(self._apps.read_namespaced_deployment, name, namespace)
        return stop_mark(raw["metadata"].get("annotations") or {}, expired=True)

    def let_go(self, namespace: str, name: str, effect: Effect) -> Change:
        """Bring back what the run of the effect has stopped, with the replicas it had; those it has by now stay."""

        def plan(found: Rollouts) -> Plan:
            mark = stop_mark(found.annotations, expired=True)
            if mark is None or mark.run != effect.workflow_id:
                return Plan("", "left to its run" if mark else "already let go")
            back = mark.replicas if found.replicas == 0 else None
            spec: Object = {"replicas": back} if back else {}
            before = counted(found.replicas, "replica")
            unknown = "; how many it had is not known: scale it" if back is None and found.replicas == 0 else ""
            after = counted(back or found.replicas, "replica") + ", not stopped any more" + unknown
            noted = _back(found, effect) if back else {}
            return Plan(before, after, lambda done: found.merge_patch(spec, done, **{STOPPED: None}, **noted))

        return self._change(namespace, name, effect, plan)

    def _change(self, namespace: str, name: str, effect: Effect, plan: Callable[[Rollouts], Plan]) -> Change:
        """Change it, unless somebody else changes its spec or keeps it without replicas.

        The controller writes the status all the time while pods fall over. Only a change of the spec is a conflict
        worth telling; after any other, the plan is made again from what is there now.
        """
        target = f"deployment/{name}"
        generations: set[int] = set()

        def careful(found: Rollouts) -> Plan:
            generations.add(found.generation)
            if len(generations) > 1:
                raise Conflict(f"{target} was changed by somebody else at the same time")
            if found.stopped and found.stopped.run != effect.workflow_id:
                raise Refused(
                    f"{target} is kept without replicas by {found.stopped}: that run brings it back. Wait for it, or "
                    "cancel it"
                )
            return plan(found)

        return change(
            target,
            effect,
            read=lambda: self.read(namespace, name),
            notes=lambda found: found.everywhere,
            plan=careful,
            send=lambda body: self._patch(namespace, name, body, dry_run=effect.dry_run),
        )

    def _patch(self, namespace: str, name: str, body: Body, *, dry_run: bool) -> None:
        patch(self._apps.patch_namespaced_deployment, name, namespace, body=body, dry_run=dry_run)


def _back(found: Rollouts, effect: Effect) -> dict[str, str]:
    """Give the mark of who ends a stop, in the same patch; nothing where nobody has stopped it."""
    if stop_mark(found.annotations, expired=True) is None:
        return {}
    return {BROUGHT_BACK: BroughtBack(run=effect.workflow_id, at=datetime.now(UTC)).model_dump_json()}


def _second(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _restarted(at: str) -> Object:
    return {"metadata": {"annotations": {RESTARTED_AT: at}}}


def _current(found: Rollouts) -> str:
    return str(found.current) if found.current else "no revision yet"


def _require_not_paused(found: Rollouts, name: str) -> None:
    if found.paused:
        raise Refused(f"deployment/{name} is paused: resume it first (`kubectl rollout resume`)")
