"""Each role and version that is missing has one run of its own, however often it is looked."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.client import Client

from activities.monitoring.workers import LookForMissing, MissingRole, MissingRoles, WaitingRun
from tests.workflows.conftest import Working
from workflows.upkeep.look_for_workers import LookForWorkers, LookRequest, LookResult, _which

RUN = WaitingRun(workflow_id="w", run_id="r", step="slack.post", since=datetime(2026, 2, 4, 3, tzinfo=UTC))


@pytest.mark.parametrize(
    ("role", "build_id", "expected"),
    [("database", "", "database"), ("", "v2", "version-v2"), ("database", "v2", "database-version-v2")],
)
def test_a_role_of_a_version_is_another_than_either(role: str, build_id: str, expected: str) -> None:
    assert _which(MissingRole(role=role, build_id=build_id, runs=[RUN])) == expected


@pytest.mark.parametrize("missing", [[], [MissingRole(role="database", runs=[RUN])]])
async def test_a_look_begins_one_run_for_what_is_missing(
    working: Working, client: Client, missing: list[MissingRole]
) -> None:
    looked: list[str] = []

    @activity.defn(name="workers.missing")
    async def look(request: LookForMissing) -> MissingRoles:
        looked.append(request.role or "")
        return MissingRoles(items=[] if request.role else missing)

    async def again(queue: str) -> LookResult:
        return await client.execute_workflow(LookForWorkers.run, LookRequest(), id=f"look-{uuid4()}", task_queue=queue)

    async with working([look]) as queue:
        found = [await again(queue), await again(queue)]
        ended: list[Any] = [
            await client.get_workflow_handle(f"missing-worker/{queue}-{each.role}").result() for each in missing
        ]
    assert [len(one.missing) for one in found] == [len(missing)] * 2
    assert all("no run waits for role database any more" in end for end in ended)
