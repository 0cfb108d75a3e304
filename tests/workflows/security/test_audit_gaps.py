"""An audit with gaps is packaged unless people say otherwise, and is not looked at for ever."""

import pytest

from audit.compliance import Gap
from workflows.security.audit_gaps import MOST_LOOKS, PACKAGE, RETRY, STOP, gaps_question


def gaps(count: int) -> list[Gap]:
    return [Gap(exhibit="accesses.csv", source=f"source {n}", why="no answer") for n in range(count)]


def test_without_an_answer_it_is_packaged() -> None:
    question = gaps_question(1, gaps(2))
    assert question.default == PACKAGE
    assert list(question.options) == [PACKAGE, RETRY, STOP]
    assert question.title.startswith("2 of the audit's sources")
    assert question.evidence == ["source 0: no answer", "source 1: no answer"]


def test_each_look_has_a_question_of_its_own() -> None:
    assert [gaps_question(look, gaps(1)).id for look in (1, 2)] == ["gaps-1", "gaps-2"]


def test_at_the_last_look_no_other_is_offered() -> None:
    assert RETRY in gaps_question(MOST_LOOKS - 1, gaps(1)).options
    assert list(gaps_question(MOST_LOOKS, gaps(1)).options) == [PACKAGE, STOP]


@pytest.mark.parametrize(("count", "last"), [(40, "source 39: no answer"), (41, "and 1 more"), (100, "and 60 more")])
def test_what_a_question_has_no_room_for_is_counted(count: int, last: str) -> None:
    assert gaps_question(1, gaps(count)).evidence[-1] == last
