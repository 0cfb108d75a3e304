"""What Deployments and ReplicaSets say about rollouts, and how to change them as kubectl does.

Works on the API's own JSON and talks to nobody. What an effect did is noted on the Deployment (`effect_notes`). The
deployment controller copies the notes to the current ReplicaSet, and `kubectl rollout undo` copies them back, so an
old note may turn up again; that is harmless, since a note only ever says that an effect has happened.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from activities.kubernetes import effect_notes, run_marks, templates
from activities.kubernetes.api import Object, moment
from activities.kubernetes.effect_notes import EFFECTS, Done
from activities.kubernetes.images import parse
from activities.kubernetes.run_marks import BroughtBack, RunMark
from audit.text import counted

CHANGE_CAUSE = "kubernetes.io/change-cause"
STOPPED = "runbooks.dev/stopped"
"""The mark of a run that keeps a Deployment without replicas."""
BROUGHT_BACK = "runbooks.dev/brought-back"
"""Which run has ended such a stop, and when: what is seen soon after may still tell of the stop."""
_CONTROLLERS = "deployment.kubernetes.io/"
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_REVISION = "deployment.kubernetes.io/revision"
_REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
_TEMPLATE_HASH = "pod-template-hash"


@dataclass(frozen=True)
class ReplicaSet:
    """One revision, as the API has it."""

    raw: Object

    @property
    def annotations(self) -> dict[str, str]:
        """Its annotations."""
        return self.raw["metadata"].get("annotations") or {}

    @property
    def revision(self) -> int:
        """Its number; 0 before the controller has given it one."""
        return revision(self.raw)

    @property
    def images(self) -> list[str]:
        """The images of its containers."""
        return [container["image"] for container in self.raw["spec"]["template"]["spec"]["containers"]]

    @property
    def containers(self) -> dict[str, str]:
        """The image of each container, by its name."""
        return {one["name"]: one["image"] for one in self.raw["spec"]["template"]["spec"]["containers"]}

    @property
    def release(self) -> str:
        """The release's identity: a restart is no other one."""
        return templates.release(self.template)

    @property
    def earlier(self) -> list[int]:
        """The numbers that it had before it was gone back to (the controller notes them)."""
        return [
            int(text) for text in self.annotations.get(_REVISION_HISTORY, "").split(",") if text.strip().isdecimal()
        ]

    @property
    def template(self) -> Object:
        """Its pod template as the Deployment had it: without the controller's hash label."""
        template: Object = json.loads(json.dumps(self.raw["spec"]["template"]))
        (template.get("metadata", {}).get("labels") or {}).pop(_TEMPLATE_HASH, None)
        return template

    @property
    def template_hash(self) -> str:
        """The label that its pods carry."""
        return str(self.raw["metadata"].get("labels", {}).get(_TEMPLATE_HASH, ""))

    @property
    def created_at(self) -> datetime:
        """When it was created; an undo to it doesn't change that."""
        return moment(self.raw["metadata"]["creationTimestamp"])

    @property
    def reused(self) -> bool:
        """Whether a rollback ever made it current again: the controller notes its earlier numbers."""
        return _REVISION_HISTORY in self.annotations

    def __str__(self) -> str:
        return f"revision {self.revision} ({version(self.images)})"


