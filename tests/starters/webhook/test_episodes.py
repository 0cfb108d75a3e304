"""One trouble, one run: concurrent posts, several alerts, repeats, new firings, ends."""

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from activities.catalogue.lookup import Catalogue
from activities.catalogue.service import ApprovalPolicy, Grouping
from tests.plugins.patience import HANGS
from tests.starters.support import (
    PATH,
    RUN,
    alert,
    body,
    fresh,
    open_now,
    outcomes,
    run_of,
    send,
    serving,
    settings_for,
    waiting_for,
    working,
)
from tests.workflows.worlds.world import World
from workers import worker
from workers.clients import connect
from workers.settings import TemporalSettings
from workflows.incident_response.incident_words import Closing
from workflows.incident_response.p1_incident import P1Incident
from workflows.platform.search_attributes import PROCEDURE, SERVICE, SEVERITY

EVERYTHING = '[[route]]\nmatch_re = { severity = "P1|warning" }\nprocedure = "p1-incident"\n'
LATER = "2026-02-04T04:00:00Z"
NEXT_DAY = "2026-02-05T03:00:00Z"


async def test_twenty_posts_at_once_through_two_webhooks_are_one_run(
    temporal_address: str, tmp_path: Path, client: Client
) -> None:
    configured = settings_for(temporal_address, f"q-{uuid4()}", tmp_path, World())
    name = fresh()
    async with serving(configured) as one, serving(configured) as two:
        responses = await asyncio.gather(*(send(http, alert(name)) for http in [one, two] * 10))
    taken = [response.json()["alerts"][0] for response in responses]
    assert sorted(one["outcome"] for one in taken) == ["joined"] * 19 + ["started"]
    runs = {one["run_id"] for one in taken}
    assert len(runs) == 1
    description = await client.get_workflow_handle(run_of(name)).describe()
    assert description.run_id in runs
    found = description.typed_search_attributes
    assert (found[PROCEDURE], found[SEVERITY], found[SERVICE]) == ("P1Incident", "P1", "tensafe-server")
    assert await description.static_summary() == "P1 incident response: API down"
    assert "`alertname`: `TensafeServerDown`" in (await description.static_details() or "")
    assert description.task_queue == configured.temporal.task_queue


async def test_alerts_of_a_service_are_one_run_and_the_worst_one_leads(
    temporal_address: str, tmp_path: Path, client: Client
) -> None:
    configured = settings_for(temporal_address, f"q-{uuid4()}", tmp_path, World())
    (tmp_path / "routes.toml").write_text(EVERYTHING, encoding="utf-8")
    pods = [
        {
            **alert(fresh(), alertname="KubePodCrashLooping", pod=f"tensafe-server-{n}", severity="warning"),
            "annotations": {"summary": f"pod {n} crashes"},
        }
        for n in range(4)
    ]
    replicas = [alert(fresh(), prometheus_replica=f"prometheus-{n}", starts_at=LATER) for n in range(2)]
    async with serving(configured) as one, serving(configured) as two:
        assert await outcomes(one, *pods, *replicas) == ["joined"] * 4 + ["started", "joined"]
        assert await outcomes(two, alert(fresh(), alertname="TargetDown", instance="10.0.0.7:8080")) == ["joined"]
    description = await client.get_workflow_handle(RUN).describe()
    assert await description.static_summary() == "P1 incident response: API down"
    assert len((await description.memo())["episodes"]) >= 6


async def test_services_of_one_group_are_incidents_of_their_own(temporal_address: str, tmp_path: Path) -> None:
    configured = settings_for(temporal_address, f"q-{uuid4()}", tmp_path, World())
    other = f"billing-{fresh()}"
    both = configured.model_copy(update={"services": {**configured.services, other: World().service}})
    async with serving(both) as http:
        group = [alert(fresh(), service=name) for name in ("tensafe-server", other) * 2]
        taken = (await send(http, *group)).json()["alerts"]
    assert [one["outcome"] for one in taken] == ["started", "started", "joined", "joined"]
    assert [one["workflow_id"] for one in taken] == [RUN, f"p1-incident/{other}"] * 2


@pytest.mark.parametrize(("by", "runs"), [("service", 1), ("group", 2), ("alert", 4)])
async def test_settings_say_which_alerts_are_one_trouble(
    temporal_address: str, tmp_path: Path, by: Grouping, runs: int
) -> None:
    configured = settings_for(temporal_address, f"q-{uuid4()}", tmp_path, World())
    service = f"grouped-{fresh()}"
    grouped = World().service.model_copy(update={"alerts_by": by})
    async with serving(configured.model_copy(update={"services": {service: grouped}})) as http:
        found = set()
        for group in ("one", "two"):
            told = body(*(alert(fresh(), service=service) for _ in range(2))) | {"groupKey": f"{{}}:{group}"}
            found |= {taken["workflow_id"] for taken in (await http.post(PATH, json=told)).json()["alerts"]}
    assert len(found) == runs


async def test_what_a_rule_takes_from_labels_keeps_runs_apart(temporal_address: str, tmp_path: Path) -> None:
    configured = settings_for(temporal_address, f"q-{uuid4()}", tmp_path, World())
    (tmp_path / "routes.toml").write_text(
        '[[route]]\nmatch = { severity = "P1" }\nprocedure = "p1-incident"\ninput_labels = { title = "what" }\n',
        encoding="utf-8",
    )
    async with serving(configured) as http:
        told = [alert(fresh(), what=what) for what in ("disk", "disk", "network")]
        taken = (await send(http, *told)).json()["alerts"]
    assert [one["outcome"] for one in taken] == ["started", "joined", "started"]


