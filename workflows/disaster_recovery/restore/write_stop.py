"""Nobody writes: the autoscaler is held, there are no pods, sessions have left; and the way back (runbook 7.3)."""

import contextlib
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.catalogue.database import RestorePolicy
from activities.catalogue.service import Service
from activities.common.errors import Refused
from activities.database.upkeep.ending import EndSessions, Sessions
from activities.database.upkeep.writers import (
    AreWritersStopped,
    LetWritersIn,
    StopWriters,
    Writers,
    WritersStopped,
)
from activities.kubernetes.cluster import AwaitRollout, Kubernetes, ScaleDeployment, Workload
from audit.text import counted, noun
from workflows.disaster_recovery.restore.restore_plan import RestorePlan
from workflows.platform import policies
from workflows.platform.runbook import Runbook
from workflows.shared.autoscaler_pause import AutoscalerPause
from workflows.shared.database_users import UsersOfTheDatabase
from workflows.shared.desk import Desk, insist

_ENDING = timedelta(seconds=10)
_ENDING_WRITERS = timedelta(seconds=30)
_OPEN_WITHIN = timedelta(seconds=30)
"""A database that can't be reached is waited for so long before the service's pods come back without it."""


class WriteStop:
    """Writes of one service, stopped by one run."""

    def __init__(self, run: Runbook, desk: Desk, service: Service, plan: RestorePlan) -> None:
        self.run = run
        self.desk = desk
        self.service = service
        self.plan = plan
        self.pause = AutoscalerPause(run, desk, service, plan.longest, pausing="7.3/1", resuming="7.3/6")
        self.users: UsersOfTheDatabase | None = None
        """The service's other workloads, and other services of this database; None in runs from before."""
        self.stopped = False
        self.closed = False
        """Whether the database may be closed to its writers."""
        self.may_write: list[str] = []
        """Who could write though it is closed, in words."""
        self.also: list[str] = []
        """What else the switch is about: other services, logical slots."""
        self.server = plan.primary
        """Where poolers' clients are sent when it is over."""
        self.doubt = ""
        """Why somebody may still write."""
        self.seen: set[str] = set()
        """What people have done against it since."""

    async def stop(self) -> None:
        """Stop them.

        Raises:
            ActivityError: another run holds the autoscaler, or the service can't be scaled.
            Refused: another run has stopped the writers of this database.

        """
        if workflow.patched("users-of-the-database"):
            await self._find_the_others()
        await self._hold_the_autoscaler()
        self.stopped = not self.run.dry_run
        stop = self._scaling(0, "stop-writes")
        stop.stopped_until = workflow.now() + self.plan.longest
        await self.run.step("7.3/1", "Stop writes", Kubernetes.scale, stop, policies.EFFECT)
        if self.users is not None:
            await self.users.stop("7.3/1", workflow.now() + self.plan.longest)
            self.doubt = self.users.doubt
            await self.users.pause_poolers("7.3/1", self.plan.database.restore.leave_within)
        if self.run.dry_run:
            if workflow.patched("writers-in-the-database"):
                await self._close()
            return
        where = {"namespace": self.service.namespace, "deployment": self.service.deployment}
        within = self.service.scaling.ready_within
        ended = await self.run.attempt(
            "7.3/1",
            "Pods have ended",
            Kubernetes.await_rollout,
            AwaitRollout(**where, timeout=within),
            policies.WAIT.lasting(within),
        )
        left = await self._nobody_is_left()
        if left is None or ended is None or not ended.complete:
            unseen = "it could not be seen that nobody writes any more"
            self.doubt = "; ".join(filter(None, [self.doubt, unseen]))
            self.run.say("problem", unseen, section="7.3/1")

    async def take_up(self) -> None:
        """Come to where a run was that was reset with writes stopped, or let in again: by now nothing is stopped anew.

        Raises:
            ActivityError: another run holds the autoscaler.
            Refused: another run changes where the data of this database's users is.

        """
        await self._find_the_others()
        await self._hold_the_autoscaler()
        if self.users is not None:
            await self.users.stop("7.3/1", workflow.now() + self.plan.longest)
        self.stopped = self.closed = True

    async def _find_the_others(self) -> None:
        """Find who else uses this database, hold their Secrets, and say what the switch means for all of them.

        Raises:
            Refused: another run changes where the data of one of them is.

        """
        self.users = UsersOfTheDatabase(self.run, self.service, self.plan.database)
        await self.users.find("7.3/1")
        await self.users.take("7.3/1", self.plan.longest)
        logical = await self.users.logical("7.3/1", self.plan.primary)
        slots = ["Logical slots: could not be read"] if logical is None else logical.of_damaged(self.plan.spare)
        self.also = [*self.users.plan(self.plan.spare), *slots]
        for line in self.also:
            self.run.say("decision", line, section="7.3/1")

    async def _hold_the_autoscaler(self) -> None:
        """Hold it; a service without one needs no holding."""
        if self.service.scaled_object is None and self.service.hpa is None:
            return
        try:
            await self.pause.acquire(1)
        except ActivityError as error:
            if not (isinstance(error.cause, ApplicationError) and error.cause.type == "NotFound"):
                raise
            self.run.say("decision", "There is no autoscaler that could start pods meanwhile", section="7.3/1")

    async def _nobody_is_left(self) -> object | None:
        """Have nobody in the database who could write; None where that is not certain."""
        if workflow.patched("writers-in-the-database"):
            closed = await self._close()
            if closed is None:  # better than nothing, and not enough
                await self._end_sessions(self.plan.database.restore)
            return closed
        return await self._end_sessions(self.plan.database.restore)

    async def _close(self) -> WritersStopped | None:
        """Close the database to its writers, and tell who could write all the same.

        Raises:
            Refused: another run has closed it.

        """
        policy, plan = self.plan.database.restore, self.plan
        request = StopWriters(
            database=plan.database.name,
            server=plan.primary,
            roles=policy.roles,
            readers=policy.readers,
            until=workflow.now() + plan.longest,
            leave_within=policy.leave_within,
            effect=self.run.effect("stop-writers"),
        )
        self.closed = not self.run.dry_run
        limit = policies.COLLECT.lasting(policy.leave_within + _ENDING_WRITERS)
        done = await self.run.attempt("7.3/1", "Nobody may write", Writers.stop, request, limit)
        if done is None:
            return None
        if done.refused:
            self.closed = False
            raise Refused(done.refused)
        self.may_write = done.may_write
        if self.may_write:
            told = f"Could write all the same: {'; '.join(self.may_write)}"
            self.run.say("problem", told, section="7.3/1")
        return done

    async def _end_sessions(self, policy: RestorePolicy) -> object | None:
        request = EndSessions(
            database=self.plan.database.name,
            server=self.plan.primary,
            roles=policy.roles,
            leave_within=policy.leave_within,
            effect=self.run.effect("end-sessions"),
        )
        limit = policy.leave_within + _ENDING
        return await self.run.attempt(
            "7.3/1", "Sessions have left", Sessions.end, request, policies.COLLECT.lasting(limit)
        )

    async def look_again(self) -> None:
        """See that nobody has started the service meanwhile, before what was restored is compared with it."""
        where = Workload(namespace=self.service.namespace, deployment=self.service.deployment)
        state = await self.run.attempt("7.3/5", "Does still nobody write", Kubernetes.deployment, where, policies.READ)
        if state is not None and state.replicas:
            replicas = counted(state.replicas, "replica")
            lost = f"what {noun(state.replicas, 'it writes', 'they write')} is lost as well"
            scaled = f"somebody has scaled {state.name} to {replicas}: {lost}"
            if "scaled up" not in self.seen:
                self.doubt = "; ".join(filter(None, [self.doubt, scaled])) if self.users is not None else scaled
            self.seen.add("scaled up")
            self.run.say("problem", scaled, section="7.3/5")
        if self.closed:
            await self._is_it_closed()

    async def _is_it_closed(self) -> None:
        """See that nobody has opened the database meanwhile."""
        policy, plan = self.plan.database.restore, self.plan
        request = AreWritersStopped(
            database=plan.database.name,
            server=plan.primary,
            roles=policy.roles,
            readers=policy.readers,
            run=workflow.info().workflow_id,
        )
        seen = await self.run.attempt("7.3/5", "Is it still closed to writers", Writers.look, request, policies.READ)
        if seen is None or (seen.by_this_run and not seen.let_in and not seen.sessions):
            return  # a primary that doesn't answer takes no writes either
        if "opened" not in self.seen:
            self.doubt = "; ".join(filter(None, [self.doubt, f"{seen}: what they write is lost as well"]))
        self.seen.add("opened")
        self.run.say("problem", self.doubt, section="7.3/5")

    async def open(self, server: str) -> None:
        """Open a database to its writers; one that can't be reached is tried on, while the run goes on."""
        if not self.closed:
            return
        self.closed = False
        restored = server != self.plan.primary
        request = LetWritersIn(
            database=self.plan.database.name, server=server, anybodys=restored, effect=self.run.effect("let-writers-in")
        )
        undone = f"{self.plan.database.name} on {server} is closed to its writers: the service can't use it"
        work = insist(self.desk, "7.3/6", f"Open {server} to writers", Writers.let_in, request, undone=undone)
        opening = self.run.background(self._or_tell(work, f"{undone}. Give CONNECT back by hand"))
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(
                opening.done, timeout=_OPEN_WITHIN, timeout_summary=f"{server} opens to writers"
            )

    async def let_write(self, replicas: int) -> None:
        """Bring the service back with so many replicas, and let the autoscaler go; each though the other fails."""
        await self.open(self.plan.primary)
        if self.users is not None and self.stopped:
            await self.users.reconnect_poolers(self.desk, "7.3/6", self.server)
        if self.stopped:
            back = self._scaling(replicas, "scale-back")
            # Pods that somebody has started meanwhile know only where the service was pointed then.
            back.replaced_at = workflow.now()
            await self._or_tell(
                insist(
                    self.desk,
                    "7.3/6",
                    "Restore the service",
                    Kubernetes.scale,
                    back,
                    undone=f"{self.service.name} still has no replicas: writes are stopped",
                ),
                f"{self.service.name} can't be scaled to {counted(replicas, 'replica')}: do it by hand, "
                "writes are stopped",
            )
            self.stopped = False
        if self.users is not None:
            await self.users.give_back(self.desk, "7.3/6")
            await self.users.release("7.3/6")
        await self._or_tell(self.pause.release(), f"the autoscaler of {self.service.name} can't be resumed: do it")

    async def _or_tell(self, work: Coroutine[Any, Any, object], trouble: str) -> None:
        try:
            await work
        except ActivityError:
            await self.desk.escalate(trouble)

    def _scaling(self, replicas: int, step: str) -> ScaleDeployment:
        return ScaleDeployment(
            namespace=self.service.namespace,
            deployment=self.service.deployment,
            replicas=replicas,
            effect=self.run.effect(step),
        )
