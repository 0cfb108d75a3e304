"""Workloads beside a service's own Deployment, stopped and given back as they were (runbook 7.1, 7.2, 7.3).

Deployments and StatefulSets are scaled to nothing, CronJobs are suspended. The mark on each says which run keeps it so,
until when, and what it was. What a person changes meanwhile stays as they want it. The mark of a run that was
terminated expires; the next run that stops the workload takes over what it was.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError
from temporalio import activity

from activities.common.effects import Change, Effect, effect
from activities.common.errors import RateLimited, Refused, Unavailable
from activities.common.heartbeat import Progress, resume, turns
from activities.common.workloads import WorkloadKind
from activities.kubernetes import effect_notes, rollouts, run_marks
from activities.kubernetes.api import Object, ask
from activities.kubernetes.changing import Plan, change, patch
from activities.kubernetes.effect_notes import EFFECTS, Done
from activities.kubernetes.rollouts import STOPPED
from activities.kubernetes.run_marks import RunMark
from activities.kubernetes.templates import RESTARTED_AT
from audit.text import counted
from libraries import kubernetes

_POLL = timedelta(milliseconds=500)


class WorkloadAt(BaseModel):
    """One workload."""

    namespace: str
    kind: WorkloadKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}"


class StopWorkload(WorkloadAt):
    """Keep it from running anything."""

    until: datetime = Field(description="After that, and ten minutes, another run may take it over.")
    effect: Effect


class GiveWorkloadBack(WorkloadAt):
    """Let it be what it was before this run stopped it."""

    effect: Effect


class RestartWorkload(WorkloadAt):
    """`kubectl rollout restart`; a CronJob's next Job is new anyway."""

    restarted_at: datetime
    effect: Effect


class AwaitWorkload(WorkloadAt):
    """Wait until nothing of it runs, or all of it is ready."""

    want: Literal["stopped", "ready"]
    timeout: timedelta


class WorkloadSeen(BaseModel):
    """Whether it is as it was wanted."""

    complete: bool
    waiting_for: str = Field(default="", description="Names Jobs that still run.")

    def __str__(self) -> str:
        return "complete" if self.complete else f"not complete: {self.waiting_for}"


class _Mark(RunMark):
    """The mark of a stop, which knows what there was."""

    was: int | None = None
    """Replicas; of a CronJob whether it was suspended."""


class _Found:
    """A workload as the API has it."""

    def __init__(self, kind: WorkloadKind, raw: Object) -> None:
        self.kind = kind
        self.raw = raw
        self.annotations: dict[str, str] = raw["metadata"].get("annotations") or {}
        self.field = "suspend" if kind == "CronJob" else "replicas"
        self.stopped_at = 1 if kind == "CronJob" else 0

    @property
    def value(self) -> int:
        """Replicas, or 1 where it is suspended."""
        return int(self.raw["spec"].get(self.field, 0 if self.kind == "CronJob" else 1))

    @property
    def stopped(self) -> bool:
        return self.value == self.stopped_at

    @property
    def mark(self) -> _Mark | None:
        """Whose stop it carries, also one that has expired."""
        try:
            return _Mark.model_validate_json(self.annotations.get(STOPPED, ""))
        except ValidationError:
            return None

    def shown(self, value: int) -> str:
        if self.kind == "CronJob":
            return "suspended" if value else "scheduled"
        return counted(value, "replica")

    def free_for(self, effect: Effect) -> None:
        """Refuse it where another run keeps it stopped.

        Raises:
            Refused: names that run.

        """
        living = run_marks.read(self.annotations, STOPPED)
        if living is not None and living.run != effect.workflow_id and self.stopped:
            name = f"{self.kind.lower()}/{self.raw['metadata']['name']}"
            raise Refused(f"{name} is kept stopped by {living}: wait for that run, or cancel it")

    def patch(self, spec: Object, done: Done, **annotations: str | None) -> Object:
        noted = {**annotations, EFFECTS: effect_notes.noted(self.annotations, done)}
        version = self.raw["metadata"]["resourceVersion"]
        return {"metadata": {"resourceVersion": version, "annotations": noted}, "spec": spec}

    def setting(self, value: int) -> Object:
        return {self.field: bool(value) if self.kind == "CronJob" else value}

    def unfinished(self, want: str) -> str:
        """Say what is not yet as wanted."""
        status = self.raw.get("status", {})
        if self.kind == "CronJob":
            running = ", ".join(f"job/{job['name']}" for job in status.get("active") or ())
            return f"{running} still running" if running and want == "stopped" else ""
        if self.kind == "Deployment":
            return rollouts.unfinished(self.raw)[0]
        if self.raw["metadata"]["generation"] > status.get("observedGeneration", 0):
            return "the controller has not seen the change yet"
        wanted, there = self.value, status.get("replicas", 0)
        if there > wanted:
            return f"{counted(there - wanted, 'pod')} still to end"
        missing = wanted - min(status.get("readyReplicas", 0), status.get("updatedReplicas", there))
        return f"{counted(missing, 'pod')} not ready" if missing > 0 else ""


