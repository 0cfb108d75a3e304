"""A word that nobody has looked at is said again; one that the run refuses is not."""

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from starters.steering import words
from starters.steering.words import looked_at


class Said:
    """Says a word that is refused by each of these first."""

    def __init__(self, *refusals: str) -> None:
        self.refusals, self.times = [*refusals], 0

    async def __call__(self) -> str:
        self.times += 1
        if self.refusals:
            raise WorkflowUpdateFailedError(ApplicationError("not taken", type=self.refusals.pop(0)))
        return "yours"


async def test_a_word_that_a_worker_has_passed_over_is_said_again() -> None:
    """Temporal's words for it: the worker had other work than the word in its hands."""
    said = Said("UnprocessedUpdate", "JustStarting", "UnprocessedUpdate")
    assert await looked_at(said) == "yours"
    assert said.times == 4


async def test_what_the_run_refuses_is_refused() -> None:
    said = Said("UnprocessedUpdate", "Refused")
    with pytest.raises(WorkflowUpdateFailedError):
        await looked_at(said)
    assert said.times == 2


async def test_it_is_not_said_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_BEGINS_WITHIN", 0.2)
    said = Said(*["UnprocessedUpdate"] * 1000)
    with pytest.raises(WorkflowUpdateFailedError):
        await looked_at(said)
    assert 2 <= said.times <= 6
