"""The first message of every procedure is taken by Slack, with as many questions as fit."""

import json

import pytest

from starters.slack import head, limits
from tests.activities.contracts.block_kit import faults
from tests.starters.slack.blocks import HOSTILE, every, status, taken
from workers.registry import Procedure


@every
def test_the_first_message_of_every_procedure_is_taken(procedure: Procedure) -> None:
    for text in HOSTILE:
        taken(procedure, text)


def test_more_questions_than_fit_are_cut_and_say_so() -> None:
    shown = head.head(("a", "b"), status("P1Incident", "asked", questions=200, choices=60), "http://ui")
    assert faults(shown.blocks) == []


@pytest.mark.parametrize("choices", [25, 26, 60])
def test_choices_without_a_button_say_how_they_are_made(choices: int) -> None:
    shown = head.head(("a", "b"), status("P1Incident", "asked", questions=1, choices=choices), "http://ui")
    assert faults(shown.blocks) == []
    assert ("runbooks approve" in json.dumps(shown.blocks)) == (choices > limits.ACTIONS)
    long = head.head(("w" * 3000, "r"), status("P1Incident", "asked", questions=1), "http://ui")
    assert "runbooks approve" in json.dumps(long.blocks)
