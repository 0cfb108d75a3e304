"""A second database beside the damaged one, at an earlier time, and the two compared (runbook 7.3 steps 2 to 5)."""

from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.common.errors import Refused
from activities.database.backups.backups import (
    BackupCatalogue,
    Backups,
    BackupsRequest,
    BackupVerdict,
    Restored,
    Sealed,
    SealLog,
    VerifyBackup,
)
from activities.database.backups.restoring import RestoreBackup
from activities.database.backups.system import Backup
from activities.database.integrity.contents import Contents, ContentsRequest, Difference, difference
from activities.database.integrity.integrity import Integrity, IntegrityReport, IntegrityRequest
from activities.database.servers.hosts import DatabaseHosts, DiscardServer
from workflows.disaster_recovery.restore.restore_plan import RestorePlan, dry_check
from workflows.platform import policies
from workflows.platform.policies import Policy
from workflows.platform.resets import before_reset
from workflows.platform.runbook import Runbook
from workflows.shared.desk import Desk, insist

_SEALED_WITHIN = timedelta(minutes=10)
_MACHINE = timedelta(minutes=10)


class RestoreBeside:
    """One restore, as far as it has come."""

    def __init__(self, run: Runbook, plan: RestorePlan) -> None:
        self.run = run
        self.plan = plan
        self.policy = plan.database.restore
        self.damage: IntegrityReport | None = None
        self.sealed: Sealed | None = None
        self.target: datetime | None = plan.target
        self.backup: Backup | None = None
        self.begun = False
        """Whether something may be on the spare server."""
        self.restored: Restored | None = None
        self.soundness: IntegrityReport | None = None
        self.before: Contents | None = None
        self.after: Contents | None = None
        self.difference: Difference | None = None
        self.stopped_at = workflow.now()

    # -- the damaged one ---------------------------------------------------------------------------------

    async def assess(self) -> None:
        """Look how far the damage goes; it may be too damaged for that."""
        self.stopped_at = workflow.now()
        self.damage = await self.run.attempt(
            "7.3/2",
            "Integrity of the damaged database",
            Integrity.check,
            self._integrity(self.plan.primary, install=not self.run.dry_run),
            self._look,
        )
        self.before = await self.run.attempt(
            "7.3/2", "Rows of the damaged database", Integrity.contents, self._contents(self.plan.primary), self._look
        )

    async def seal(self) -> None:
        """Have all of its log in the archive, and pin the target."""
        run, database = self.run, self.plan.database.name
        self.sealed = await run.attempt(
            "7.3/3",
            "Archive the log",
            Backups.seal,
            SealLog(database=database, server=self.plan.primary, effect=run.effect("seal")),
            policies.COLLECT.lasting(_SEALED_WITHIN),
        )
        if self.sealed is None:
            run.say(
                "problem", "The last of the log could not be archived: what it alone knows is lost", section="7.3/3"
            )
        if self.target is None:
            self.target = self.sealed.at if self.sealed else await self._archived()
            run.say("decision", f"The target is {self.target:%Y-%m-%d %H:%M:%S.%f %Z}, the latest", section="7.3/3")

    async def take_up(self) -> None:
        """Come to where a run was that was reset behind the decision: what was restored, and to when, is pinned."""
        sealing = await before_reset(self.run, "7.3/3", self.run.first_effect("seal"))
        self.sealed = sealing.change(Sealed) if sealing else None
        restoring = await before_reset(self.run, "7.3/4", self.run.first_effect("restore"))
        if restoring is None:
            return
        asked = restoring.asked(RestoreBackup)
        self.begun, self.target, self.restored = True, asked.target, restoring.change(Restored)
        self.backup = next((one for one in self.plan.backups if one.backup_id == asked.backup_id), None)

    async def _archived(self) -> datetime:
        asked = BackupsRequest(database=self.plan.database.name)
        found: BackupCatalogue = await self.run.step("7.3/3", "Backups", Backups.catalogue, asked, policies.COLLECT)
        if found.latest is None:
            raise Refused("it is not known how far the archived log reaches: name a target_time")
        # PostgreSQL ends a recovery by time at the first transaction behind it, so that has to be in the log.
        return found.latest - timedelta(microseconds=1)

    # -- the restored one --------------------------------------------------------------------------------

    async def choose(self) -> None:
        """Find the last good backup, and see that the log leads from it to the target.

        Raises:
            Refused: there is none, or it does not.
            ActivityError: the backups can't be reached.

        """
        run, database, target = self.run, self.plan.database.name, self.pinned
        for backup in self.plan.backups:
            if backup.verified or self.plan.named:
                self.backup = backup
                break
            if await self._is_good(backup):
                self.backup = backup.model_copy(update={"verified": True})
                break
        else:
            raise Refused("none of the backups before the target is good")
        run.say("decision", f"The last good backup is {self.backup.backup_id}", section="7.3/3")
        reach = await dry_check(run, database, self.backup, target)
        if not reach.reaches:
            raise Refused(f"the archived log does not lead to the target: {reach.detail}")

    async def _is_good(self, backup: Backup) -> bool:
        verify = VerifyBackup(
            database=self.plan.database.name, backup_id=backup.backup_id, effect=self.run.effect("verify-backup")
        )
        verdict: BackupVerdict = await self.run.step(
            "7.3/3", f"Is {backup.backup_id} good", Backups.verify, verify, self._long
        )
        return verdict.good

    async def restore(self) -> Restored:
        """Restore beside the damaged one.

        Raises:
            ActivityError: it failed; what is on the spare server is of no use.

        """
        assert self.backup is not None
        self.begun = True
        request = RestoreBackup(
            database=self.plan.database.name,
            backup_id=self.backup.backup_id,
            target=self.pinned,
            into=self.plan.spare,
            effect=self.run.effect("restore"),
        )
        self.restored = await self.run.step("7.3/4", "Restore", Backups.restore, request, self._long)
        return self.restored

    async def discard(self, desk: Desk) -> None:
        """Remove what was restored: the service doesn't get it."""
        if not self.begun:
            return
        database, spare = self.plan.database.name, self.plan.spare
        request = DiscardServer(database=database, server=spare, effect=self.run.effect("discard-spare"))
        try:
            await insist(
                desk,
                "7.3/4",
                f"Discard what is on {spare}",
                DatabaseHosts.discard,
                request,
                undone=f"{spare} still has what was restored",
                policy=policies.RELEASE.lasting(_MACHINE),
            )
        except ActivityError:
            await desk.escalate(f"what is on {spare} could not be discarded")

    async def compare(self) -> None:
        """Check the restored database, and what is different in it.

        Raises:
            ActivityError: it can't be looked at.

        """
        run, spare = self.run, self.plan.spare
        self.soundness = await run.step(
            "7.3/5", "Integrity of the restored database", Integrity.check, self._integrity(spare), self._look
        )
        self.after = await run.step(
            "7.3/5", "Rows of the restored database", Integrity.contents, self._contents(spare), self._look
        )
        self.difference = difference(self.before, self.after)

    # -- what there is to say ----------------------------------------------------------------------------

    @property
    def sound(self) -> bool:
        """All of the restored database is in order, as far as that can be checked."""
        return bool(self.soundness and self.soundness.good and self.after and not self.after.broken)

    @property
    def ended_at(self) -> datetime:
        """When writes had ended."""
        return self.sealed.at if self.sealed else self.stopped_at

    @property
    def span(self) -> str:
        """Whose writes are lost, in words."""
        return f"{self.pinned:%Y-%m-%d %H:%M:%S} to {self.ended_at:%Y-%m-%d %H:%M:%S %Z}"

    @property
    def lost(self) -> timedelta | None:
        """From the target to the end of writes: what was committed then is not in the restored database."""
        return max(self.ended_at - self.target, timedelta(0)) if self.target else None

    def evidence(self) -> list[str]:
        """Give what a person has to see before the service gets the restored data."""
        last = self.after.last_transaction if self.after else None
        last = last or (self.restored.recovered_to if self.restored else None)
        return [
            *(
                [f"Restored from {self.backup} to {self.pinned:%F %T.%f %Z} on {self.plan.spare}"]
                if self.backup
                else []
            ),
            *([f"Last transaction in it: {last:%F %T.%f %Z}"] if last else []),
            *([f"Lost: what was committed in {_words(self.lost)}, {self.span}"] if self.lost is not None else []),
            f"Damaged database: {self.damage or 'could not be checked'}",
            *([f"Restored database: {self.soundness}"] if self.soundness else []),
            *(f"Rule {check}" for check in (self.after.checks if self.after else [])),
            *(self.difference.lines() if self.difference else []),
        ]

    @property
    def pinned(self) -> datetime:
        """The target."""
        assert self.target is not None
        return self.target

    @property
    def _look(self) -> Policy:
        return policies.COLLECT.lasting(self.policy.check_within)

    @property
    def _long(self) -> Policy:
        return policies.WAIT.lasting(self.policy.longest_restore)

    def _integrity(self, server: str, *, install: bool = True) -> IntegrityRequest:
        return IntegrityRequest(
            database=self.plan.database.name,
            server=server,
            all_rows_indexed=self.policy.all_rows_indexed,
            install=install,
            within=self.policy.check_within,
        )

    def _contents(self, server: str) -> ContentsRequest:
        return ContentsRequest(
            database=self.plan.database.name, server=server, checks=self.policy.checks, within=self.policy.check_within
        )


def _words(span: timedelta) -> str:
    return str(timedelta(seconds=round(span.total_seconds())))
