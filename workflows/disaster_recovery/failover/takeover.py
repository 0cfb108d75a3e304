"""The change itself: fence, promote, follow, point, restart (runbook 7.1 steps 2 and 3).

Until the old primary is fenced nothing is changed, and nobody is promoted before. From then on the way back is longer
than the way on, and less safe: the fenced server may lack what a replica has, and would have to be trusted again. So a
run that is cancelled meanwhile goes on until the service is on the new primary, and ends as cancelled then.
"""

import asyncio
from collections.abc import Sequence

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.catalogue.database import DatabasePolicy
from activities.catalogue.service import Service
from activities.database.replication.replication import (
    FollowServer,
    Promoted,
    PromoteReplica,
    Replication,
    WatchPrimary,
)
from activities.database.servers.hosts import DatabaseHosts, FenceServer
from activities.kubernetes.cluster import Kubernetes, RestartRollout
from activities.kubernetes.database_secrets import DatabaseSecrets, PointAt
from workflows.disaster_recovery.failover.candidate import Candidate
from workflows.platform import policies
from workflows.platform.approval import Answer, Question
from workflows.platform.runbook import Runbook
from workflows.platform.steps import reason
from workflows.shared.data_hold import DataHold
from workflows.shared.database_users import UsersOfTheDatabase
from workflows.shared.desk import Desk, insist

_ROUNDS = 12
"""How often a promotion is tried again without anybody's word, before it is left."""


