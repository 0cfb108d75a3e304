"""What a real Temporal knows of a service: its open runs, and the schedules that are its own or everybody's."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from temporalio.client import Client, Schedule, ScheduleActionStartWorkflow, ScheduleIntervalSpec, ScheduleSpec
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.testing import ActivityEnvironment

from activities.monitoring.runs import Runs, ServiceRuns, ServiceRunsRequest
from tests.end_to_end.conftest import eventually
from workers.clients import connect
from workers.settings import TemporalSettings
from workflows.platform.search_attributes import SERVICE, WAITING_FOR


async def asked(client: Client, service: str) -> ServiceRuns:
    found: ServiceRuns = await ActivityEnvironment(client=client).run(
        Runs().of_service, ServiceRunsRequest(service=service)
    )
    return found


async def test_open_runs_and_schedules_of_one_service(temporal_address: str) -> None:
    client = await connect(TemporalSettings(address=temporal_address))
    mine, others = f"service-{uuid4()}", f"other-{uuid4()}"
    for service in (mine, others):
        await client.start_workflow(
            "DatabaseFailover",
            id=f"run of {service}",
            task_queue="nobody",
            memo={"runbook": {"title": "Failover"}},
            search_attributes=TypedSearchAttributes(
                [SearchAttributePair(SERVICE, service), SearchAttributePair(WAITING_FOR, "decide promote")]
            ),
        )
        action = ScheduleActionStartWorkflow("Nothing", id="nothing", task_queue="nobody")
        hourly = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(hours=1))])
        await client.create_schedule(f"pulse/{service}", Schedule(action=action, spec=hourly))

    async def known() -> ServiceRuns | None:
        found = await asked(client, mine)
        return found if found.items and any(one.name.startswith("pulse/") for one in found.schedules) else None

    found: ServiceRuns = await eventually(known)
    (run,) = found.items
    assert str(run) == f"Failover (`run of {mine}`, waits: decide promote)"
    (schedule,) = [one for one in found.schedules if "/" in one.name]
    assert (schedule.name, schedule.paused, schedule.missed) == (f"pulse/{mine}", False, 0)
    assert datetime.now(UTC) < schedule.upcoming[0] <= datetime.now(UTC) + timedelta(hours=1)
    for service in (mine, others):
        await client.get_schedule_handle(f"pulse/{service}").delete()
        await client.get_workflow_handle(f"run of {service}").terminate()
