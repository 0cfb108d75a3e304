"""Rotating credentials while the service goes on (runbook 8.1 step 4): `tensafe-admin secrets rotate`.

All that are rotated together go through their phases together, and whoever reads any of them is restarted once for each
phase, one Deployment after another. Nothing old is ended before every reader is known to have the new one.
"""

import asyncio
from datetime import UTC, datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError, ChildWorkflowError, WorkflowAlreadyStartedError

from activities.credentials.credential import Credential, RotateCredential, Seen
from activities.credentials.credentials import Credentials, LookAtCredentials, StillUsed
from activities.credentials.secrets_manager import ROTATES_WITHIN
from activities.kubernetes.cluster import AwaitRollout, Kubernetes, RestartRollout
from activities.monitoring.health import HealthChecks, SteadyRequest
from workflows.platform import policies
from workflows.platform.approval import Question
from workflows.platform.cancelling import cancel_kept
from workflows.platform.resets import child_before_reset
from workflows.security.api_key_rotation import ApiKeyRotation, ApiKeyRotationRequest, ApiKeyRotationResult
from workflows.security.asking import ask
from workflows.shared.desk import Desk

ALL, _NAMED, _NONE = "all", "named", "none"
_END, _LEAVE = "end", "leave"
_RESTARTS = ("restart with both", "restart with the new", "restart without the old")
_RANKS = ("introduce", _RESTARTS[0], "switch", _RESTARTS[1], "retire", _RESTARTS[2])
_RETIRED_WITHIN = timedelta(seconds=45)
"""On all servers of a database: some may not answer."""

_DRAINED_WITHIN = timedelta(minutes=1)
"""For pods that end: they may finish what they do."""
_HEALTHY_WITHIN = timedelta(seconds=30)