class WorkloadHolds:
    """Stops workloads of one cluster and gives them back; raises what `Kubernetes` raises."""

    def __init__(self, api: "kubernetes.ApiClient") -> None:
        apps, batch = kubernetes.AppsV1Api(api), kubernetes.BatchV1Api(api)
        self._methods: dict[WorkloadKind, tuple[Callable[..., Any], Callable[..., Any]]] = {
            "Deployment": (apps.read_namespaced_deployment, apps.patch_namespaced_deployment),
            "StatefulSet": (apps.read_namespaced_stateful_set, apps.patch_namespaced_stateful_set),
            "CronJob": (batch.read_namespaced_cron_job, batch.patch_namespaced_cron_job),
        }

    @activity.defn(name="workload_holds.stop")
    @effect
    def stop(self, request: StopWorkload) -> Change:
        """Scale to nothing, or suspend (7.3 step 1); not applied where it is stopped anyway.

        Raises:
            Refused: another run keeps it stopped.

        """

        def plan(found: _Found) -> Plan:
            found.free_for(request.effect)
            before, after = found.shown(found.value), found.shown(found.stopped_at)
            left = found.mark
            if found.stopped and (left is None or left.was is None):
                return Plan(before, f"already {after}")
            was = left.was if found.stopped and left is not None else found.value
            mark = _Mark(run=request.effect.workflow_id, until=request.until, was=was).model_dump_json()
            setting = found.setting(found.stopped_at)
            return Plan(before, after, lambda done: found.patch(setting, done, **{STOPPED: mark}))

        return self._change(request, request.effect, plan)

    @activity.defn(name="workload_holds.give_back")
    @effect
    def give_back(self, request: GiveWorkloadBack) -> Change:
        """Give it back as it was; what somebody has changed meanwhile stays."""

        def plan(found: _Found) -> Plan:
            now, mark = found.shown(found.value), found.mark
            if mark is None:
                return Plan(now, "as it is")
            if mark.run != request.effect.workflow_id:
                return Plan(now, f"left to {mark.run}")
            if not found.stopped or mark.was is None:
                after = f"{now}, as somebody has set it meanwhile"
                return Plan(now, after, lambda done: found.patch({}, done, **{STOPPED: None}))
            setting = found.setting(mark.was)
            return Plan(now, found.shown(mark.was), lambda done: found.patch(setting, done, **{STOPPED: None}))

        return self._change(request, request.effect, plan)

    def marked(self, at: WorkloadAt) -> RunMark | None:
        """Give the mark of whoever keeps it stopped, an expired one too."""
        return self._read(at).mark

    @activity.defn(name="workload_holds.restart")
    @effect
    def restart(self, request: RestartWorkload) -> Change:
        """Replace its pods, so that they read their Secrets anew (7.1 step 3).

        Raises:
            Refused: another run keeps it stopped.

        """
        at = request.restarted_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        template = {"template": {"metadata": {"annotations": {RESTARTED_AT: at}}}}

        def plan(found: _Found) -> Plan:
            found.free_for(request.effect)
            now = found.shown(found.value)
            if found.kind == "CronJob":
                return Plan(now, f"{now}: its next job is new anyway")
            return Plan(now, "all pods restarting", lambda done: found.patch(template, done))

        return self._change(request, request.effect, plan)

    @activity.defn(name="workload_holds.await")
    def await_it(self, request: AwaitWorkload) -> WorkloadSeen:
        """Wait, heartbeating; running out of time is a result, which names what still runs.

        Raises:
            Unavailable: the API server did not answer in all the time.

        """
        waiting_for: str | None = None
        for _ in turns(resume(Progress), within=request.timeout, every=_POLL):
            try:
                waiting_for = self._read(request).unfinished(request.want)
            except (Unavailable, RateLimited):
                continue
            if not waiting_for:
                break
        if waiting_for is None:
            raise Unavailable("no time to ask the Kubernetes API")
        return WorkloadSeen(complete=not waiting_for, waiting_for=waiting_for)

    def _change(self, at: WorkloadAt, effect: Effect, plan: Callable[[_Found], Plan]) -> Change:
        return change(
            str(at),
            effect,
            read=lambda: self._read(at),
            notes=lambda found: [found.annotations],
            plan=plan,
            send=lambda body: patch(
                self._methods[at.kind][1], at.name, at.namespace, body=body, dry_run=effect.dry_run
            ),
        )

    def _read(self, at: WorkloadAt) -> _Found:
        return _Found(at.kind, ask(self._methods[at.kind][0], at.name, at.namespace))
