"""What a restore is going to do, found out and judged before anything changes (runbook 7.3 step 3)."""

import asyncio
from datetime import datetime, timedelta

from pydantic import BaseModel, Field
from temporalio import workflow

from activities.catalogue.database import DatabasePolicy
from activities.catalogue.service import Service
from activities.common.errors import InvalidInput, Misconfigured, Refused
from activities.database.backups.backups import (
    BackupCatalogue,
    Backups,
    BackupsRequest,
    ReachRequest,
)
from activities.database.backups.restoring import RestoreBackup
from activities.database.backups.system import Backup, Reach, no_place
from activities.database.replication.replication import Replication, StandingRequest
from activities.kubernetes.cluster import Kubernetes, Workload
from activities.kubernetes.database_secrets import DatabaseSecretRequest, DatabaseSecrets
from workflows.platform import policies
from workflows.platform.resets import Earlier, before_reset
from workflows.platform.runbook import Runbook
from workflows.shared.data_hold import DataHold

_REPLICAS = 5
"""The runbook's own number, where neither request nor settings nor the service itself says one."""
_SHOWN = 5
_SPARE_TIME = timedelta(hours=1)


class RestorePlan(BaseModel):
    """Everything that is pinned before writes are stopped."""

    database: DatabasePolicy
    primary: str = Field(description="The server whose data is damaged.")
    spare: str = Field(description="The server that is restored into.")
    target: datetime | None = Field(description="None: as late as the log reaches.")
    replicas_before: int
    replicas_after: int
    backups: list[Backup] = Field(description="That could do, the newest first.")
    named: bool = Field(description="A person has named the backup.")

    @property
    def unverified(self) -> bool:
        """A person has named a backup that nobody has found good."""
        return self.named and not self.backups[0].verified

    @property
    def longest(self) -> timedelta:
        """Until when the run may need the data for itself, everybody taking their time."""
        policy = self.database.restore
        return policy.longest_restore + 2 * policy.check_within + 2 * policy.decision_timeout + _SPARE_TIME

    @property
    def until(self) -> str:
        """The target, in words."""
        return f"{self.target:%Y-%m-%d %H:%M:%S.%f %Z}" if self.target else "as late as the log reaches"


async def make_plan(
    run: Runbook,
    service: Service,
    hold: DataHold,
    *,
    target: datetime | None,
    backup_id: str | None,
    accept_unverified: bool,
    replicas: int | None,
    before: Earlier | None = None,
) -> RestorePlan:
    """Read everything that is needed, and refuse what can't be.

    A run that was reset after it had stopped writes has changed what is read: it goes by what it had read `before`.

    Raises:
        InvalidInput: target or backup can't be; says what can.
        Refused: no server is free, the data isn't where settings say, or another run changes it.
        Misconfigured: settings don't say where a tablespace of the backup goes.
        ActivityError: Kubernetes or the backups' catalogue don't answer.

    """
    database = hold.database
    where = Workload(namespace=service.namespace, deployment=service.deployment)
    primary, state, catalogue = await asyncio.gather(
        hold.primary(),
        run.step("7.3/1", "Replicas", Kubernetes.deployment, where, policies.READ),
        run.step("7.3/3", "Backups", Backups.catalogue, BackupsRequest(database=database.name), policies.COLLECT),
    )
    if before is not None:
        pointed = before.answer(DatabaseSecrets.pointed_at)
        primary = (pointed and pointed.server) or primary
        state = before.answer(Kubernetes.deployment) or state
        catalogue = before.answer(Backups.catalogue) or catalogue
    restoring = await before_reset(run, "7.3/4", run.first_effect("restore")) if before is not None else None
    plan = RestorePlan(
        database=database,
        primary=primary,
        spare=restoring.asked(RestoreBackup).into if restoring else await _free_spare(run, service, hold, primary),
        target=target,
        replicas_before=state.replicas,
        replicas_after=replicas or database.restore.replicas or state.replicas or _REPLICAS,
        backups=_candidates(catalogue, target, backup_id, accept_unverified=accept_unverified),
        named=backup_id is not None,
    )
    if unplaced := plan.backups[0].unplaced.get(plan.spare):
        raise Misconfigured(no_place(plan.spare, unplaced))
    if restoring is None:
        await _must_be_reachable(run, plan, catalogue)
    run.say(
        "decision",
        f"{database.name} is to be restored from {plan.backups[0].backup_id} to {plan.until} on {plan.spare}, beside "
        f"{plan.primary}",
        section="7.3/3",
    )
    return plan


