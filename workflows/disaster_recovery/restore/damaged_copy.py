"""The damaged data, kept for whoever has to find out what happened; discarded only by somebody's word (runbook 7.3)."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.catalogue.service import Service
from activities.common.errors import Refused
from activities.database.replication.replication import Replication, StandingRequest
from activities.database.servers.hosts import DatabaseHosts, DiscardServer
from activities.kubernetes.database_secrets import DatabaseSecrets, HoldSecret, ReleaseSecret
from workflows.disaster_recovery.restore.restore_plan import RestorePlan
from workflows.platform import policies
from workflows.platform.approval import Question
from workflows.platform.lease import Lease
from workflows.platform.runbook import Runbook
from workflows.shared.data_hold import DataHold
from workflows.shared.desk import Desk

_MACHINE = timedelta(minutes=10)


class DamagedCopy:
    """The server that the service has left, kept for a while; a mark keeps restores away where it is a spare."""

    def __init__(self, run: Runbook, desk: Desk, service: Service, plan: RestorePlan, lasting: timedelta) -> None:
        self.run = run
        self.desk = desk
        self.service = service
        self.plan = plan
        policy = plan.database.restore
        self.lease = Lease.of(f"the damaged copy on {plan.primary}", lasting, policy.longest_forensics)
        self.discarded = False
        self._moving = asyncio.Lock()

    async def mark(self) -> None:
        """Keep restores away from it; they don't come near a server that is no spare anyway."""
        if not self._spare:
            return
        until = max(self.lease.until, workflow.now() + self.plan.database.restore.forensics)
        await self.run.attempt(
            "7.3",
            f"Keep {self.plan.primary}",
            DatabaseSecrets.hold,
            HoldSecret(
                namespace=self.service.namespace,
                secret=self._secret,
                until=until,
                effect=self.run.effect("keep-copy"),
            ),
            policies.EFFECT,
        )

    async def keep(self) -> None:
        """Hold it until the lease ends, then ask; nobody's answer keeps it."""
        server = self.plan.primary
        if self.lease.until == self.lease.acquired_at:
            self.lease.end("nobody waits for it")
            return
        self.run.phase("Damaged copy kept")
        await self.lease.hold(self._moving)
        question = Question(
            id="damaged-copy",
            title=f"Discard the damaged data on {server}?",
            options={
                "keep": f"it stays on {server}, fenced, and this run ends",
                "discard": "it is removed for ever",
            },
            default="keep",
            kind="restore",
            timeout=self.plan.database.restore.discard_timeout,
        )
        self.run.background(self.desk.ask(question))
        answer = await self.run.ask(question, escalate=self.desk.escalate)
        if answer.choice == "discard":
            await self._discard()
        else:
            await self.desk.tell("kept", f":package: The damaged data stays on {server} until somebody discards it.")

    async def _discard(self) -> None:
        server = self.plan.primary
        if workflow.patched("looked-before-the-copy-goes") and (used := await self._in_use()):
            await self.desk.escalate(f"the damaged data on {server} is not discarded: {used}")
            return
        request = DiscardServer(
            database=self.plan.database.name, server=server, effect=self.run.effect("discard-damaged")
        )
        try:
            await self.run.step(
                "7.3", f"Discard {server}", DatabaseHosts.discard, request, policies.EFFECT.lasting(_MACHINE)
            )
        except ActivityError:
            await self.desk.escalate(f"the damaged data on {server} could not be discarded")
            return
        self.discarded = True
        if self._spare:
            await self._free()
        await self.desk.tell("discarded", f":wastebasket: The damaged data on {server} is discarded.")

    async def _in_use(self) -> str:
        """Say why the server may have become somebody's: it was left weeks ago. What can't be read is not fine."""
        server, database = self.plan.primary, self.plan.database
        secrets = DataHold(self.run, "7.3", self.service, database).secrets
        now = await self.run.attempt(
            "7.3", "Which server the service is pointed at", DatabaseSecrets.pointed_at, secrets, policies.READ
        )
        if now is None:
            return "it could not be read where the service is pointed"
        if now.server == server:
            return f"{self.service.name} uses it"
        asked = StandingRequest(database=database.name, servers=(server,))
        standing = await self.run.attempt("7.3", f"Is {server} in use", Replication.standing, asked, policies.READ)
        if standing is None:
            return "it could not be looked at"
        return "it runs, though it was fenced" if standing.servers[server].reachable else ""

    async def _free(self) -> None:
        server = self.plan.primary
        await self.run.attempt(
            "7.3",
            f"{server} is free",
            DatabaseSecrets.release,
            ReleaseSecret(namespace=self.service.namespace, secret=self._secret, effect=self.run.effect("free-copy")),
            policies.EFFECT,
        )

    async def extend(self, by: timedelta) -> None:
        """Move the end, on the mark as well.

        Raises:
            InvalidInput: it has ended, or would last longer than it may.
            Refused: it has ended meanwhile.

        """
        async with self._moving:
            self.lease.check(by)
            self.lease.extend(by)
            await self.mark()
            if self.lease.ended_by:
                raise Refused(f"{self.lease.name} has ended meanwhile ({self.lease.ended_by})")

    @property
    def _spare(self) -> bool:
        return self.plan.database.servers[self.plan.primary].spare

    @property
    def _secret(self) -> str:
        return self.plan.database.servers[self.plan.primary].secret
