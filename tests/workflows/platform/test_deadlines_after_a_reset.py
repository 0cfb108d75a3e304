"""An incident is reset on a real Temporal: what it had reached counts from then, and no deadline is missed by it."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from temporalio import activity
from temporalio.client import WorkflowHandle

from activities.catalogue.service import IncidentPolicy
from activities.kubernetes.cluster import PodsRequest
from activities.kubernetes.states import Pods
from activities.monitoring.resets import Resets
from audit.live import fetch
from audit.payloads import Decoder
from audit.report_reading import deadlines, is_incident, reached
from tests.crash.leftovers import reset
from tests.workflows.steering import begin, until
from tests.workflows.worlds.world import World, instead
from workers.clients import connect
from workers.settings import TemporalSettings
from workers.worker import build
from workflows.incident_response.p1_incident import P1Incident, P1Request
from workflows.platform.run_status import RunStatus

DUE = timedelta(seconds=45)
"""In which a P1 is mitigated on a busy machine as well; the test waits until it has passed."""


def of_deadlines(status: RunStatus) -> set[tuple[datetime, str]]:
    return {(entry.at, entry.text) for entry in status.entries if entry.kind == "deadline"}


async def test_what_was_reached_before_counts_from_then_and_what_was_missed_is_said_once(
    temporal_address: str,
) -> None:
    # Assessed is missed at once, the others are met; then their time passes.
    world = World(IncidentPolicy(assess_within=timedelta(milliseconds=1), acknowledge_within=DUE, mitigate_within=DUE))
    world.bad_release()
    world.cures = {"rollback"}
    pods = next(one for one in world.activities() if name_of(one) == "kubernetes.pods")

    @activity.defn(name="kubernetes.pods")
    async def slowly(request: PodsRequest) -> Pods:
        await asyncio.sleep(3)
        found: Pods = pods(request)
        return found

    queue, client = f"reset-{uuid4()}", await connect(TemporalSettings(address=temporal_address))
    async with build(
        client,
        TemporalSettings(task_queue=queue),
        instead(world.activities(), slowly, Resets().done),
        workflows=[P1Incident],
    ):
        first = await begin(client, queue, P1Request(), "p1_incident")
        before = await until(first, lambda now: now.waiting_for == "close")
        assert any("Assessed: deadline of" in text for _, text in of_deadlines(before))
        met = {clock.name: clock.met_at for clock in before.clocks}
        assert all(met.values()), before.clocks
        pages = keys_of(world, "paging.page")
        begun = (await first.describe()).start_time
        await asyncio.sleep(max((begun + DUE - datetime.now(UTC)).total_seconds(), 0))

        again: WorkflowHandle[Any, Any] = await reset(client, first)
        after = await until(again, lambda now: now.waiting_for == "close")
        assert "was reset" in str(after.entries)
        assert {clock.name: clock.met_at for clock in after.clocks} == met
        assert {clock.name: clock.missed for clock in after.clocks} == {c.name: c.missed for c in before.clocks}
        assert of_deadlines(after) == of_deadlines(before), "the same lines, at the same times"
        assert keys_of(world, "paging.page") == pages, "nobody is paged for a deadline that was met"

        one = (await fetch(client, again.id, again.run_id)).story(Decoder())
        assert is_incident(one)
        assert reached(one) == met
        assert dict(deadlines(one)) == {
            "Acknowledged": "kept",
            "Assessed": "missed",
            "Mitigated": "kept",
            "Stable": "kept",
        }
        await again.terminate("the test has seen enough")


def name_of(one: Callable[..., Any]) -> str | None:
    return activity._Definition.must_from_callable(one).name


def keys_of(world: World, name: str) -> set[str]:
    return {request.effect.key for request in world.done(name)}