def must_be_past(target: datetime | None) -> None:
    """Refuse a time that has not been yet.

    Raises:
        InvalidInput: says what time it is.

    """
    now = workflow.now()
    if target is not None and target > now:
        raise InvalidInput(
            f"target_time: lies in the future; it is {now:%Y-%m-%dT%H:%M:%S%z} now. Is its time zone right? "
            f"UTC is written +00:00, Berlin in winter +01:00"
        )


def _candidates(
    catalogue: BackupCatalogue, target: datetime | None, backup_id: str | None, *, accept_unverified: bool
) -> list[Backup]:
    """Choose the backups that can lead to the target.

    Raises:
        InvalidInput: there is none, or not the named one.

    """
    usable = [
        backup
        for backup in catalogue.items
        if backup.status == "done" and backup.ended_at is not None and (target is None or backup.ended_at <= target)
    ]
    if backup_id is not None:
        return [_named(catalogue, usable, backup_id, accept_unverified=accept_unverified)]
    good = [backup for backup in usable if backup.verified is not False]
    if good:
        return good
    if catalogue.earliest is None:
        message = "there is no backup to restore from"
    elif usable:
        message = f"no backup before target_time is good: {', '.join(str(backup) for backup in usable[:_SHOWN])}"
    else:
        message = (
            "target_time: before the end of the first backup, which is at "
            f"{catalogue.earliest:%Y-%m-%dT%H:%M:%S%z}: nothing earlier can be restored"
        )
    raise InvalidInput(message)


def _named(catalogue: BackupCatalogue, usable: list[Backup], backup_id: str, *, accept_unverified: bool) -> Backup:
    known = "; ".join(str(backup) for backup in catalogue.items[:_SHOWN]) or "none"
    found = next((backup for backup in catalogue.items if backup.backup_id == backup_id), None)
    if found is None:
        raise InvalidInput(f"backup_id: there is no such backup. The latest are: {known}")
    if found not in usable:
        raise InvalidInput(f"backup_id: {found} can't lead to the target. The latest are: {known}")
    if not found.verified and not accept_unverified:
        raise InvalidInput(
            f"backup_id: {found} has not been found good. Leave backup_id out, and the last good one is chosen; or "
            "say accept_unverified, and a person is asked before anything changes"
        )
    return found


async def _free_spare(run: Runbook, service: Service, hold: DataHold, primary: str) -> str:
    """Choose a spare server that is neither the service's nor kept for somebody.

    Raises:
        Refused: there is none.

    """
    kept = []
    for name, server in hold.database.servers.items():
        if not server.spare or name == primary:
            continue
        secret = DatabaseSecretRequest(
            namespace=service.namespace, secret=server.secret, key=hold.database.key, servers={}
        )
        found = await run.step("7.3/4", f"Is {name} free", DatabaseSecrets.pointed_at, secret, policies.READ)
        if found.held_by is None:
            return name
        kept.append(f"{name} is kept by {found.held_by} until {found.held_until:%Y-%m-%d}")
    raise Refused(
        "there is no spare server to restore into: mark one as `spare` in services.NAME.database.servers"
        f"{', or discard what is kept: ' if kept else ''}{'; '.join(kept)}"
    )


async def _must_be_reachable(run: Runbook, plan: RestorePlan, catalogue: BackupCatalogue) -> None:
    """Refuse a target that the log can't lead to, as far as that is known now.

    What has not been archived yet still can be, where the primary answers.

    Raises:
        InvalidInput: says how far the log leads.

    """
    if plan.target is None or catalogue.latest is None:
        return
    if plan.target > catalogue.latest:
        asked = StandingRequest(database=plan.database.name, servers=(plan.primary,))
        standing = await run.attempt("7.3/3", "Does the primary answer", Replication.standing, asked, policies.READ)
        if standing is not None and not standing.servers[plan.primary].reachable:
            raise InvalidInput(
                f"target_time: the archived log reaches {catalogue.latest:%Y-%m-%dT%H:%M:%S.%f%z}, and {plan.primary} "
                "doesn't answer, so that no more of it will come. Leave target_time out to restore all of it"
            )
        return
    reach = await dry_check(run, plan.database.name, plan.backups[0], plan.target)
    if not reach.reaches:
        raise InvalidInput(f"target_time: {reach.detail}")


async def dry_check(run: Runbook, database: str, backup: Backup, target: datetime) -> Reach:
    """Look whether the archived log leads from a backup to a time."""
    asked = ReachRequest(database=database, backup_id=backup.backup_id, target=target)
    return await run.step("7.3/3", "Does the log reach", Backups.reach, asked, policies.COLLECT)
