"""Only what is past its time and of no living run is left; what has changed hands since is not given back."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.common.effects import Effect
from activities.common.errors import Unavailable
from activities.holds.holds import GiveBack, Holds, LookForLeft
from activities.holds.kinds import (
    Hold,
    Place,
)
from tests.activities.autoscaling.conftest import autoscalers, scaled  # noqa: F401
from tests.activities.kubernetes.on_cluster import an_effect

PAST = datetime.now(UTC) - timedelta(hours=2)


class Marked:
    """A kind whose holds are as told."""

    kind = "Deployment"

    def __init__(self, *holds: Hold, fails: bool = False) -> None:
        self.there = list(holds)
        self.fails = fails
        self.given: list[Hold] = []

    def places(self) -> Iterator[Place]:
        return iter([hold.place for hold in self.there])

    def held(self, place: Place) -> list[Hold]:
        if self.fails:
            raise Unavailable("the API server doesn't answer")
        return [hold for hold in self.there if hold.name == place.name]

    def give_back(self, hold: Hold, effect: Effect) -> Any:
        raise AssertionError(f"{hold} {effect}")


def held_by(run: str, *, first_run: str = "", until: datetime = PAST, at_once: bool = False) -> Hold:
    place = Place(service="s", channel="#c", namespace="n", name=run)
    return Hold(**place.model_dump(), kind="Deployment", run=run, first_run=first_run, until=until, at_once=at_once)


class Temporal:
    """Answers what runs there are; the rest of a client is of no use here."""

    def get_workflow_handle(self, run: str) -> Any:
        async def describe() -> Any:
            if run == "forgotten":
                raise RPCError("no such run", RPCStatusCode.NOT_FOUND, b"")
            if run == "away":
                raise RPCError("nobody answers", RPCStatusCode.UNAVAILABLE, b"")
            status = WorkflowExecutionStatus.RUNNING if run.startswith("lives") else WorkflowExecutionStatus.TERMINATED
            info = SimpleNamespace(first_run_id="first")
            raw = SimpleNamespace(workflow_execution_info=info)
            return SimpleNamespace(status=status, run_id="later", raw_description=raw)

        return SimpleNamespace(describe=describe)


@pytest.fixture
def temporal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activities.holds.holds.activity.client", lambda: cast("Client", Temporal()))


@pytest.mark.usefixtures("temporal")
async def test_only_what_is_past_its_time_and_of_no_run_is_left() -> None:
    soon = datetime.now(UTC) + timedelta(minutes=5)
    kind = Marked(
        held_by("gone"),
        held_by("forgotten"),
        held_by("gone-soon", until=soon),
        held_by("gone-at-once", until=soon, at_once=True),
        held_by("lives-at-once", until=soon, at_once=True),
        held_by("lives"),
        held_by("lives-on", first_run="first"),
        held_by("lives-anew", first_run="an earlier chain"),
    )
    found = await Holds(lambda: [kind]).left(LookForLeft())
    assert {hold.run for hold in found.items} == {"gone", "gone-at-once", "forgotten", "lives-anew"}
    assert (found.held, found.late) == (8, 2)


@pytest.mark.usefixtures("temporal")
async def test_while_temporal_is_away_nothing_is_left() -> None:
    with pytest.raises(Unavailable):
        await Holds(lambda: [Marked(held_by("gone"), held_by("away"))]).left(LookForLeft())


@pytest.mark.usefixtures("temporal")
async def test_what_cannot_be_looked_at_is_told_and_hides_no_other() -> None:
    found = await Holds(lambda: [Marked(held_by("x"), fails=True), Marked(held_by("gone"))]).left(LookForLeft())
    assert [hold.run for hold in found.items] == ["gone"]
    assert "API server doesn't answer" in found.unread[0]


@pytest.mark.usefixtures("temporal")
@pytest.mark.parametrize(
    ("now", "after"),
    [
        ([held_by("lives")], "left to its run"),
        ([], "given back already"),
        ([held_by("gone", until=PAST + timedelta(hours=1))], "held anew"),
    ],
)
async def test_what_has_changed_since_it_was_found_is_left(now: list[Hold], after: str) -> None:
    hold = now[0] if after == "left to its run" else held_by("gone")
    change = await Holds(lambda: [Marked(*now)]).give_back(GiveBack(hold=hold, effect=an_effect()))
    assert (change.after, change.applied) == (after, False)
