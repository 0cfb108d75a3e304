"""Rotating credentials, whatever they lie in (runbook 8.1 step 4): `tensafe-admin secrets rotate`.

A rotation has phases, so that who reads a credential can be restarted between them: a new value is introduced, it takes
the old one's place, and the old one is retired. No value leaves this package: not in a result, an error or a log.
"""

from datetime import timedelta
from typing import Protocol

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.effects import Change, effect
from activities.common.errors import ActivityFailure, Misconfigured
from activities.common.heartbeat import Progress, resume, turns
from activities.credentials.credential import Credential, RotateCredential, Seen, Switched
from activities.credentials.database_roles import DatabaseRoles
from activities.credentials.secret_values import SecretValues
from activities.credentials.secrets_manager import SecretsManager
from activities.kubernetes.deployments import Deployments

_LOOK_EVERY = timedelta(seconds=2)


class _Kept(Protocol):
    """Where credentials of one kind lie."""

    def look(self, of: Credential) -> Seen: ...

    def switch(self, request: RotateCredential) -> Switched: ...

    def retire(self, request: RotateCredential) -> Change: ...


class LookAtCredentials(BaseModel):
    """Which ones."""

    credentials: list[Credential]


class SeenCredentials(BaseModel):
    """What was found of each, in the order of the request."""

    items: list[Seen]

    def __str__(self) -> str:
        can = [seen.name for seen in self.items if not seen.problems]
        return f"can be rotated: {', '.join(can) or 'none'} of {len(self.items)}"


class StillUsed(BaseModel):
    """Whether anybody still uses what is to be retired."""

    credential: Credential
    retired: str
    timeout: timedelta


class Uses(BaseModel):
    """Who does."""

    by: list[str] = Field(description="Application, address, and how often; none where nobody does, or none can tell.")

    def __str__(self) -> str:
        return "; ".join(self.by) or "nobody"


class Credentials:
    """All kinds of credentials. Raises what the place in which one lies raises."""

    def __init__(
        self, values: SecretValues, roles: DatabaseRoles, aws: SecretsManager, deployments: Deployments
    ) -> None:
        self._values = values
        self._roles = roles
        self._deployments = deployments
        self._kinds: dict[str, _Kept] = {"secret": values, "database-roles": roles, "secrets-manager": aws}

    @activity.defn(name="credentials.look")
    def look(self, request: LookAtCredentials) -> SeenCredentials:
        """Tell which can be rotated, and what people should know before: whose restart takes it down, for example.

        What can't be looked at can't be rotated: that is in the answer, and no failure.
        """
        items = []
        for of in request.credentials:
            seen = self._kinds[of.policy.kind].look(of)
            for name in of.policy.deployments:
                seen.problems += self._in_the_way(of.namespace, name)
            items.append(seen)
        return SeenCredentials(items=items)

    @activity.defn(name="credentials.introduce")
    @effect
    def introduce(self, request: RotateCredential) -> Change:
        """Have a new value accepted beside the old one.

        Raises:
            Misconfigured: its kind has no such phase.

        """
        if request.policy.kind != "secret" or not request.policy.overlap_key:
            raise Misconfigured(f"{request.name} has no overlap_key")
        return self._values.introduce(request)

    @activity.defn(name="credentials.switch")
    @effect
    def switch(self, request: RotateCredential) -> Switched:
        """Put the new value in the old one's place."""
        return self._kinds[request.policy.kind].switch(request)

    @activity.defn(name="credentials.still_used")
    def still_used(self, request: StillUsed) -> Uses:
        """Wait until nobody uses the old one any more; whoever does so in the end is named.

        Only a database tells: of all others, nobody is named.
        """
        of = request.credential
        if of.policy.kind != "database-roles" or not request.retired:
            return Uses(by=[])
        by: list[str] = []
        for _ in turns(resume(Progress), within=request.timeout, every=_LOOK_EVERY):
            if not (by := self._roles.sessions(of, request.retired)):
                break
        return Uses(by=by)

    @activity.defn(name="credentials.retire")
    @effect
    def retire(self, request: RotateCredential) -> Change:
        """End the old value."""
        return self._kinds[request.policy.kind].retire(request)

    def _in_the_way(self, namespace: str, name: str) -> list[str]:
        """Tell why a reader can't be restarted without an interruption."""
        try:
            spec = self._deployments.read(namespace, name).raw["spec"]
        except ActivityFailure as error:
            return [f"deployment/{name}: {error.message}"]
        wrong: list[str] = []
        if spec.get("paused"):
            wrong.append(f"deployment/{name} is paused")
        if spec.get("replicas", 1) and (spec.get("strategy") or {}).get("type") == "Recreate":
            wrong.append(f"deployment/{name} is recreated at a restart: it would be away meanwhile")
        return wrong
