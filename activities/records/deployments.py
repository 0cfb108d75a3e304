"""Deployment records: one row a rollout, moved on from started to how it ended (runbook 4.1, 4.2)."""

from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, Field

from activities.common.effects import Change, Effect
from activities.records.ledger import Rows


class RecentDeploymentsRequest(BaseModel):
    """What changed lately (2.2 step 4)."""

    service: str
    since: timedelta
    limit: int = 10


class Deployment(BaseModel):
    """One deployment record (4.1 step 2)."""

    version: str
    status: Literal["started", "complete", "failed", "rolled_back"]
    deployer: str
    change_log: str = ""
    started_at: datetime
    finished_at: datetime | None = None
    revision: int | None = Field(default=None, description="Revision of the Deployment, where it is known.")
    release: str = Field(default="", description="Digest of its pod template (`Revision.template`), where it is known.")
    reason: str = Field(default="", description="Why it failed or was rolled back.")


class Deployments(BaseModel):
    """Deployment records, newest first."""

    items: list[Deployment]

    def __str__(self) -> str:
        if not self.items:
            return "no recorded deployments"
        latest = self.items[0]
        return f"{len(self.items)} recorded, latest {latest.version} ({latest.status}) by {latest.deployer}"


class RecordDeployment(BaseModel):
    """Insert or move on a deployment record (4.1, 4.2).

    `tensafe-admin deploy create`, `tensafe-admin deploy complete`, `tensafe-admin deploy rollback`.
    """

    service: str
    version: str
    status: Literal["started", "complete", "failed", "rolled_back"]
    at: datetime
    deployer: str
    change_log: str = ""
    revision: int | None = None
    release: str = Field(default="", description="Digest of its pod template (`Revision.template`).")
    reason: str = ""
    effect: Effect


_MOVES_ON_FROM = {
    "complete": ["started"],
    "failed": ["started"],
    "rolled_back": ["started", "complete", "failed"],
}


def record(rows: Rows, request: RecordDeployment) -> Change:
    """Start a record, or move the version's latest one on; one that nobody started is written as it ended."""
    target = f"deployment/{request.service}@{request.version}"
    if request.status != "started":
        moved = _move_on(rows, request)
        if moved is not None:
            return Change(target=target, before=moved, after=request.status, applied=True, note=request.reason)
    rows.execute(
        """
        INSERT INTO runbooks.deployments
               (service, version, status, deployer, change_log, revision, release, reason,
                started_at, finished_at, workflow_id, run_id, effect_key)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            request.service,
            request.version,
            request.status,
            request.deployer,
            request.change_log,
            request.revision,
            request.release,
            request.reason,
            request.at,
            None if request.status == "started" else request.at,
            request.effect.workflow_id,
            request.effect.run_id,
            request.effect.key,
        ),
    )
    return Change(target=target, after=request.status, applied=True, note=request.reason)


def _move_on(rows: Rows, request: RecordDeployment) -> str | None:
    """Move the latest fitting record on, and give the status it had."""
    latest = rows.execute(
        """
        SELECT id, status FROM runbooks.deployments
        WHERE service = %s AND version = %s AND status = ANY(%s)
        ORDER BY started_at DESC, id DESC
        LIMIT 1
        FOR UPDATE
        """,
        (request.service, request.version, _MOVES_ON_FROM[request.status]),
    ).fetchone()
    if latest is None:
        return None
    rows.execute(
        """
        UPDATE runbooks.deployments
        SET status = %s, finished_at = %s, reason = %s, revision = coalesce(%s, revision),
            release = coalesce(nullif(%s, ''), release)
        WHERE id = %s
        """,
        (request.status, request.at, request.reason, request.revision, request.release, latest["id"]),
    )
    return str(latest["status"])


def recent(rows: Rows, request: RecentDeploymentsRequest) -> list[dict[str, Any]]:
    """Read those of a service that began or ended lately, newest first."""
    return rows.execute(
        """
        SELECT version, status, deployer, change_log, started_at, finished_at, revision, release, reason
        FROM runbooks.deployments
        WHERE service = %s AND coalesce(finished_at, started_at) >= now() - %s::interval
        ORDER BY started_at DESC, id DESC
        LIMIT %s
        """,
        (request.service, request.since, request.limit),
    ).fetchall()
