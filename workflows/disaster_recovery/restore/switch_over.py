"""The service gets the restored data: fence, point, scale back (runbook 7.3 step 6).

From the approval on there is only the way forward. A fence that was begun can't be taken back in time, and the service
must not stay without replicas: what can't be done is insisted on, and people are told.
"""

from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from temporalio.exceptions import ActivityError

from activities.catalogue.service import Service
from activities.database.backups.backups import Backups, CreateBackup, FollowPrimary
from activities.database.servers.hosts import DatabaseHosts, FenceServer
from activities.kubernetes.database_secrets import DatabaseSecrets, PointAt
from workflows.disaster_recovery.restore.restore_plan import RestorePlan
from workflows.disaster_recovery.restore.write_stop import WriteStop
from workflows.platform import policies
from workflows.platform.runbook import Runbook
from workflows.shared.data_hold import DataHold
from workflows.shared.desk import Desk, insist
from workflows.shared.verification import verify

_MACHINE = timedelta(minutes=10)


class SwitchOver:
    """From the damaged server to the restored one."""

    def __init__(self, run: Runbook, desk: Desk, service: Service, plan: RestorePlan, hold: DataHold) -> None:
        self.run = run
        self.desk = desk
        self.service = service
        self.plan = plan
        self.hold = hold
        self.pointed = False
        self.healthy = False

    async def carry_out(self, writes: WriteStop) -> None:
        """Do all of it; each part is insisted on, and none keeps the next from being done."""
        plan = self.plan
        if not await self._fence():
            self.run.background(self._fence_late())
        # What was restored may know of a stop of writers: of this one, or of one that was in force at its time.
        await writes.open(plan.spare)
        writes.server = plan.spare
        self.pointed = await self._point()
        if writes.users is not None:
            await writes.users.point(self.desk, "7.3/6", plan.spare, plan.primary)
        if not self.pointed:
            await self.desk.escalate(
                f"{self.service.name} could not be pointed at {plan.spare}: correct the Secret {plan.database.secret}"
            )
        await writes.let_write(plan.replicas_after)
        verified = await verify(self.run, "7.3/6", self.service, self.service.scaling.ready_within)
        self.healthy = verified.ok and self.pointed
        if not verified.ok:
            self.run.say("problem", verified.trouble, section="7.3/6")
            await self.desk.escalate(f"{self.service.name} is on {plan.spare}, but {verified.trouble}")

    async def _fence(self) -> bool:
        title, policy = f"Fence {self.plan.primary}", policies.FENCE.lasting(_MACHINE)
        fenced = await self.run.attempt("7.3/6", title, DatabaseHosts.fence, self._fencing(), policy)
        return fenced is not None

    async def _fence_late(self) -> None:
        """Go on trying: a damaged primary that takes writes again would lead somebody astray."""
        undone = f"{self.plan.primary}, which the service has left, is not fenced: make sure that nobody writes to it"
        await self.desk.escalate(undone)
        await self._last(
            insist(
                self.desk,
                "7.3/6",
                f"Fence {self.plan.primary}, late",
                DatabaseHosts.fence,
                self._fencing(),
                undone=undone,
                policy=policies.RELEASE.lasting(_MACHINE),
            ),
            undone,
        )

    def _fencing(self) -> FenceServer:
        plan = self.plan
        return FenceServer(database=plan.database.name, server=plan.primary, effect=self.run.effect("fence"))

    async def _point(self) -> bool:
        plan, secrets = self.plan, self.hold.secrets
        request = PointAt(**dict(secrets), server=plan.spare, instead_of=plan.primary, effect=self.run.effect("point"))
        try:
            await insist(
                self.desk,
                "7.3/6",
                f"Point the service at {plan.spare}",
                DatabaseSecrets.point,
                request,
                undone=f"{self.service.name} has no replicas, and is not yet pointed at {plan.spare}",
            )
        except ActivityError:
            return False
        return True

    async def archive(self) -> None:
        """Have the new primary's log archived, and take a backup: the old ones lead to another history."""
        plan, long = self.plan, policies.RELEASE.lasting(self.plan.database.restore.longest_restore)
        undone = f"{plan.spare}, the new primary, has no backup yet: it could not be restored"
        name, server = plan.database.name, plan.spare
        follow = FollowPrimary(database=name, server=server, effect=self.run.effect("follow"))
        create = CreateBackup(database=name, effect=self.run.effect("backup"))
        followed = insist(
            self.desk, "7.3/6", f"Archive the log of {server}", Backups.follow, follow, undone=undone, policy=long
        )
        await self._last(followed, undone)
        taken = insist(self.desk, "7.3/6", "Take a backup", Backups.create, create, undone=undone, policy=long)
        await self._last(taken, undone)

    async def _last(self, work: Coroutine[Any, Any, object], undone: str) -> None:
        """Do something of which the run's end must not depend."""
        try:
            await work
        except ActivityError:
            await self.desk.escalate(undone)
