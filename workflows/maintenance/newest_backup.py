"""The newest backup, checked where nobody has yet: a restore (7.3) takes verified ones."""

from datetime import timedelta

from temporalio import workflow

from activities.catalogue.database import MaintenancePolicy
from activities.database.backups.backups import Backups, BackupsRequest, VerifyBackup
from workflows.platform import policies
from workflows.platform.runbook import Runbook
from workflows.shared.desk import Desk

_LISTED_WITHIN = timedelta(minutes=1)


async def check_newest_backup(run: Runbook, desk: Desk, database: str, policy: MaintenancePolicy) -> str:
    """Say how the newest backup is, in a few words; a bad one, or none, is told to people."""
    found = await run.attempt(
        "6.2",
        "Backups",
        Backups.catalogue,
        BackupsRequest(database=database),
        policies.READ.lasting(_LISTED_WITHIN),
    )
    if found is None:
        return "not known"
    newest = next((backup for backup in found.items if backup.status == "done"), None)
    if newest is None:
        run.say("problem", "there is no backup to restore from")
        await desk.escalate(f"{database} has no backup to restore from")
        return "there is none"
    if newest.ended_at and workflow.now() - newest.ended_at > policy.newest_backup:
        run.say("problem", f"the newest backup is of {newest.ended_at:%Y-%m-%d %H:%M %Z}")
    good, detail = newest.verified, newest.detail
    if good is None and policy.verify_backup:
        if run.dry_run:
            run.say("decision", f"would check backup {newest.backup_id}")
            return str(newest)
        verdict = await run.attempt(
            "6.2",
            "Check the newest backup",
            Backups.verify,
            VerifyBackup(database=database, backup_id=newest.backup_id, effect=run.effect("verify-backup")),
            policies.WAIT.lasting(policy.longest_verify),
        )
        if verdict is not None:
            good, detail = verdict.good, verdict.detail
    if good is False:
        run.say("problem", f"backup {newest.backup_id} is not good: {detail}")
        await desk.escalate(f"backup {newest.backup_id} of {database} is not good")
    return f"{newest.backup_id}: {'verified' if good else 'not verified' if good is None else 'NOT GOOD'}"
