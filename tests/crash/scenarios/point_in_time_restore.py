"""A restore: every row of before the target, none of after; or exactly what there was. Never without writes."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import httpx
import psycopg
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle

from sandbox.service_database import NAME, PRIMARY, SPARES, ServiceDatabase
from tests.activities.database.damaged_database import overwrite
from tests.crash.database_world import DatabaseScenario
from tests.crash.people import decide, when
from tests.crash.scenario import Case, EndState
from workflows.disaster_recovery.restore.point_in_time_restore import PointInTimeRestoreRequest

SPARE = SPARES[0]
GOOD, LATER = 100, 5
"""Rows of before the target, and of after."""

_BACK = {
    f"the service is pointed at {PRIMARY}": 1,
    f"{PRIMARY} takes writes": 1,
    f"{PRIMARY} is fenced": 0,
    f"{SPARE} has data": 0,
    "the service can write": 1,
    "rows of marks": GOOD // 2 + LATER,
    "replicas ready": 3,
    "Deployment notes stop-writes": 1,
    "Deployment notes scale-back": 1,
}


class RestoreScenario(DatabaseScenario):
    """Half of the rows are deleted, others are added, and a page is damaged: a person switches over."""

    name = "point-in-time-restore"
    procedure = "point_in_time_restore"
    backup = True
    restart_crashed = True
    tables = ("adapters", "marks")
    programs: ClassVar[tuple[str, ...]] = (
        "PointInTimeRestore/restore",
        "PointInTimeRestore/fence",
        "PointInTimeRestore/backup",
    )
    databases: ClassVar = {
        "PointInTimeRestore/stop-writers": (PRIMARY,),
        "PointInTimeRestore/seal": (PRIMARY,),
        "PointInTimeRestore/restore": (SPARE, PRIMARY),
        "PointInTimeRestore/follow": (SPARE,),
    }
    leaves: ClassVar = {
        f"the service is pointed at {SPARE}": 1,
        f"{SPARE} takes writes": 1,
        f"{PRIMARY} is fenced": 1,
        f"{PRIMARY} has data": 1,
        "the service can write": 1,
        "rows of marks": GOOD,
        "rows of before the target": GOOD,
        "damaged rows": 1000,
        "replicas ready": 3,
        "backups": 2,
        "Deployment notes stop-writes": 1,
        "Deployment notes scale-back": 1,
    }

    def __init__(self) -> None:
        super().__init__()
        self.targets: dict[str, datetime] = {}

    def database_policy(self, case: Case) -> dict[str, Any]:
        rule = {"name": "marks are counted from 1", "sql": "SELECT min(id) = 1 FROM marks"}
        return {
            "restore": {
                "decision_timeout": "PT10M",
                "check_within": "PT5M",
                "leave_within": "PT1S",
                "longest_restore": "PT8M",
                "checks": [rule],
                "notify_customers": False,
            }
        }

    def begin(self, case: Case, health: str) -> None:
        self.targets[case.namespace] = damage(self.database(case))

    def request(self, case: Case) -> PointInTimeRestoreRequest:
        return PointInTimeRestoreRequest(target_time=self.targets[case.namespace], forensics=timedelta(0))

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        await decide(handle, "switch", "switch")

    def look(self, case: Case, api: httpx.Client, state: EndState) -> None:
        super().look(case, api, state)
        database = self.database(case)
        listed = json.loads(database.barman.run("-f", "json", "list-backups", NAME))[NAME]
        state.counts["backups"] = sum(backup["status"] in {"DONE", "WAITING_FOR_WALS"} for backup in listed)
        if state.counts[f"the service is pointed at {SPARE}"]:
            with psycopg.connect(database.service_url(SPARE)) as connection:
                for what, query in (
                    ("rows of before the target", f"SELECT count(*) FROM marks WHERE id BETWEEN 1 AND {GOOD}"),
                    ("damaged rows", "SELECT count(*) FROM ledger WHERE note = repeat('x', 100)"),
                ):
                    row = connection.execute(query.encode()).fetchone()
                    assert row is not None
                    state.counts[what] = row[0]


class DeclinedRestoreScenario(RestoreScenario):
    """A person would rather have what there is."""

    name = "point-in-time-restore-declined"
    leaves: ClassVar = _BACK
    programs: ClassVar[tuple[str, ...]] = ("PointInTimeRestore/restore", "PointInTimeRestore/discard-spare")
    databases: ClassVar = {}

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        await decide(handle, "switch", "keep")


class CancelledRestoreScenario(RestoreScenario):
    """The run is cancelled in the middle of it."""

    name = "point-in-time-restore-cancelled"
    end = WorkflowExecutionStatus.CANCELED
    leaves: ClassVar = _BACK
    programs: ClassVar[tuple[str, ...]] = ()
    databases: ClassVar = {}

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        await when(handle, lambda status: status.waiting_for == "decide switch")
        await handle.cancel()


def damage(database: ServiceDatabase) -> datetime:
    """Enter rows, mark the time, destroy some and add others, and damage a page of a table; gives the time."""
    with psycopg.connect(database.service_url(PRIMARY), autocommit=True) as connection:
        connection.execute("CREATE TABLE marks (id integer PRIMARY KEY)")
        connection.execute("CREATE TABLE ledger AS SELECT n, repeat('x', 100) AS note FROM generate_series(1, 1000) n")
        connection.execute(f"INSERT INTO marks SELECT generate_series(1, {GOOD})".encode())
        row = connection.execute("SELECT clock_timestamp(), pg_relation_filepath('ledger')").fetchone()
        assert row is not None
        connection.execute("DELETE FROM marks WHERE id % 2 = 0")
        for number in range(LATER):
            connection.execute("INSERT INTO marks VALUES (%s)", (1001 + number,))
    database.do("stop", PRIMARY)
    overwrite(database.data(PRIMARY) / row[1], 3)
    database.do("start", PRIMARY)
    target: datetime = row[0]
    return target.astimezone(UTC)
