"""All that uses a database beside the service's own Deployment: its other workloads, and other services (runbook 7).

They are stopped with the service and given back as they were. What moves the database moves their Secrets too; a
service whose settings don't know the new server is left alone, and named before anything is done.
"""

import asyncio
import contextlib
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.catalogue.database import DatabasePolicy
from activities.catalogue.lookup import Catalogue, UsersOfDatabase
from activities.catalogue.service import Service
from activities.catalogue.workloads import DatabaseUser
from activities.common.errors import Refused
from activities.database.replication.slots import LogicalReplication, LogicalSlots
from activities.database.servers.poolers import PausePooler, Poolers, ReconnectPooler
from activities.database.servers.servers import OnServer
from activities.kubernetes.database_secrets import DatabaseSecrets, HoldSecret, PointAt, ReleaseSecret
from activities.kubernetes.workload_holds import WorkloadHolds
from workflows.platform import policies
from workflows.platform.runbook import Runbook
from workflows.platform.steps import reason
from workflows.shared.desk import Desk, insist
from workflows.shared.other_workloads import OtherWorkloads, WorkloadIn, or_tell

_ENDING = timedelta(seconds=10)
_POOLERS_WITHIN = timedelta(seconds=30)
"""A pooler that doesn't answer is waited for so long before the service's pods come back without it."""


