"""The sweep looks at holds also where incidents can't be looked at."""

from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio.client import Client

from tests.workflows.conftest import Working
from tests.workflows.upkeep.leaving import Left, an_incident
from workflows.upkeep.sweep_holds import SweepHolds, SweepRequest


@pytest.mark.parametrize("away", [False, True])
async def test_the_sweep_looks_at_holds_also_where_incidents_cannot_be_looked_at(
    world: Left, working: Working, client: Client, *, away: bool
) -> None:
    world.records_away = away
    async with working(world.activities()) as queue:
        result = await client.execute_workflow(
            SweepHolds.run, SweepRequest(), id=f"sweep-{uuid4()}", task_queue=queue, run_timeout=timedelta(hours=1)
        )
        if not away:
            await client.get_workflow_handle("leave-incident/INC-1").result()
    assert result.held == 2
    if away:
        assert result.unread == ["open incidents: the records don't answer"]
        assert result.incidents == []
    else:
        assert result.incidents == [an_incident().because]
