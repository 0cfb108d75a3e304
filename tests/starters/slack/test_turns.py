"""Whose turn it is: runs that nobody answers for stand behind all others."""

import asyncio
from collections import Counter

from starters.slack.turns import AT_ONCE, Key, Turns


class Runs:
    """Some answer at once; others are asked for as long as this test lasts, or say that nobody has answered."""

    def __init__(self) -> None:
        self.asked: Counter[Key] = Counter()
        self.at_once = 0
        self.most_at_once = 0
        self.answers: set[Key] = set()
        self.let_go = asyncio.Event()

    async def look(self, key: Key) -> bool:
        self.asked[key] += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if key not in self.answers:
                await self.let_go.wait()
            return key in self.answers
        finally:
            self.at_once -= 1


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def keys(word: str, number: int) -> list[Key]:
    return [(f"{word}-{one}", "r") for one in range(number)]


async def test_who_has_not_answered_takes_half_of_the_places_at_most() -> None:
    runs = Runs()
    turns, silent, fine = Turns(runs.look), keys("silent", 40), keys("fine", 5)
    turns.take(silent)
    await settled()
    assert len(runs.asked) == AT_ONCE
    runs.let_go.set()
    await settled()
    assert set(runs.asked) == set(silent), "each has been asked once, and none again so soon"
    assert set(runs.asked.values()) == {1}
    runs.let_go.clear()
    runs.answers |= set(fine)
    turns.take([*silent, *fine])
    await settled()
    assert [runs.asked[one] for one in fine] == [1] * 5
    assert runs.most_at_once == AT_ONCE
    turns.stop()


async def test_a_run_that_waits_is_not_looked_at_twice_at_once() -> None:
    runs = Runs()
    turns, (one,) = Turns(runs.look), keys("slow", 1)
    for _ in range(3):
        turns.take([one, one])
        await settled()
    assert runs.asked[one] == 1
    runs.answers.add(one)
    runs.let_go.set()
    await settled()
    assert runs.asked[one] == 2, "once more afterwards: it has changed meanwhile"
    turns.stop()


async def test_who_answers_again_is_one_of_all_again() -> None:
    runs = Runs()
    turns, (one,) = Turns(runs.look), keys("back", 1)
    runs.let_go.set()
    turns.take([one])
    await settled()
    turns.take([one])
    await settled()
    assert runs.asked[one] == 1, "it is left alone for some seconds"
    runs.answers.add(one)
    turns._silent[one] = (1, 0.0)
    turns.take([one])
    await settled()
    turns.take([one])
    await settled()
    assert runs.asked[one] == 3
    turns.stop()


async def test_what_fails_is_told_and_holds_up_nothing() -> None:
    async def look(key: Key) -> bool:
        if key[0] == "broken-0":
            raise ValueError("what nobody thought of")
        seen.append(key)
        return True

    seen: list[Key] = []
    turns = Turns(look)
    turns.take([*keys("broken", 1), *keys("fine", 30)])
    await settled()
    await settled()
    assert len(seen) == 30