class UsersOfTheDatabase:
    """The others, as one run sees, stops and moves them."""

    def __init__(self, run: Runbook, service: Service, database: DatabasePolicy) -> None:
        self.run = run
        self.service = service
        self.database = database
        self.others: list[DatabaseUser] = []
        self.doubt = ""
        """What could not be stopped, or still runs."""
        self.workloads = OtherWorkloads(run, service)
        self._held: list[DatabaseUser] = []

    async def find(self, section: str) -> None:
        """Look up which other services there are.

        Raises:
            ActivityError: the catalogue doesn't answer.

        """
        asked = UsersOfDatabase(database=self.database.name, besides=self.service.name)
        found = await self.run.step(
            section, "Who else uses the database", Catalogue.users_of_database, asked, policies.READ
        )
        self.others = found.items

    @property
    def poolers(self) -> list[str]:
        """All that this service and the others use; none in runs from before there were any in settings."""
        named = [*self.database.poolers, *(name for user in self.others for name in user.poolers)]
        return list(dict.fromkeys(named))

    def plan(self, server: str) -> list[str]:
        """Say of each other service, and of each pooler, what becomes of it when the database is on a server."""
        poolers = [f"Pooler {pooler}: its clients are sent to {server}" for pooler in self.poolers]
        return poolers + [
            f"{user.service} uses this database too: "
            + (f"it is pointed at {server} as well" if server in user.servers else self._left(user, server))
            for user in self.others
        ]

    async def logical(self, section: str, server: str) -> LogicalReplication | None:
        """Read the logical slots and subscriptions of a server; None where it can't be asked."""
        at = OnServer(database=self.database.name, server=server)
        return await self.run.attempt(section, f"Logical slots of {server}", LogicalSlots.read, at, policies.READ)

    # -- hold --------------------------------------------------------------------------------------------

    async def take(self, section: str, lasting: timedelta) -> None:
        """Hold the Secrets of the others as well.

        Raises:
            Refused: another run changes where one of them is.

        """
        for user in self.others:
            request = HoldSecret(
                namespace=user.namespace,
                secret=user.secret,
                until=workflow.now() + lasting,
                effect=self.run.effect(f"hold-{user.service}"),
            )
            try:
                await self.run.step(
                    section, f"Keep other runs away from {user.service}", DatabaseSecrets.hold, request, policies.EFFECT
                )
            except ActivityError as error:
                raise Refused(f"{user.service} uses {self.database.name} too: {reason(error)}") from error
            if user not in self._held:
                self._held.append(user)

    async def release(self, section: str) -> None:
        """Let them go; where that doesn't succeed, the holds end by themselves."""
        if self.run.dry_run:
            return
        for user in self._held:
            request = ReleaseSecret(
                namespace=user.namespace, secret=user.secret, effect=self.run.effect(f"release-{user.service}")
            )
            await self.run.attempt(
                section, f"Let other runs at {user.service}", DatabaseSecrets.release, request, policies.EFFECT
            )
        self._held = []

    # -- stop and give back ------------------------------------------------------------------------------

    async def stop(self, section: str, until: datetime) -> None:
        """Stop them all, and wait until nothing of them runs; what can't be stopped or still runs is a doubt."""
        self.doubt = "; ".join(await self.workloads.stop(section, self._all, until))

    async def give_back(self, desk: Desk, section: str) -> None:
        """Give back each that was stopped; each though another fails."""
        await self.workloads.give_back(desk, section)

    # -- poolers -----------------------------------------------------------------------------------------

    async def pause_poolers(self, section: str, within: timedelta) -> None:
        """Have clients wait in the poolers. One that can't be paused is told: the database keeps writers out anyway."""
        await asyncio.gather(*(self._pause(section, pooler, within) for pooler in self.poolers))

    async def _pause(self, section: str, pooler: str, within: timedelta) -> None:
        request = PausePooler(
            database=self.database.name, pooler=pooler, within=within, effect=self.run.effect(f"pause-{pooler}")
        )
        limit = policies.COLLECT.lasting(within + _ENDING)
        await self.run.attempt(section, f"Pause pooler {pooler}", Poolers.pause, request, limit)

    async def reconnect_poolers(self, desk: Desk, section: str, server: str) -> None:
        """Send the poolers' clients to a server; one that doesn't answer is tried on, while the run goes on."""
        if not self.poolers:
            return
        work = [self.run.background(self._reconnect(desk, section, pooler, server)) for pooler in self.poolers]
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: all(one.done() for one in work), timeout=_POOLERS_WITHIN, timeout_summary=f"poolers → {server}"
            )

    async def _reconnect(self, desk: Desk, section: str, pooler: str, server: str) -> None:
        request = ReconnectPooler(
            database=self.database.name, pooler=pooler, server=server, effect=self.run.effect(f"reconnect-{pooler}")
        )
        undone = f"clients of pooler {pooler} are not sent to {server} yet"
        title = f"Connect pooler {pooler} to {server}"
        work = insist(desk, section, title, Poolers.reconnect, request, undone=undone)
        await or_tell(desk, work, f"{undone}: do it by hand")

    # -- move --------------------------------------------------------------------------------------------

    async def point(self, desk: Desk, section: str, server: str, instead_of: str) -> None:
        """Point the other services at a server; one that settings don't know there is people's."""
        await asyncio.gather(*(self._point(desk, section, user, server, instead_of) for user in self.others))

    async def _point(self, desk: Desk, section: str, user: DatabaseUser, server: str, instead_of: str) -> None:
        if server not in user.servers:
            await desk.escalate(f"{user.service} {self._left(user, server)}")
            return
        request = PointAt(
            namespace=user.namespace,
            secret=user.secret,
            key=user.key,
            servers=user.servers,
            server=server,
            instead_of=instead_of,
            effect=self.run.effect(f"point-{user.service}"),
        )
        undone = f"{user.service} is not pointed at {server} yet"
        title = f"Point {user.service} at {server}"
        await or_tell(
            desk, insist(desk, section, title, DatabaseSecrets.point, request, undone=undone), f"{undone}: do it"
        )

    async def restart(self, desk: Desk, section: str) -> None:
        """Have all their pods replaced, so that they read their Secrets anew; and see that they come up."""
        await asyncio.gather(*(self._restart(desk, section, at) for at in self._all))

    async def _restart(self, desk: Desk, section: str, at: WorkloadIn) -> None:
        undone, request = f"{at} still uses the old server", self.workloads.restarting(at)
        work = insist(desk, section, f"Replace the pods of {at}", WorkloadHolds.restart, request, undone=undone)
        await or_tell(desk, work, f"{undone}: restart it")

    async def verify(self, section: str) -> list[str]:
        """Wait until all of them are ready; gives what is not."""
        return await self.workloads.ailing(section, self._all)

    @property
    def _all(self) -> list[WorkloadIn]:
        home = self.service.namespace
        mine = [WorkloadIn(namespace=home, home=home, workload=one) for one in self.service.other_workloads]
        theirs = [
            WorkloadIn(namespace=user.namespace, home=home, workload=one)
            for user in self.others
            for one in user.workloads
        ]
        return list({at.step: at for at in [*mine, *theirs]}.values())

    def _left(self, user: DatabaseUser, server: str) -> str:
        return (
            f"is not moved: its settings have no Secret of {server} (services.{user.service}.database.servers). Point "
            "it there by hand"
        )