class Rotation:
    """The credentials of one incident, and how far each has come."""

    def __init__(self, desk: Desk, *, named: list[str], tenants: list[str]) -> None:
        self.desk = desk
        self.run = desk.run
        self.policy = desk.service.security
        self.keys: dict[str, str] = {}
        """By tenant: what became of its API key."""
        self._named = list(self.policy.credentials) if named == [ALL] else named
        self._tenants = tenants
        self._todo: dict[str, list[str]] = {}
        """By credential: what is still to be done, once it has begun."""
        self._tokens: dict[str, str] = {}
        self._retired: dict[str, str] = {}
        self._restarted: dict[str, datetime] = {}
        self._asked = 0

    async def follow(self) -> None:
        """Have people say which are rotated, and rotate them; again until they want no more."""
        await asyncio.gather(self._credentials(), *(self._api_key(tenant) for tenant in self._tenants))

    def ended(self) -> dict[str, str]:
        """Say what became of each."""
        told = {name: _stand(todo) for name, todo in self._todo.items()}
        told |= dict.fromkeys((name for name in self.policy.credentials if name not in told), "not rotated")
        return told | {f"API key of {tenant}": what for tenant, what in self.keys.items()}

    def held(self) -> list[str]:
        """Say what is half done."""
        return [f"{name}: {_stand(todo)}" for name, todo in self._todo.items() if todo]

    # -- credentials of the service --------------------------------------------------------------------------

    async def _credentials(self) -> None:
        if not self.policy.credentials:
            self.run.say("decision", "settings name no credential that could be rotated", section="8.1/4")
            return
        while seen := await self._look():
            chosen = await self._choose(seen)
            if not chosen:
                return
            await self._rotate(chosen, seen)
            if self.run.dry_run:
                return
        self.run.say("decision", f"8.1/4 is done with: {', '.join(self._todo) or 'nothing'}", section="8.1/4")

    async def _look(self) -> dict[str, Seen]:
        """Read what can be rotated now; none where nothing can be, or it can't be read."""
        left = [name for name in self.policy.credentials if self._todo.get(name) != []]
        request = LookAtCredentials(credentials=[self._credential(name) for name in left])
        found = await self.run.attempt(
            "8.1/4", "What can be rotated", Credentials.look, request, policies.READ.lasting(timedelta(minutes=1))
        )
        if found is None:
            await self.desk.escalate("which credentials can be rotated can't be read: none is")
            return {}
        for seen in found.items:
            for problem in seen.problems:
                self.run.say("problem", f"{seen.name} can't be rotated by this run: {problem}", section="8.1/4")
        # What has begun goes on whatever a look says: its roles, for one, have changed places.
        return {seen.name: seen for seen in found.items if not seen.problems or seen.name in self._todo}

    async def _choose(self, seen: dict[str, Seen]) -> list[str]:
        named = [name for name in self._named if name in seen]
        if self.run.dry_run:
            self.run.say("decision", f"would ask which of {', '.join(seen)} to rotate", section="8.1/4")
            return named or list(seen)
        self._asked += 1
        options = {name: f"rotate it: {self._readers_told([name])}" for name in seen}
        if len(named) > 1:
            options[_NAMED] = f"rotate those that the incident was started with: {', '.join(named)}"
        options[ALL] = f"rotate all {len(seen)}, which takes two people: {self._readers_told(list(seen))}"
        options[_NONE] = "rotate none"
        question = Question(
            id=f"rotate-{self._asked}",
            title="Which credentials are rotated?",
            options=options,
            recommended=(_NAMED if len(named) > 1 else named[0]) if named else None,
            default=_NONE,
            kind="contain",
            two_for=[ALL],
            evidence=[*self.held(), *(told for each in seen.values() for told in each.told)],
            timeout=self.policy.decision_timeout,
        )
        choice = (await ask(self.desk, question)).choice
        return {ALL: list(seen), _NAMED: named, _NONE: []}.get(choice, [choice])

    async def _rotate(self, names: list[str], seen: dict[str, Seen]) -> None:
        for name in names:
            self._tokens.setdefault(name, str(workflow.uuid4()))
            self._todo.setdefault(name, _ranks(seen[name]))
        for rank in _RANKS:
            batch = [name for name in names if self._todo[name][:1] == [rank]]
            if not batch:
                continue
            if rank in _RESTARTS:
                if not await self._restart(batch):
                    await self.desk.escalate(f"{', '.join(batch)}: who reads it is not all restarted; nothing is ended")
                    return
                done = batch
            else:
                ended = await asyncio.gather(*(self._do(rank, name) for name in batch))
                done = [name for name, well in zip(batch, ended, strict=True) if well]
            for name in done:
                self._todo[name].pop(0)
        if left := [name for name in names if self._todo[name]]:
            await self.desk.escalate("; ".join(f"{name}: {_stand(self._todo[name])}" for name in left))

    async def _do(self, phase: str, name: str) -> bool:
        if phase == "retire" and not await self._may_end(name):
            return False
        request = RotateCredential(
            **self._credential(name).model_dump(),
            token=self._tokens[name],
            retired=self._retired.get(name, ""),
            effect=self.run.effect(f"{phase}-{name}"),
        )
        if phase == "introduce":
            method = Credentials.introduce
            return await self.run.attempt("8.1/4", f"Introduce {name}", method, request, policies.EFFECT) is not None
        if phase == "retire":
            end, lasting = Credentials.retire, policies.EFFECT.lasting(_RETIRED_WITHIN)
            return await self.run.attempt("8.1/4", f"End the old {name}", end, request, lasting) is not None
        # Where AWS rotates it, that takes its time.
        lasting = policies.EFFECT.lasting(ROTATES_WITHIN)
        switched = await self.run.attempt("8.1/4", f"Switch {name}", Credentials.switch, request, lasting)
        if switched is not None:
            self._retired[name] = switched.retired
        return switched is not None

    async def _may_end(self, name: str) -> bool:
        """Tell whether the old one may end: nobody uses it any more, or a person says so."""
        if self.run.dry_run:
            return True
        request = StillUsed(
            credential=self._credential(name), retired=self._retired.get(name, ""), timeout=_DRAINED_WITHIN
        )
        uses = await self.run.attempt(
            "8.1/4",
            f"Who still uses the old {name}",
            Credentials.still_used,
            request,
            policies.WAIT.lasting(_DRAINED_WITHIN),
        )
        if uses is not None and not uses.by:
            return True
        self._asked += 1
        question = Question(
            id=f"end-{self._asked}",
            title=f"The old {name} is still used. End it?",
            options={_END: "whoever uses it is thrown out", _LEAVE: "it goes on working, also for an intruder"},
            default=_LEAVE,
            kind="contain",
            evidence=uses.by if uses is not None else ["who uses it can't be read"],
            timeout=self.policy.decision_timeout,
        )
        return (await ask(self.desk, question)).choice == _END

    async def _restart(self, names: list[str]) -> bool:
        """Restart who reads any of them, one after another; stops at the first that doesn't come up."""
        for reader in self._readers(names):
            # Kubernetes knows a restart by its second: a second one within it would be none.
            at = max(
                workflow.now(), self._restarted.get(reader, datetime.min.replace(tzinfo=UTC)) + timedelta(seconds=1)
            )
            self._restarted[reader] = at
            request = RestartRollout(
                namespace=self.desk.service.namespace,
                deployment=reader,
                restarted_at=at,
                effect=self.run.effect(f"restart-{reader}"),
            )
            begun = await self.run.attempt(
                "8.1/4", f"Restart {reader}", Kubernetes.restart_rollout, request, policies.EFFECT
            )
            if begun is None:
                return False
            if self.run.dry_run:
                continue
            within = self.policy.restart_within
            rollout = await self.run.attempt(
                "8.1/4",
                f"Rollout of {reader}",
                Kubernetes.await_rollout,
                AwaitRollout(namespace=self.desk.service.namespace, deployment=reader, timeout=within),
                policies.WAIT.lasting(within),
            )
            if rollout is None or not rollout.complete:
                return False
            health = await self.run.attempt(
                "8.1/4",
                "Health",
                HealthChecks.steady,
                SteadyRequest(url=self.desk.service.health_url, steady_for=timedelta(0), give_up_after=_HEALTHY_WITHIN),
                policies.WAIT.lasting(_HEALTHY_WITHIN),
            )
            if health is None or not health.steady:
                return False
        return True

    def _readers(self, names: list[str]) -> list[str]:
        return list(dict.fromkeys(reader for name in names for reader in self._credential(name).policy.deployments))

    def _readers_told(self, names: list[str]) -> str:
        return f"restarts {', '.join(self._readers(names))}, one after another"

    def _credential(self, name: str) -> Credential:
        service, policy = self.desk.service, self.policy.credentials[name]
        database, copies, spares, servers = service.database, list[str](), list[str](), list[str]()
        if database is not None and policy.kind == "database-roles" and policy.secret == database.secret:
            # 7.1 and 7.3 know where the service's data is by comparing its Secret with these: after a restore that is
            # on a spare, and the next restore points the service at one.
            copies = [server.secret for server in database.servers.values() if not server.spare]
            spares = [server.secret for server in database.servers.values() if server.spare]
        if database is not None and policy.database == database.name:
            servers = [name for name, server in database.servers.items() if not server.spare]
        readers = policy.deployments or (service.deployment,)
        return Credential(
            namespace=service.namespace,
            name=name,
            policy=policy.model_copy(update={"deployments": readers}),
            copies=sorted({*copies} - {policy.secret}),
            spares=sorted({*spares} - {policy.secret}),
            servers=servers,
        )

    # -- API keys of customers -------------------------------------------------------------------------------

    async def _api_key(self, tenant: str) -> None:
        """Have 8.2 replace a tenant's key: a run of its own, which asks before the old one ends."""
        name = f"{workflow.info().workflow_id}/api-key-{tenant}"
        request = ApiKeyRotationRequest(
            service=self.desk.service.name,
            tenant_id=tenant,
            compromised=True,
            reason="security incident",
            requested_by=self.run.actor,
            dry_run=self.run.dry_run,
        )
        self.keys[tenant] = f"{name} is at it"
        self.run.say("step", f"The API key of {tenant} is rotated by a run of its own: {name}", section="8.1/4")
        try:
            before = await child_before_reset(self.run, "8.1/4", name)
            if before is not None and before.failure:
                await self._key_not_rotated(tenant, name, before.failure)
                return
            if before is not None:
                result = ApiKeyRotationResult.model_validate(before.result)
            else:
                with cancel_kept():
                    result = await workflow.execute_child_workflow(
                        ApiKeyRotation.run,
                        request,
                        id=name,
                        memo=self.run.began,
                        static_summary=f"API key of {tenant}, {self.desk.id}",
                        parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                    )
        except WorkflowAlreadyStartedError:
            self.keys[tenant] = f"{name} is open from before"
        except ChildWorkflowError as error:
            cause = error.cause
            why = cause.message if isinstance(cause, ApplicationError) else str(cause or error)
            await self._key_not_rotated(tenant, name, why)
        else:
            self.keys[tenant] = "rotated" if result.rotated else "not rotated"
            self.run.say("decision", f"API key of {tenant}: {self.keys[tenant]}", section="8.1/4")

    async def _key_not_rotated(self, tenant: str, name: str, why: str) -> None:
        self.keys[tenant] = f"not rotated: {why}"
        self.run.say("problem", f"The API key of {tenant}: {why}", section="8.1/4")
        await self.desk.escalate(f"the API key of {tenant} was not rotated: look at {name}")


def _ranks(seen: Seen) -> list[str]:
    """Give what a rotation consists of, in order."""
    ranks = list[str]()
    for rank, restart in zip(_RANKS[::2], _RANKS[1::2], strict=True):
        if rank in seen.phases:
            ranks.append(rank)
            if rank == "switch" or seen.overlaps:
                ranks.append(restart)
    return ranks


def _stand(todo: list[str]) -> str:
    """Say how far it is, by what comes next."""
    if not todo:
        return "rotated"
    if todo[0] in {"introduce", "switch", _RESTARTS[0]}:
        return "not rotated: the old one is in use"
    if todo[0] == _RESTARTS[2]:
        return "rotated; who reads it may still accept the old one until its restart"
    return "the new one is in use, and the old one still counts"
