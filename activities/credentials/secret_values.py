"""A value in a Kubernetes Secret (runbook 8.1 step 4).

Whoever reads it accepts two values where settings name an `overlap_key`. Then the new one lies there first, until all
readers know it; then the two change places; then the old one goes. Without an overlap there is one change.
"""

import base64
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from activities.common.effects import Change, Effect
from activities.common.errors import ActivityFailure, Misconfigured, Refused
from activities.credentials.credential import Credential, RotateCredential, Seen, Switched
from activities.kubernetes import effect_notes, run_marks
from activities.kubernetes.api import Object, ask
from activities.kubernetes.changing import Plan, change, patch
from activities.kubernetes.database_secrets import HOLD
from activities.kubernetes.effect_notes import EFFECTS, Done
from activities.kubernetes.run_marks import RunMark

if TYPE_CHECKING:
    from libraries import kubernetes

ROTATION = "runbooks.dev/rotation"
"""The mark of the run that rotates it: it keeps other rotations away, and expires by itself."""

_LONGEST = timedelta(hours=6)
_BYTES = 32


def new_value() -> str:
    """Make one: 256 bits, of letters that need no quoting anywhere."""
    return secrets.token_urlsafe(_BYTES)


class KeptSecret:
    """A Secret as the API has it. Its values stay here."""

    def __init__(self, raw: Object) -> None:
        self.raw = raw
        self.name: str = raw["metadata"]["name"]
        self.annotations: dict[str, str] = raw["metadata"].get("annotations") or {}

    def value(self, key: str) -> str:
        """Give the text under a key; empty where there is none.

        Raises:
            Misconfigured: it is not text.

        """
        try:
            return base64.b64decode((self.raw.get("data") or {}).get(key) or "", validate=True).decode()
        except ValueError:
            raise Misconfigured(f"secret/{self.name}: its {key!r} is not text") from None

    def free_for(self, effect: Effect) -> None:
        """Refuse it where another run rotates it, or keeps where the service's data is.

        Raises:
            Refused: names that run, and until when.

        """
        for name, does in ((ROTATION, "rotates it"), (HOLD, "changes where the service's data is")):
            mark = run_marks.read(self.annotations, name)
            if mark is not None and mark.run != effect.workflow_id:
                raise Refused(f"secret/{self.name} is held by {mark}, which {does}: wait for it, or cancel it")

    def patch(self, effect: Effect, done: Done | None, data: dict[str, str | None], *, marked: bool) -> Object:
        """Give a merge patch, refused (409) where anything has changed meanwhile; None removes a key."""
        mark = RunMark(run=effect.workflow_id, until=datetime.now(UTC) + _LONGEST).model_dump_json(exclude_none=True)
        notes = {EFFECTS: effect_notes.noted(self.annotations, done)} if done is not None else {}
        encoded = {
            key: value if value is None else base64.b64encode(value.encode()).decode() for key, value in data.items()
        }
        annotations = {**notes, ROTATION: mark if marked else None}
        version = self.raw["metadata"]["resourceVersion"]
        return {"metadata": {"resourceVersion": version, "annotations": annotations}, "data": encoded}


class KeptSecrets:
    """The Secrets of one cluster. Raises what `Kubernetes` raises, `NotFound` where one is not there."""

    def __init__(self, core: "kubernetes.CoreV1Api") -> None:
        self._core = core

    def read(self, namespace: str, name: str) -> KeptSecret:
        """Read one."""
        return KeptSecret(ask(self._core.read_namespaced_secret, name, namespace))

    def change(self, namespace: str, name: str, effect: Effect, plan: Callable[[KeptSecret], Plan]) -> Change:
        """Change one once, unless another run holds it.

        Raises:
            Refused: another run holds it. Also what `plan` raises.

        """

        def careful(found: KeptSecret) -> Plan:
            found.free_for(effect)
            return plan(found)

        send = self._core.patch_namespaced_secret
        return change(
            f"secret/{name}",
            effect,
            read=lambda: self.read(namespace, name),
            notes=lambda found: [found.annotations],
            plan=careful,
            send=lambda body: patch(send, name, namespace, body=body, dry_run=effect.dry_run),
        )


class SecretValues:
    """Rotates values in Secrets; raises what `KeptSecrets` raises."""

    def __init__(self, kept: KeptSecrets) -> None:
        self._kept = kept

    def look(self, of: Credential) -> Seen:
        """Tell whether it can be rotated."""
        policy = of.policy
        seen = Seen(name=of.name, phases=["introduce", "switch", "retire"] if policy.overlap_key else ["switch"])
        try:
            found = self._kept.read(of.namespace, policy.secret)
            if not found.value(policy.key):
                seen.problems.append(f"secret/{policy.secret} has no {policy.key!r}")
            if mark := run_marks.read(found.annotations, ROTATION):
                seen.told.append(f"{of.name}: is rotated already, by {mark}")
            if policy.overlap_key and found.value(policy.overlap_key):
                seen.told.append(f"{of.name}: its {policy.overlap_key!r} still holds a value, which goes")
        except ActivityFailure as error:
            seen.problems.append(error.message)
        if not policy.overlap_key:
            seen.told.append(f"{of.name}: has no overlap_key: old and new readers differ during their restart")
        return seen

    def introduce(self, request: RotateCredential) -> Change:
        """Put a new value beside the old one; everybody goes on using the old one."""
        policy, effect = request.policy, request.effect

        def plan(found: KeptSecret) -> Plan:
            data: dict[str, str | None] = {policy.overlap_key: new_value()}
            return Plan(
                "", f"a new value under {policy.overlap_key}", lambda done: found.patch(effect, done, data, marked=True)
            )

        return self._kept.change(request.namespace, policy.secret, effect, plan)

    def switch(self, request: RotateCredential) -> Switched:
        """Let the new value be the one that is used.

        Raises:
            Refused: the new value, or this run's mark on it, is not there any more.

        """
        policy, effect = request.policy, request.effect

        def plan(found: KeptSecret) -> Plan:
            data: dict[str, str | None] = {policy.key: new_value()}
            if policy.overlap_key:
                mark = run_marks.written(found.annotations, ROTATION)
                new = found.value(policy.overlap_key)
                # Planning, nothing was introduced.
                if not effect.dry_run and (mark is None or mark.run != effect.workflow_id or not new):
                    raise Refused(f"secret/{policy.secret}: the new value is not there any more; rotate it again")
                data = {policy.key: new or new_value(), policy.overlap_key: found.value(policy.key)}
            return Plan(
                "",
                f"a new value under {policy.key}",
                lambda done: found.patch(effect, done, data, marked=bool(policy.overlap_key)),
            )

        done = self._kept.change(request.namespace, policy.secret, effect, plan)
        return Switched(**done.model_dump())

    def retire(self, request: RotateCredential) -> Change:
        """Remove the old value."""
        policy, effect = request.policy, request.effect

        def plan(found: KeptSecret) -> Plan:
            return Plan(
                "",
                f"nothing under {policy.overlap_key} any more",
                lambda done: found.patch(effect, done, {policy.overlap_key: None}, marked=False),
            )

        return self._kept.change(request.namespace, policy.secret, effect, plan)
