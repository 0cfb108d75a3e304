"""Other services of the namespace are restarted on a person's word alone."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from activities.catalogue.lookup import Neighbour
from tests.workflows.worlds.world import World
from workflows.disaster_recovery.recovery.others import ALL, OWN, STOP, agreed, touched
from workflows.disaster_recovery.recovery.restart import Stages
from workflows.platform.approval import Answer, Question
from workflows.platform.runbook import Runbook

SERVICE = World().service
STAGES = [["shop", "worker"], ["shop-cache"], [SERVICE.deployment]]


def neighbour(service: str, deployment: str, namespace: str = SERVICE.namespace) -> Neighbour:
    return Neighbour(service=service, namespace=namespace, deployment=deployment, selector="", shares=[])


NEIGHBOURS = [neighbour("shop", "shop"), neighbour("cache", "shop-cache"), neighbour("far", "worker", "elsewhere")]


class Run:
    """As much of a run as is asked of it; a person answers with `choice`."""

    def __init__(self, choice: str, neighbours: list[Neighbour] | None, *, dry_run: bool = False) -> None:
        self.pinned = SimpleNamespace(neighbours=neighbours)
        self.dry_run = dry_run
        self.asked: list[Question] = []
        self.said: list[str] = []
        self._choice = choice

    def say(self, _: str, text: str, **__: Any) -> None:
        self.said.append(text)

    def background(self, _: Any) -> None:
        pass

    async def ask(self, question: Question, **_: Any) -> Answer:
        self.asked.append(question)
        return Answer(choice=self._choice, by="ada (commander)")


async def decide(run: Run) -> Stages | None:
    desk: Any = SimpleNamespace(ask=lambda _: None, escalate=None)
    return await agreed(cast("Runbook", run), desk, SERVICE, STAGES)


def test_only_deployments_of_the_namespace_that_are_restarted_are_touched() -> None:
    known = [*NEIGHBOURS, neighbour("other", "other"), neighbour("itself", SERVICE.deployment)]
    run = cast("Runbook", Run(OWN, known))
    assert touched(run, SERVICE, STAGES) == {"shop": "shop", "shop-cache": "cache"}


@pytest.mark.parametrize("neighbours", [None, [], NEIGHBOURS[2:]])
async def test_nobody_is_asked_where_no_other_is_touched(neighbours: list[Neighbour] | None) -> None:
    run = Run(STOP, neighbours)
    assert await decide(run) == STAGES
    assert run.asked == []


@pytest.mark.parametrize(
    ("choice", "expected"), [(OWN, [["worker"], [SERVICE.deployment]]), (ALL, STAGES), (STOP, None)]
)
async def test_what_is_restarted_is_what_was_answered(choice: str, expected: Stages | None) -> None:
    run = Run(choice, NEIGHBOURS)
    assert await decide(run) == expected
    (question,) = run.asked
    assert (question.default, question.reason_for) == (OWN, [ALL])
    assert bool(run.said) is (choice == OWN)


async def test_a_plan_says_what_it_would_ask() -> None:
    run = Run(STOP, NEIGHBOURS, dry_run=True)
    assert await decide(run) == STAGES
    assert run.asked == []
    assert "would ask" in run.said[0]