@dataclass(frozen=True)
class Rollouts:
    """A Deployment and the ReplicaSets it controls, oldest revision first."""

    raw: Object
    replica_sets: tuple[ReplicaSet, ...]

    @property
    def annotations(self) -> dict[str, str]:
        """The Deployment's annotations."""
        return self.raw["metadata"].get("annotations") or {}

    @property
    def generation(self) -> int:
        """Changes with every change of the spec, and with nothing else."""
        return int(self.raw["metadata"]["generation"])

    @property
    def resource_version(self) -> str:
        """Changes with every change."""
        return str(self.raw["metadata"]["resourceVersion"])

    @property
    def paused(self) -> bool:
        """Whether changes of the template are held back."""
        return bool(self.raw["spec"].get("paused"))

    @property
    def replicas(self) -> int:
        """How many the spec asks for."""
        return int(self.raw["spec"].get("replicas", 1))

    @property
    def revision(self) -> int:
        """The current revision's number; 0 before there is one.

        The controller makes the ReplicaSet of a changed template first, and numbers the Deployment a moment later; and
        the two are read one after the other. So a later one that the spec asks for is current already. An earlier one
        is not: what is gone back to gets its new number first.
        """
        noted = revision(self.raw)
        return max((rs.revision for rs in self.replica_sets if rs.revision > noted and self.on(rs)), default=noted)

    @property
    def stopped(self) -> RunMark | None:
        """Which run keeps it without replicas; one that was scaled up by hand is no longer stopped."""
        return stop_mark(self.annotations) if self.replicas == 0 else None

    @property
    def brought_back(self) -> BroughtBack | None:
        """Which run has ended the last stop, and when."""
        return run_marks.brought_back(self.annotations, BROUGHT_BACK)

    @property
    def current(self) -> ReplicaSet | None:
        """The current revision."""
        return self.find(self.revision)

    @property
    def next_revision(self) -> int:
        """The number that the controller will give to a changed template."""
        return max((rs.revision for rs in self.replica_sets), default=0) + 1

    def find(self, revision: int) -> ReplicaSet | None:
        """Find a revision by its number."""
        return next((rs for rs in self.replica_sets if rs.revision == revision), None)

    @property
    def everywhere(self) -> tuple[Mapping[str, str], ...]:
        """The annotations that may have an effect's note: of the Deployment, and of its ReplicaSets.

        A rollback or a later effect may have taken it from the Deployment, but not from the ReplicaSet that was
        current at its time.
        """
        return (self.annotations, *(rs.annotations for rs in self.replica_sets))

    def rolled_out_at(self) -> datetime:
        """When the current revision became current.

        Nothing in the API says it outright. A ReplicaSet that was never rolled back to became current when it was
        created: exact. For one that was, both the last progress of its rollout and the last change by whoever
        changed the template come at or after the moment, and the earlier of them is the best there is.
        """
        current = self.current
        if current is None:
            return moment(self.raw["metadata"]["creationTimestamp"])
        if not current.reused:
            return current.created_at
        named = f'"{current.raw["metadata"]["name"]}"'
        # For a moment after the new number, the condition is still about the rollout before.
        marks = [
            moment(condition["lastUpdateTime"])
            for condition in conditions(self.raw, "Progressing")
            if named in condition.get("message", "")
        ]
        template_changes = [
            moment(entry["time"])
            for entry in self.raw["metadata"].get("managedFields", ())
            if "time" in entry and "f:template" in entry.get("fieldsV1", {}).get("f:spec", {})
        ]
        if template_changes:
            marks.append(max(template_changes))
        return max(current.created_at, min(marks, default=current.created_at))

    def on(self, revision: ReplicaSet) -> bool:
        """Whether the spec already asks for a revision's template."""
        return bool(self.raw["spec"]["template"] == revision.template)

    def undo_patch(self, target: ReplicaSet, done: Done) -> list[Object]:
        """Give the JSON patch that goes back to a revision, refused (409) where anything has changed meanwhile.

        The pods go back, and with them the cause of the change. kubectl takes all other annotations from then as well,
        and with them what others have noted since (github.com/kubernetes/kubectl/issues/1302): here they stay.
        """
        annotations = {name: value for name, value in self.annotations.items() if name != CHANGE_CAUSE}
        if cause := target.annotations.get(CHANGE_CAUSE):
            annotations[CHANGE_CAUSE] = cause
        annotations[EFFECTS] = effect_notes.noted(self.annotations, done)
        return [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": self.resource_version},
            {"op": "replace", "path": "/spec/template", "value": target.template},
            {"op": "add", "path": "/metadata/annotations", "value": annotations},
        ]

    def dropped(self, target: ReplicaSet) -> list[str]:
        """Name what somebody has put on the pods since a revision: it goes with the undo, as it would with kubectl."""
        here = self.raw["spec"]["template"]["metadata"]
        there = target.template.get("metadata") or {}
        return [
            f"{kind[:-1]} {name}"
            for kind in ("annotations", "labels")
            for name, value in sorted((here.get(kind) or {}).items())
            if name not in (there.get(kind) or {}) and not templates.is_mark(name, value)
        ]

    def left(self, target: ReplicaSet) -> list[str]:
        """Name what the Deployment said otherwise at a revision: whose it is isn't told, so it stays (`undo_patch`)."""
        return [
            f"annotation {name}"
            for name, value in sorted(self.annotations.items())
            if target.annotations.get(name, value) != value and name != CHANGE_CAUSE
            if name != _LAST_APPLIED and not name.startswith((_CONTROLLERS, effect_notes.OURS))
        ]

    def merge_patch(self, spec: Object, done: Done, **annotations: str | None) -> Object:
        """Give the merge patch of a part of the spec, refused (409) where anything has changed meanwhile."""
        noted = {**annotations, EFFECTS: effect_notes.noted(self.annotations, done)}
        return {"metadata": {"resourceVersion": self.resource_version, "annotations": noted}, "spec": spec}


