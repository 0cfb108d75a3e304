"""What is told of a procedure's past runs: drills stand apart."""

import asyncio
from datetime import timedelta

from temporalio.client import Client

from starters.steering.session import Session
from starters.web.durations import Durations, Past
from starters.web.place import part
from tests.plugins.patience import HANGS
from tests.workflows.steering import begin
from tests.workflows.worlds.platform import Platform
from workers.registry import procedure
from workers.settings import Settings, TemporalSettings
from workers.worker import build
from workflows.scaling.manual_scale_up import ManualScaleUp, ManualScaleUpRequest

NAME, STAND_IN = "manual_scale_up", "stand-in"


async def test_a_run_of_a_service_to_practise_on_is_a_drill(client: Client, temporal_address: str) -> None:
    world, queue = Platform(), "q-drills"
    stand_in = world.service.model_copy(update={"drill": True})
    world.others = {STAND_IN: stand_in}
    services = {"tensafe-server": world.service, STAND_IN: stand_in}
    session = Session(Settings(temporal=TemporalSettings(address=temporal_address), services=services), client)

    async def past() -> Past:
        return await Durations(session).of(procedure(NAME))

    async with build(client, TemporalSettings(task_queue=queue), world.activities(), workflows=[ManualScaleUp]):
        before = await past()
        for service in services:
            handle = await begin(client, queue, ManualScaleUpRequest(service=service), NAME)
            await handle.result()
        async with asyncio.timeout(HANGS):
            while (now := await past()).drilled == before.drilled or now.last == before.last:
                await asyncio.sleep(0.05)
    assert now.runs == before.runs + 1
    assert now.drill_worked
    assert "last drill" in part("_past.html.j2", past=now).html
    assert "as it should" in part("_past.html.j2", past=now).html
    assert "no drill" in part("_past.html.j2", past=Past()).html


def test_one_past_run_has_no_half_and_no_nineteen_of_twenty() -> None:
    took = timedelta(seconds=3)
    one, two = (part("_past.html.j2", past=Past(runs=runs, half=took, most=took)).html for runs in (1, 2))
    assert "1 run, 0 failed · took 3.0 s" in one
    assert "nineteen of twenty" not in one
    assert "2 runs, 0 failed · half within 3.0 s, nineteen of twenty within 3.0 s" in two
