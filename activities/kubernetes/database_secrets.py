"""The Kubernetes Secret of the service's DATABASE_URL, and pointing it at another server (runbook 7.1 step 3).

The runbook sets the Deployment's environment. A Secret's content is changed here instead: the next `helm upgrade` or
`rollout undo` would otherwise lead the service back to the failed server. What is in a Secret reaches no history: which
server it points at is told by comparing it with the servers' own Secrets, here.

A run that changes where the service's data is holds the Secret meanwhile, by a mark with an end in an annotation. So of
two such runs one is refused; the mark of a run that was terminated expires.
"""

import base64
import binascii
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.effects import Change, Effect, effect
from activities.common.errors import Misconfigured, Refused
from activities.kubernetes import effect_notes, run_marks
from activities.kubernetes.api import Object, ask
from activities.kubernetes.changing import Plan, change, patch
from activities.kubernetes.effect_notes import EFFECTS, Done
from activities.kubernetes.run_marks import RunMark
from libraries import kubernetes

HOLD = "runbooks.dev/hold"


class DatabaseSecretRequest(BaseModel):
    """The service's Secret, and those of the servers it may be equal to."""

    namespace: str
    secret: str
    key: str = "url"
    servers: dict[str, str] = Field(description="Server → its Secret in the same namespace.")


class PointedAt(BaseModel):
    """Which server the service is pointed at."""

    server: str | None = Field(description="None where it is none of them.")
    compared: bool = Field(default=True, description="False where only who holds the Secret was asked.")
    held_by: str | None = Field(default=None, description="Workflow ID of the run that holds the Secret now.")
    held_until: datetime | None = None

    def __str__(self) -> str:
        held = f"held by {self.held_by} until {self.held_until:%H:%M:%S %Z}" if self.held_by else ""
        if not self.compared:
            return held or "nobody holds it"
        return f"{self.server or 'none of the servers that settings know'}{', ' if held else ''}{held}"


class PointAt(DatabaseSecretRequest):
    """Give the service's Secret the content of a server's Secret. Pods see it when they are replaced."""

    server: str
    instead_of: str | None = Field(default=None, description="The server it was seen at; refused where it is another.")
    effect: Effect


class HoldSecret(BaseModel):
    """Keep other runs from changing where the service's data is; again, to move the end."""

    namespace: str
    secret: str
    until: datetime
    effect: Effect


class ReleaseSecret(BaseModel):
    """Let the Secret go; not applied where this run doesn't hold it."""

    namespace: str
    secret: str
    effect: Effect


class _Found:
    """The service's Secret as the API has it."""

    def __init__(self, raw: Object) -> None:
        self.raw = raw
        self.annotations: dict[str, str] = raw["metadata"].get("annotations") or {}

    @property
    def mark(self) -> RunMark | None:
        """Who holds it; None where nobody does, or the hold has expired."""
        return run_marks.read(self.annotations, HOLD)

    def free_for(self, effect: Effect) -> None:
        """Refuse it where another run holds it.

        Raises:
            Refused: names that run, and until when.

        """
        if self.mark and self.mark.run != effect.workflow_id:
            raise Refused(
                f"{self.target} is held by {self.mark}: it changes where the service's data is. Wait for that run, or "
                "cancel it"
            )

    def patch(self, done: Done, *, annotations: dict[str, str | None], data: dict[str, str]) -> Object:
        """Give a merge patch, refused (409) where anything has changed meanwhile; None removes an annotation."""
        noted = {**annotations, EFFECTS: effect_notes.noted(self.annotations, done)}
        version = self.raw["metadata"]["resourceVersion"]
        return {"metadata": {"resourceVersion": version, "annotations": noted}, "data": data}

    @property
    def target(self) -> str:
        return f"secret/{self.raw['metadata']['name']}"