def stop_mark(annotations: Mapping[str, str], *, expired: bool = False) -> RunMark | None:
    """Give the mark of the run that keeps it stopped; None where there is none, or it has `expired`.

    A ReplicaSet keeps a copy of both marks, and a person's `kubectl rollout undo` brings them back: what its run has
    ended is none any more. Who stops it again takes the mark of the end away.
    """
    mark = (run_marks.written if expired else run_marks.read)(annotations, STOPPED)
    ended = run_marks.brought_back(annotations, BROUGHT_BACK)
    return None if mark is not None and ended is not None and ended.run == mark.run else mark


def unfinished(deployment: Object) -> tuple[str, bool]:
    """Tell what a rollout still waits for ("" when complete), and whether it has given up.

    The rules are those of `kubectl rollout status`.
    """
    status, replicas = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    if deployment["metadata"]["generation"] > status.get("observedGeneration", 0):
        return "the controller has not seen the change yet", False
    if any(c.get("reason") == "ProgressDeadlineExceeded" for c in conditions(deployment, "Progressing")):
        return "the rollout exceeded its progress deadline", True
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if updated < replicas:
        return f"{updated} of {counted(replicas, 'pod')} updated", False
    if status.get("replicas", 0) > updated:
        return f"{counted(status['replicas'] - updated, 'old pod')} still to end", False
    if available < updated:
        return f"{available} of {counted(updated, 'updated pod')} available", False
    return "", False


def revision(raw: Object) -> int:
    """Give the revision that a Deployment or ReplicaSet has; 0 before the controller has numbered it."""
    text = (raw["metadata"].get("annotations") or {}).get(_REVISION, "")
    return int(text) if text.isdecimal() else 0


def conditions(raw: Object, kind: str) -> list[Object]:
    """Give the conditions of a type; there is at most one."""
    return [c for c in raw.get("status", {}).get("conditions", ()) if c["type"] == kind]


def selector(raw: Object) -> str:
    """Write an object's label selector as a query does."""
    wanted = raw["spec"]["selector"]
    terms = [f"{key}={value}" for key, value in wanted.get("matchLabels", {}).items()]
    write: dict[str, Callable[[str, Iterable[str]], str]] = {
        "In": lambda key, values: f"{key} in ({','.join(values)})",
        "NotIn": lambda key, values: f"{key} notin ({','.join(values)})",
        "Exists": lambda key, _: key,
        "DoesNotExist": lambda key, _: f"!{key}",
    }
    terms += [write[e["operator"]](e["key"], e.get("values", ())) for e in wanted.get("matchExpressions", ())]
    return ",".join(terms)


def version(images: Iterable[str]) -> str:
    """Name a revision by the tags of its images, or the beginning of a digest."""
    return ", ".join(dict.fromkeys(parse(image).shown for image in images))


def controller(raw: Object) -> str | None:
    """Give the UID of what controls an object."""
    owners = raw["metadata"].get("ownerReferences", ())
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)
