"""Which question is meant, and in which role: without a run."""

import pytest

from starters.steering import errors
from starters.steering.answering import decided, meant, role_for
from starters.steering.errors import NothingAsked, WrongChoice, WrongInput, WrongQuestion
from tests.starters.steering.said import over, question, status
from workflows.platform.approval import EVENTS, NO_ANSWER
from workflows.platform.timeline import Kind


@pytest.mark.parametrize(
    ("roles", "said", "taken"),
    [
        (("dba", "on-call"), None, "on-call"),
        (("dba",), None, "dba"),
        (("dba", "commander"), "commander", "commander"),
        (("dba",), "intern", "intern"),  # the run refuses, and names those that may
        ((), None, "on-call"),
    ],
)
def test_the_role_that_may_is_taken_where_it_is_the_only_one(roles: tuple[str, ...], said: str, taken: str) -> None:
    assert role_for(question("q", *roles), said) == taken


def test_several_roles_that_may_are_named() -> None:
    with pytest.raises(WrongInput, match=r"q: dba or commander may decide it\. Say which you are with --role"):
        role_for(question("q", "dba", "commander"), None)


def test_each_mistake_has_an_error_of_its_own() -> None:
    one, two = question("switch-1", "dba"), question("drop-1", "dba")
    assert meant(status(one), None, "keep") is one
    assert meant(status(one, two), "drop-1", "keep") is two
    with pytest.raises(WrongInput, match=r"--question\. Open questions: switch-1, drop-1"):
        meant(status(one, two), None, "keep")
    with pytest.raises(WrongChoice, match="Choices: keep, switch"):
        meant(status(one), None, "pray")
    with pytest.raises(WrongQuestion, match="Open questions: switch-1"):
        meant(status(one), "drop-9", "keep")
    with pytest.raises(NothingAsked):
        meant(status(), None, "keep")
    told = (over("drop-9", "keep", "bob (dba)"), over("switch-1", "keep", "ada (dba)", "not today"))
    with pytest.raises(errors.Decided, match=r"decided: keep: not today by ada \(dba\) at 2026-02-04 03:00:00 UTC"):
        meant(status(two, closed=told), "switch-1", "keep")


def test_a_finding_of_one_word_is_no_question_that_somebody_has_decided() -> None:
    """Nor is what the timeline says of anything else: a run that has asked nothing is told so."""
    said: tuple[tuple[Kind, str, str], ...] = (
        ("decision", "well: every figure is within its limit by now", ""),
        ("decision", "Closed: rolled back", "ada (commander)"),
    )
    assert decided(status(said=said), None) == ""
    with pytest.raises(NothingAsked):
        meant(status(said=said), None, "keep")


def test_what_nobody_has_decided_is_told_as_that() -> None:
    late, gone = over("switch-1", "keep", NO_ANSWER), over("switch-2", "none", EVENTS)
    assert decided(status(closed=(late, gone)), None).startswith(
        "switch-2 is over: what it asked about had changed by "
    )
    assert decided(status(closed=(late, gone)), "switch-1") == (
        "switch-1 is over: nobody had answered by 2026-02-04 03:00:00 UTC, and so keep was taken"
    )
