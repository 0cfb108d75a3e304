"""Deployment records: one row a rollout, moved on from started to how it ended."""

from typing import TYPE_CHECKING

from activities.backends.ledger import Rows
from activities.effects import Change

if TYPE_CHECKING:
    from activities.records import RecordDeployment

_MOVES_ON_FROM = {
    "complete": ["started"],
    "failed": ["started"],
    "rolled_back": ["started", "complete", "failed"],
}


def record(rows: Rows, request: "RecordDeployment") -> Change:
    """Start a record, or move the version's latest one on; one that nobody started is written as it ended."""
    target = f"deployment/{request.service}@{request.version}"
    if request.status != "started":
        moved = _move_on(rows, request)
        if moved is not None:
            return Change(target=target, before=moved, after=request.status, applied=True, note=request.reason)
    rows.execute(
        """
        INSERT INTO runbooks.deployments
               (service, version, status, deployer, change_log, revision, reason,
                started_at, finished_at, workflow_id, run_id, effect_key)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (request.service, request.version, request.status, request.deployer, request.change_log, request.revision,
         request.reason, request.at, None if request.status == "started" else request.at,
         request.effect.workflow_id, request.effect.run_id, request.effect.key),
    )  # fmt: skip
    return Change(target=target, after=request.status, applied=True, note=request.reason)


def _move_on(rows: Rows, request: "RecordDeployment") -> str | None:
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
        SET status = %s, finished_at = %s, reason = %s, revision = coalesce(%s, revision)
        WHERE id = %s
        """,
        (request.status, request.at, request.reason, request.revision, latest["id"]),
    )
    return str(latest["status"])
