"""A lever sets absolute shares, and takes for its own every share that it may have set."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from activities.autoscaling.states import Autoscaling
from activities.catalogue.service import Service
from activities.common.effects import Effect
from activities.kubernetes.cluster import ScaleDeployment
from activities.kubernetes.traffic import ShiftTraffic
from tests.workflows.disaster_recovery.recovery.recoveries import policy
from tests.workflows.worlds.outage import REPLICAS
from tests.workflows.worlds.world import World
from workflows.disaster_recovery.recovery.traffic_levers import ByIngress, ByReplicas, lever
from workflows.platform.runbook import Runbook


class Run:
    """Answers steps with a share and a number of replicas; an effect is lost where `lost`."""

    def __init__(self, *, replicas: int = 8, hpa_min: int | None = None, dry_run: bool = False) -> None:
        self.replicas, self.hpa_min, self.dry_run, self.lost = replicas, hpa_min, dry_run, False
        self.asked: list[Any] = []

    def effect(self, step: str) -> Effect:
        return Effect(key=step, workflow_id="w", run_id="r", actor="ada")

    async def step(self, _: str, __: str, ___: Any, request: Any, ____: Any) -> Any:
        self.asked.append(request)
        if self.lost:
            raise TimeoutError
        return SimpleNamespace(percent=100, replicas=self.replicas)

    async def attempt(self, *_: Any) -> Any:
        return None if self.hpa_min is None else Autoscaling(hpa_min=self.hpa_min)

    def last(self) -> Any:
        return self.asked[-1]


def service(**fields: Any) -> Service:
    return World().service.model_copy(update={"recovery": policy(**fields)})


async def made(run: Run, **fields: Any) -> Any:
    return await lever(cast("Runbook", run), service(**fields))


async def test_settings_say_which_lever_there_is() -> None:
    assert isinstance(await made(Run()), ByIngress)
    assert isinstance(await made(Run(), traffic=REPLICAS), ByReplicas)
    assert await made(Run(), traffic={"mode": "none"}) is None


async def test_a_share_whose_answer_was_lost_is_still_ours() -> None:
    run = Run()
    found = await made(run)
    run.lost = True
    with pytest.raises(TimeoutError):
        await found.set(10)
    run.lost = False
    await found.set(25)
    shift: ShiftTraffic = run.last()
    assert (shift.percent, shift.instead_of) == (25, [10, 25, 100])
    await found.set(50)
    assert run.last().instead_of == [25, 50]


async def test_a_plan_changes_no_share() -> None:
    run = Run(dry_run=True)
    found = await made(run)
    await found.set(10)
    await found.set(25)
    assert run.last().instead_of == [25, 100]


@pytest.mark.parametrize(
    ("percent", "hpa_min", "replicas"),
    [(10, None, 1), (30, None, 3), (31, None, 3), (100, None, 8), (10, 3, 3), (100, 20, 8), (1, 20, 8)],
)
async def test_a_share_of_the_pods_is_rounded_up_and_not_below_the_autoscalers_minimum(
    percent: int, hpa_min: int | None, replicas: int
) -> None:
    run = Run(hpa_min=hpa_min)
    found = await made(run, traffic=REPLICAS)
    await found.set(percent)
    scale: ScaleDeployment = run.last()
    assert scale.replicas == replicas


async def test_only_on_the_way_up_more_pods_are_somebodys_need() -> None:
    run = Run()
    found = await made(run, traffic=REPLICAS)
    await found.set(10)
    assert not run.last().at_least
    await found.set(50)
    assert run.last().at_least
