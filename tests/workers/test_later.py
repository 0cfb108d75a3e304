"""Systems are made when their first activity runs: once, whoever comes first, and tried again where it failed."""

import asyncio
import inspect
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from temporalio import activity

from activities.common.effects import effect, is_effect
from tests.plugins.patience import HANGS
from workers.later import Later, activities_of


class Pump:
    """A system with a method of each kind."""

    made = 0

    def __init__(self, level: int = 7) -> None:
        type(self).made += 1
        self.level = level

    @activity.defn(name="pump.fill")
    @effect
    def fill(self, amount: int) -> int:
        return self.level + amount

    @activity.defn(name="pump.drain")
    async def drain(self, amount: int) -> int:
        await asyncio.sleep(0)
        return self.level - amount

    def helper(self) -> None: ...


@pytest.fixture(autouse=True)
def _none_made() -> None:
    Pump.made = 0


def test_activities_are_known_before_their_system_is_made() -> None:
    activities = {activity._Definition.must_from_callable(one).name: one for one in activities_of(Pump, Later(Pump))}
    assert set(activities) == {"pump.fill", "pump.drain"}
    definition = activity._Definition.must_from_callable(activities["pump.fill"])
    assert (definition.arg_types, definition.ret_type, definition.is_async) == ([int], int, False)
    assert activity._Definition.must_from_callable(activities["pump.drain"]).is_async
    assert is_effect(activities["pump.fill"])
    assert not is_effect(activities["pump.drain"])
    assert Pump.made == 0
    # The SDK warns of a function whose first parameter is `self`.
    assert [list(inspect.signature(one).parameters) for one in activities.values()] == [["amount"], ["amount"]]


async def test_all_activities_of_a_kind_act_through_one_system() -> None:
    drain, fill = activities_of(Pump, Later(Pump))
    assert (fill(1), fill(2), await drain(3)) == (8, 9, 4)
    assert Pump.made == 1


def test_whoever_comes_while_it_is_made_waits_for_it() -> None:
    making = threading.Event()

    def make() -> Pump:
        making.set()
        time.sleep(0.2)
        return Pump()

    later = Later(make)
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(later)
        making.wait()
        assert len({id(found.result()) for found in [first, *(threads.submit(later) for _ in range(7))]}) == 1
    assert Pump.made == 1


async def test_the_event_loop_goes_on_while_a_system_is_made() -> None:
    goes_on = threading.Event()

    def make() -> Pump:
        assert goes_on.wait(HANGS), "the loop waits for this, and this for the loop"
        return Pump()

    drain, _ = activities_of(Pump, Later(make))
    running = asyncio.create_task(drain(0))
    await asyncio.sleep(0.01)
    goes_on.set()
    assert await running == 7


def test_what_could_not_be_made_is_tried_again() -> None:
    answers = iter([RuntimeError("not yet"), None])

    def make() -> Pump:
        if (error := next(answers)) is not None:
            raise error
        return Pump()

    later = Later(make)
    with pytest.raises(RuntimeError, match="not yet"):
        later()
    assert later() is later()