async def test_a_firing_and_its_end_do_not_race(temporal_address: str, tmp_path: Path) -> None:
    world, queue, name = World(), f"q-{uuid4()}", fresh()
    async with (
        working(temporal_address, queue, world) as connected,
        serving(settings_for(temporal_address, queue, tmp_path, world)) as http,
    ):
        both = [alert(name), alert(name, status="resolved")]
        assert await outcomes(http, *both) == ["started", "resolved"]
        await closed(connected)
    assert len(world.done("records.acknowledge_alert")) == 1
    assert len(world.done("records.resolve_alert")) == 1


async def test_a_firing_that_comes_after_its_end_begins_nothing(
    temporal_address: str, tmp_path: Path, client: Client
) -> None:
    async with serving(settings_for(temporal_address, f"q-{uuid4()}", tmp_path, World())) as http:
        for late in ([fresh()], [fresh(), fresh()]):
            ends = [alert(name, status="resolved") for name in late]
            assert await outcomes(http, *ends, *(alert(name) for name in late)) == (
                ["resolved"] * len(late) + ["already_handled"] * len(late)
            )
            assert await outcomes(http, *(alert(name) for name in late)) == ["already_handled"] * len(late)
        assert await open_now(client) is None
        assert await outcomes(http, alert(late[0], starts_at=LATER)) == ["started"]


async def test_what_ended_incidents_took_stays_taken(temporal_address: str, tmp_path: Path) -> None:
    world, queue = World(), f"q-{uuid4()}"
    first, second, third = fresh(), fresh(), fresh()
    async with (
        working(temporal_address, queue, world) as connected,
        serving(settings_for(temporal_address, queue, tmp_path, world)) as http,
    ):
        assert await outcomes(http, alert(first), alert(second)) == ["started", "joined"]
        await closed(connected)
        # One incident later, of which the first alert says nothing.
        assert await outcomes(http, alert(third, starts_at=LATER)) == ["started"]
        await closed(connected)
        assert await outcomes(http, alert(first), alert(second)) == ["already_handled"] * 2
        mixed = [alert(first), alert(second, starts_at=NEXT_DAY)]
        assert await outcomes(http, *mixed) == ["already_handled", "started"]
        await closed(connected)
    assert len(world.done("records.create_incident")) == 3


async def closed(client: Client) -> None:
    handle = client.get_workflow_handle(RUN)
    await waiting_for(client, handle.id, "close")
    closing = Closing(who="ada", role="commander", resolution="restarted", root_cause="unknown")
    await handle.execute_update(P1Incident.close, closing)
    await handle.result()


async def test_an_episode_is_handled_once_and_the_next_firing_anew(temporal_address: str, tmp_path: Path) -> None:
    world, queue, name = World(), f"q-{uuid4()}", fresh()
    async with (
        working(temporal_address, queue, world) as connected,
        serving(settings_for(temporal_address, queue, tmp_path, world)) as http,
    ):
        assert await outcomes(http, alert(name)) == ["started"]
        assert await outcomes(http, alert(name)) == ["joined"]
        assert await outcomes(http, alert(name, starts_at=LATER)) == ["joined"]
        assert await outcomes(http, alert(name, status="resolved")) == ["resolved"]
        await closed(connected)
        # Alertmanager repeats what still fires, and retries what was not answered; in whichever zone it speaks.
        assert await outcomes(http, alert(name)) == ["already_handled"]
        assert await outcomes(http, alert(name, starts_at="2026-02-04T05:00:00+01:00")) == ["already_handled"]
        assert await outcomes(http, alert(name, status="resolved")) == ["resolved"]
        new = alert(name, starts_at=NEXT_DAY)
        taken = sorted(await asyncio.gather(*(outcomes(http, new) for _ in range(5))))
        assert taken == [["joined"]] * 4 + [["started"]]
        await closed(connected)
        assert await outcomes(http, new) == ["already_handled"]
    assert len(world.done("records.create_incident")) == 2
    assert len(world.done("records.acknowledge_alert")) == 3
    assert len(world.done("paging.page")) == 2
    assert len(world.done("records.resolve_alert")) == 1


async def test_a_resolved_alert_that_nobody_handles_starts_nothing(
    temporal_address: str, tmp_path: Path, client: Client
) -> None:
    async with serving(settings_for(temporal_address, f"q-{uuid4()}", tmp_path, World())) as http:
        assert await outcomes(http, alert(fresh(), status="resolved")) == ["resolved"]
        assert await open_now(client) is None


async def test_a_person_who_ended_a_run_is_not_overruled_but_a_failed_run_is_tried_again(
    temporal_address: str, tmp_path: Path, client: Client
) -> None:
    name, failing = fresh(), fresh()
    queue = f"q-{uuid4()}"
    async with serving(settings_for(temporal_address, queue, tmp_path, World())) as http:
        await outcomes(http, alert(name))
        await client.get_workflow_handle(RUN).terminate("by hand")
        assert await outcomes(http, alert(name)) == ["already_handled"]

        first = (await send(http, alert(failing))).json()["alerts"][0]
        await fail(temporal_address, queue, first["workflow_id"])
        again = (await send(http, alert(failing))).json()["alerts"][0]
        assert again["outcome"] == "started"
        assert again["run_id"] != first["run_id"]


async def fail(address: str, queue: str, workflow_id: str) -> None:
    """Work on a run with a catalogue that is empty, in which it fails at once."""
    connected = await connect(TemporalSettings(address=address))
    async with worker.build(connected, TemporalSettings(task_queue=queue), [Catalogue({}, ApprovalPolicy()).resolve]):
        handle = connected.get_workflow_handle(workflow_id)
        async with asyncio.timeout(HANGS):
            while (await handle.describe()).status is not WorkflowExecutionStatus.FAILED:
                await asyncio.sleep(0.05)