class DatabaseSecrets:
    """The Secrets of services' databases on one cluster.

    Raises from every method what `Kubernetes` raises, and `NotFound` where one of the Secrets is not there.
    """

    def __init__(self, api: "kubernetes.ApiClient") -> None:
        self._core = kubernetes.CoreV1Api(api)

    @activity.defn(name="database_secrets.pointed_at")
    def pointed_at(self, request: DatabaseSecretRequest) -> PointedAt:
        """Tell which server the service is pointed at: the one whose Secret has the same content (7.1 step 1).

        Raises:
            Misconfigured: a Secret has no such key, or two servers' Secrets have the same content.

        """
        found = self._read(request.namespace, request.secret)
        mark = found.mark
        return PointedAt(
            server=self._pointed_at(found, request),
            compared=bool(request.servers),
            held_by=mark.run if mark else None,
            held_until=mark.until if mark else None,
        )

    @activity.defn(name="database_secrets.point")
    @effect
    def point(self, request: PointAt) -> Change:
        """Point the service at a server (7.1 step 3, 7.3), where the page has `kubectl set env`.

        Raises:
            Misconfigured: a Secret has no such key, or two servers' Secrets have the same content.
            Refused: the service is pointed elsewhere than was seen, or another run holds the Secret.

        """

        def plan(found: _Found) -> Plan:
            found.free_for(request.effect)
            now = self._pointed_at(found, request)
            if request.server not in request.servers:
                raise Misconfigured(f"{request.server!r} is not among the servers: {', '.join(request.servers)}")
            before, after = now or "another server", request.server
            if now == request.server:
                return Plan(before, f"already {after}")
            if request.instead_of is not None and now != request.instead_of:
                raise Refused(
                    f"the service is pointed at {before} now, no longer at {request.instead_of}: somebody has changed "
                    f"{found.target} meanwhile"
                )
            value = self._read(request.namespace, request.servers[request.server]).raw["data"][request.key]
            return Plan(before, after, lambda done: found.patch(done, annotations={}, data={request.key: value}))

        return self._change(request, plan)

    @activity.defn(name="database_secrets.hold")
    @effect
    def hold(self, request: HoldSecret) -> Change:
        """Hold the Secret for the run, or move its hold's end.

        Raises:
            Refused: another run holds it; names that run, and until when.

        """
        mark = RunMark(run=request.effect.workflow_id, until=request.until)

        def plan(found: _Found) -> Plan:
            found.free_for(request.effect)
            after = f"held until {request.until:%H:%M:%S %Z}"
            before = "held" if found.mark else "free"
            annotations: dict[str, str | None] = {HOLD: mark.model_dump_json()}
            return Plan(before, after, lambda done: found.patch(done, annotations=annotations, data={}))

        return self._change(request, plan)

    @activity.defn(name="database_secrets.release")
    @effect
    def release(self, request: ReleaseSecret) -> Change:
        """Let the Secret go."""

        def plan(found: _Found) -> Plan:
            mark = run_marks.written(found.annotations, HOLD)
            if mark is None:
                return Plan("free", "already free")
            if mark.run != request.effect.workflow_id:
                return Plan(f"held by {mark.run}", "left to that run")
            return Plan("held", "free", lambda done: found.patch(done, annotations={HOLD: None}, data={}))

        return self._change(request, plan)

    def marked(self, namespace: str, secret: str) -> RunMark | None:
        """Give the mark of a run on a Secret, an expired one too."""
        return run_marks.written(self._read(namespace, secret).annotations, HOLD)

    def _change(self, request: PointAt | HoldSecret | ReleaseSecret, plan: Callable[[_Found], Plan]) -> Change:
        send = self._core.patch_namespaced_secret
        where, effect = (request.secret, request.namespace), request.effect
        return change(
            f"secret/{request.secret}",
            effect,
            read=lambda: self._read(request.namespace, request.secret),
            notes=lambda found: [found.annotations],
            plan=plan,
            send=lambda body: patch(send, *where, body=body, dry_run=effect.dry_run),
        )

    def _pointed_at(self, found: _Found, request: DatabaseSecretRequest) -> str | None:
        value = _value(found, request.key)
        of_servers = {
            server: _value(self._read(request.namespace, secret), request.key)
            for server, secret in request.servers.items()
        }
        if len(set(of_servers.values())) < len(of_servers):
            same = ", ".join(s for s, v in of_servers.items() if list(of_servers.values()).count(v) > 1)
            raise Misconfigured(f"the Secrets of {same} have the same {request.key}: each server needs its own URL")
        return next((server for server, theirs in of_servers.items() if theirs == value), None)

    def _read(self, namespace: str, name: str) -> _Found:
        return _Found(ask(self._core.read_namespaced_secret, name, namespace))


def _value(found: _Found, key: str) -> str:
    data: dict[str, Any] = found.raw.get("data") or {}
    try:
        return base64.b64decode(data[key], validate=True).decode().strip()
    except KeyError:
        raise Misconfigured(f"{found.target} has no key {key!r}; it has: {', '.join(data) or 'none'}") from None
    except (binascii.Error, UnicodeDecodeError):
        raise Misconfigured(f"{found.target}: its {key!r} is not text") from None
