"""The words of a procedure, as buttons and forms name them."""

from starters.steering.wording import words_of
from workers.registry import PROCEDURES

_BY_COMMAND = {one.command: one for one in PROCEDURES}


def test_a_word_says_what_it_does_in_its_own_procedure() -> None:
    assert words_of(_BY_COMMAND["emergency-scale-up"])["resume"].does == "Resume the autoscaler now."
    assert words_of(_BY_COMMAND["enterprise-onboarding"])["resume"].does == "End the pause."


def test_every_word_says_what_it_does_without_its_example() -> None:
    for procedure in PROCEDURES:
        for word in words_of(procedure).values():
            assert word.does.endswith("."), (procedure.command, word.update)
            assert "{" not in word.does, (procedure.command, word.update)
