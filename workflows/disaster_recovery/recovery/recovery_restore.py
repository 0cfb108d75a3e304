"""Whether the database is restored in a full recovery, and by which run (runbook 7.2 step 2).

The restore is a run of its own (7.3) with an approval of its own, and goes on for weeks after the service is back, to
keep the damaged data. This run goes on as soon as it hears that the service is back.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError, ChildWorkflowError, WorkflowAlreadyStartedError

from activities.catalogue.service import Service
from workflows.disaster_recovery.recovery.damage import DatabaseDamage
from workflows.disaster_recovery.recovery.retry_or_stop import RETRY, STOP, RetryOrStop
from workflows.disaster_recovery.restore.point_in_time_restore import (
    PointInTimeRestore,
    PointInTimeRestoreRequest,
    PointInTimeRestoreResult,
)
from workflows.disaster_recovery.restore.service_back import ServiceBack
from workflows.platform.approval import Question
from workflows.platform.cancelling import cancel_kept
from workflows.platform.resets import child_before_reset, started_before_reset
from workflows.platform.runbook import Runbook
from workflows.shared.desk import Desk

_RESTORE, _KEEP = "restore", "no-restore"


class RecoveryRestore:
    """One recovery's restore, if there is to be one."""

    def __init__(self, run: Runbook, desk: Desk, service: Service, ways: RetryOrStop) -> None:
        self.run = run
        self.desk = desk
        self.service = service
        self.ways = ways
        self.back: ServiceBack | None = None
        self._child: workflow.ChildWorkflowHandle[Any, Any] | None = None
        self._begun = 0

    @property
    def begun(self) -> bool:
        """Whether there is a restore that could say something."""
        return self._begun > 0

    def came_back(self, back: ServiceBack) -> None:
        """Hear from the restore that the service is back; the first word counts."""
        self.back = self.back or back

    async def decide(
        self,
        damage: DatabaseDamage,
        target: datetime | None,
        backup_id: str | None,
        *,
        first: Callable[[], Awaitable[None]],
    ) -> str:
        """Ask, and where people say so do what comes `first`, and restore; gives why the recovery was stopped."""
        if damage.backups is not None and not damage.backups.items:
            self.run.say("problem", "No restore: there is no backup", section="7.2/2")
            return ""
        asked = self._question(damage, target, backup_id)
        if self.run.dry_run:
            recommended = asked.recommended or "nothing"
            self.run.say("decision", f"would ask: {asked.title} ({recommended} recommended)", section="7.2/2")
            return ""
        # Of a run that was reset nobody is asked again whether to begin: it had begun.
        if not await started_before_reset(self.run, "7.2/2", f"{workflow.info().workflow_id}/restore"):
            self.run.background(self.desk.ask(asked))
            answer = await self.run.ask(asked, escalate=self.desk.escalate)
            if answer.choice != _RESTORE:
                return ""
        await first()
        while trouble := await self._restore(target, backup_id):
            self.run.say("problem", trouble, section="7.2/2")
            way = await self.ways.choose(
                "restore-failed",
                trouble,
                retry="begin another restore to the same time",
                go_on="go on with the data that there is",
                stop="stop here, and leave it to people",
            )
            if way == STOP:
                return trouble
            if way != RETRY:
                return ""
        self.run.say("step", f"The service is on {self.back}", section="7.2/2")
        return ""

    def _question(self, damage: DatabaseDamage, target: datetime | None, backup_id: str | None) -> Question:
        evidence = [str(damage)]
        if damage.trouble and damage.replicas:
            live = ", ".join(damage.replicas)
            evidence.append(f"{live} could be promoted: a failover (`runbooks start database-failover`) loses less")
        source = f"from backup {backup_id} " if backup_id else ""
        until = f"{target:%Y-%m-%d %H:%M:%S %Z}" if target else "the latest state that its log reaches"
        return Question(
            id="restore",
            title=f"Restore the database of {self.service.name} to {until}?",
            options={
                _RESTORE: f"restore {source}beside the data that there is; writes are stopped meanwhile, and a person "
                "sees the difference before it is used",
                _KEEP: "go on with the data that there is",
            },
            recommended=_RESTORE if damage.lost else None if damage.trouble else _KEEP,
            default=_KEEP,
            kind="restore",
            evidence=evidence,
            timeout=self.service.recovery.decision_timeout,
        )

    async def _restore(self, target: datetime | None, backup_id: str | None) -> str:
        """Run the restore until the service is back; gives why it isn't."""
        self._begun += 1
        name = f"{workflow.info().workflow_id}/restore" + (f"-{self._begun}" if self._begun > 1 else "")
        request = PointInTimeRestoreRequest(
            service=self.service.name, target_time=target, backup_id=backup_id, requested_by=self.run.actor
        )
        if await started_before_reset(self.run, "7.2/2", name):
            return await self._begun_before(name)
        self.back = None
        try:
            child = self._child = await workflow.start_child_workflow(
                PointInTimeRestore.run,
                request,
                id=name,
                # It keeps the damaged data for weeks; and begun, it ends, whatever becomes of this run.
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                memo=self.run.began,
                static_summary=f"Restore within: {self.run.title}",
            )
        except WorkflowAlreadyStartedError:
            return f"{name} is still open from before: end it, or wait for it"
        self.run.say("step", f"The restore is a run of its own: {name}", section="7.2/2")
        await workflow.wait_condition(lambda: self.back is not None or child.done())
        return "" if self.back is not None else await _ending(child)

    async def _begun_before(self, name: str) -> str:
        """Wait for a restore that this run had begun before it was reset; gives why the service isn't back by it."""
        ending = asyncio.create_task(child_before_reset(self.run, "7.2/2", name, cancels=False))
        await workflow.wait_condition(lambda: self.back is not None or ending.done())
        if not ending.done():
            ending.cancel()
            await asyncio.gather(ending, return_exceptions=True)
            return ""
        before = await ending
        if before is None or before.failure:
            return f"the restore has failed: {before.failure if before else name}"
        ended = PointInTimeRestoreResult.model_validate(before.result)
        if ended.outcome != "restored":
            return f"the restore has ended without restored data: {ended.outcome}"
        self.came_back(ServiceBack(server=ended.server, backup_id=ended.backup_id, recovered_to=ended.recovered_to))
        return ""

    async def abandon(self) -> None:
        """Take back a restore that is under way; one whose data the service is on stays, and goes on by itself."""
        if self._child is None or self.back is not None or self._child.done():
            return
        self.run.say("decision", "The restore is cancelled as well: it brings the service back on the data it had")
        self._child.cancel()
        await workflow.wait([self._child])


async def _ending(child: "workflow.ChildWorkflowHandle[Any, Any]") -> str:
    """Say how a restore ended that never said that the service is back."""
    try:
        with cancel_kept():
            result = await child
    except ChildWorkflowError as error:
        cause = error.cause
        return f"the restore has failed: {cause.message if isinstance(cause, ApplicationError) else cause or error}"
    return f"the restore has ended without restored data: {result.outcome}"
