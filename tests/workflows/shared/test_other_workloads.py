"""Other workloads are stopped and given back each by itself, and what can't be is said."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio.exceptions import ActivityError

from activities.catalogue.workloads import WorkloadPolicy
from activities.common.effects import Effect
from tests.workflows.worlds.world import World
from workflows.platform.runbook import Runbook
from workflows.shared.other_workloads import OtherWorkloads, WorkloadIn, or_tell

UNTIL = datetime(2026, 2, 4, tzinfo=UTC)


def at(name: str, kind: Any = "StatefulSet", namespace: str = "tensafe") -> WorkloadIn:
    return WorkloadIn(namespace=namespace, home="tensafe", workload=WorkloadPolicy(kind=kind, name=name))


class Run:
    """A run whose workloads end as `ends` says; what isn't named there can't be stopped or looked at."""

    def __init__(self, ends: dict[str, str], *, dry_run: bool = False) -> None:
        self.ends, self.dry_run = ends, dry_run
        self.said: list[str] = []
        self.titles: list[str] = []

    def effect(self, step: str) -> Effect:
        return Effect(key=step, workflow_id="w", run_id="r", actor="ada")

    def say(self, _: str, text: str, **__: Any) -> None:
        self.said.append(text)

    async def attempt(self, _: str, title: str, __: Any, request: Any, ___: Any) -> Any:
        self.titles.append(title)
        return SimpleNamespace(waiting_for=self.ends[request.name]) if request.name in self.ends else None


def workloads(run: Run) -> OtherWorkloads:
    return OtherWorkloads(cast("Runbook", run), World().service)


def test_two_of_one_name_are_told_apart() -> None:
    found = [at("queue"), at("queue", "Deployment"), at("queue", namespace="shop")]
    assert [one.step for one in found] == ["statefulset-queue", "deployment-queue", "shop-statefulset-queue"]


async def test_what_still_runs_or_cannot_be_stopped_is_a_doubt() -> None:
    run = Run({"queue": "", "cache": "1 pod"})
    doubts = await workloads(run).stop("7.3", [at("queue"), at("cache"), at("gone")], UNTIL)
    assert doubts == [f"{at('cache')}: 1 pod", f"{at('gone')}: could not be looked at"]
    assert run.said == doubts


async def test_a_plan_waits_for_nothing() -> None:
    run = Run({}, dry_run=True)
    assert await workloads(run).stop("7.3", [at("queue")], UNTIL) == []
    assert run.titles == [f"Stop {at('queue')}"]


async def test_what_is_not_ready_is_named_with_why() -> None:
    run = Run({"queue": "", "cache": "1 pod"})
    assert await workloads(run).ailing("7.3", [at("queue"), at("cache")]) == [f"{at('cache')}: 1 pod"]


@pytest.mark.parametrize("refused", [False, True])
async def test_people_are_paged_where_it_was_refused(*, refused: bool) -> None:
    paged: list[str] = []

    async def escalate(why: str) -> None:
        paged.append(why)

    async def work() -> None:
        if refused:
            raise ActivityError(
                "no",
                scheduled_event_id=1,
                started_event_id=2,
                identity="",
                activity_type="x",
                activity_id="1",
                retry_state=None,
            )

    await or_tell(cast("Any", SimpleNamespace(escalate=escalate)), work(), "do it by hand")
    assert paged == (["do it by hand"] if refused else [])
