"""What the tests of a failover (7.1) ask, and what counts as a change."""

from datetime import datetime
from typing import Any

from activities.records.alerts import Alert
from tests.workflows.steering import Handle, waiting_for
from tests.workflows.worlds.failing_primary import SILENT, FailingPrimary
from workflows.disaster_recovery.failover.database_failover import DatabaseFailover
from workflows.platform.approval import Decision

NAME = "database_failover"
DBA = {"who": "ada", "role": "dba"}
CHANGES = (
    "database_hosts.fence",
    "replication.promote",
    "replication.follow",
    "database_secrets.point",
    "kubernetes.restart_rollout",
)


def alert(starts_at: datetime = SILENT, **fields: Any) -> Alert:
    return Alert(source="alertmanager", fingerprint="f", name="DatabaseDown", starts_at=starts_at, **fields)


def changed(world: FailingPrimary) -> list[str]:
    return [name for name, _ in world.effects if name in CHANGES]


async def decide(handle: Handle, question: str, choice: str, reason: str = "") -> None:
    await waiting_for(handle, f"decide {question}")
    decision = Decision(**DBA, question=question, choice=choice, reason=reason)
    await handle.execute_update(DatabaseFailover.decide, decision)