class Takeover:
    """One replica takes a primary's place."""

    def __init__(
        self,
        run: Runbook,
        desk: Desk,
        service: Service,
        database: DatabasePolicy,
        hold: DataHold,
        *,
        primary: str,
        candidate: Candidate,
        replicas: Sequence[str],
        users: UsersOfTheDatabase | None = None,
    ) -> None:
        self.run = run
        self.desk = desk
        self.service = service
        self.database = database
        self.hold = hold
        self.primary = primary
        self.candidate = candidate
        self.users = users
        self.others = [replica for replica in replicas if replica != candidate.server]
        self.cancelled = False
        self.fenced = False
        self.promoted: Promoted | None = None
        self.pointed = False
        self.following: dict[str, str] = {}

    async def carry_out(self) -> None:
        """Do all of it, or stop before anybody is promoted; a cancellation sets `cancelled`, and waits for it."""
        run = self.run
        run.phase("Fence the old primary")
        self.fenced = await self._fence()
        if not self.fenced:
            return
        run.phase("Promote")
        self.promoted = await self._promote()
        if self.promoted is None:
            return
        run.phase("Point the service at it")
        followers = asyncio.gather(*(self._follow(replica, self.promoted) for replica in self.others))
        others = self._move_the_others(self.users) if self.users is not None else None
        moved = asyncio.create_task(others) if others is not None else None
        self.pointed = await self._point()
        await followers
        if moved is not None:
            await moved

    # -- fence -------------------------------------------------------------------------------------------

    async def _fence(self) -> bool:
        """Fence the old primary, or have it fenced; False where people leave it."""
        tries = 0
        while not await self._fence_once():
            tries += 1
            answer = await self._ask(
                f"fence-{tries}",
                f"{self.primary} could not be fenced. Go on how?",
                {
                    "retry": "it is tried again",
                    "by-hand": f"you have made sure that {self.primary} can't take writes again, and say how",
                    "abort": "nobody is promoted; the service stays without its database",
                },
                default="abort",
                reason_for=["by-hand"],
            )
            if answer.choice == "by-hand" and await self._silent():
                return True
            if answer.choice in {"abort", "none"}:
                self.run.say("decision", f"{self.primary} is not fenced for sure: nobody is promoted")
                return False
        return True

    async def _fence_once(self) -> bool:
        run = self.run
        done = await run.attempt(
            "7.1/2",
            f"Fence {self.primary}",
            DatabaseHosts.fence,
            FenceServer(database=self.database.name, server=self.primary, effect=run.effect("fence")),
            policies.FENCE,
        )
        return done is not None and (run.dry_run or await self._silent())

    async def _silent(self) -> bool:
        """Look whether it takes writes no more; where nobody can look, promotion does so again."""
        policy = self.database.failover
        watched = await self.run.attempt(
            "7.1/2",
            f"Look whether {self.primary} is silent",
            Replication.watch,
            WatchPrimary(
                database=self.database.name,
                primary=self.primary,
                probes=1,
                every=policy.probe_every,
                timeout=policy.probe_timeout,
            ),
            policies.READ,
        )
        if watched is not None and watched.answers:
            self.run.say("problem", f"{self.primary} still answers: it is not fenced", section="7.1/2")
            return False
        return True

    # -- promote -----------------------------------------------------------------------------------------

    async def _promote(self) -> Promoted | None:
        """Promote the replica; the database is down until then, so it is tried again and again."""
        run, server, tries = self.run, self.candidate.server, 0
        within = self.database.failover.promote_within
        while True:
            request = PromoteReplica(
                database=self.database.name,
                server=server,
                others=(self.primary, *self.others),
                timeline=self.candidate.standing.timeline,
                within=within,
                effect=run.effect("promote"),
            )
            try:
                return await run.step(
                    "7.1/2", f"Promote {server}", Replication.promote, request, policies.WAIT.lasting(within)
                )
            except ActivityError as error:
                why = reason(error)
            tries += 1
            answer = await self._ask(
                f"promote-{tries}",
                f"{server} could not be promoted ({why}). Go on how?",
                {
                    "retry": "it is tried again",
                    "leave": f"the run ends; {self.primary} stays fenced, and the service without its database. "
                    "Start again with another replica in `promote`",
                },
                default="retry" if tries < _ROUNDS else "leave",
            )
            if answer.choice in {"leave", "none"}:
                return None

    async def _follow(self, replica: str, promoted: Promoted) -> None:
        within = self.database.failover.follow_within
        done = await self.run.attempt(
            "7.1/2",
            f"{replica} follows {promoted.server}",
            Replication.follow,
            FollowServer(
                database=self.database.name,
                server=replica,
                source=promoted.server,
                timeline=promoted.timeline,
                within=within,
                effect=self.run.effect(f"follow-{replica}"),
            ),
            policies.WAIT.lasting(within),
        )
        self.following[replica] = "follows" if done else "does not follow: make it anew"

    # -- point -------------------------------------------------------------------------------------------

    async def _point(self) -> bool:
        """Point the service at the new primary, and have its pods replaced; False where somebody else won't have it."""
        run, server = self.run, self.candidate.server
        point = PointAt(
            **self.hold.secrets.model_dump(), server=server, instead_of=self.primary, effect=run.effect("point")
        )
        try:
            await insist(
                self.desk,
                "7.1/3",
                f"Point the service at {server}",
                DatabaseSecrets.point,
                point,
                undone="the service is not pointed at the new primary yet",
            )
            await insist(
                self.desk,
                "7.1/3",
                "Replace the pods",
                Kubernetes.restart_rollout,
                RestartRollout(
                    namespace=self.service.namespace,
                    deployment=self.service.deployment,
                    restarted_at=workflow.now(),
                    effect=run.effect("restart"),
                ),
                undone="the pods still use the old primary",
            )
        except ActivityError as error:
            await self.desk.escalate(f"{server} takes writes, but the service doesn't use it: {reason(error)}")
            return False
        return True

    async def _move_the_others(self, users: UsersOfTheDatabase) -> None:
        """Point the other services and the poolers at the new primary too, and have all their pods replaced."""
        server = self.candidate.server
        await asyncio.gather(
            users.point(self.desk, "7.1/3", server, self.primary),
            users.reconnect_poolers(self.desk, "7.1/3", server),
        )
        await users.restart(self.desk, "7.1/3")

    async def _ask(
        self, id_: str, title: str, options: dict[str, str], *, default: str, reason_for: Sequence[str] = ()
    ) -> Answer:
        question = Question(
            id=id_,
            title=title,
            options=options,
            default=default,
            kind="failover",
            reason_for=list(reason_for),
            timeout=self.database.failover.decision_timeout,
        )
        self.run.background(self.desk.ask(question))
        return await self.run.ask(question, escalate=self.desk.escalate, until=lambda: self.cancelled)
