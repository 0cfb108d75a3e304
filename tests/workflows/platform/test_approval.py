"""Which answers count, and which are refused with what would be needed."""

from datetime import timedelta

import pytest

from activities.common.errors import InvalidInput, JustStarting, Refused
from tests.workflows.platform.approvals import (
    NOW,
    QUESTION,
    approvals,
    at_a_time,  # noqa: F401
    says,
)
from workflows.platform.approval import Approvals


def test_a_question_says_who_may_answer_and_what_it_is_about() -> None:
    shown = approvals().open["q"]
    assert (shown.asked_at, shown.roles) == (NOW, ["commander", "on-call", "engineering-lead"])
    assert (shown.two_persons, shown.first, shown.escalated) == (False, None, False)
    later = approvals()
    longer = later.put(QUESTION.model_copy(update={"timeout": timedelta(hours=1)}))
    assert longer.subject == shown.subject
    other = later.put(QUESTION.model_copy(update={"options": {"a": "do something else"}}))
    assert other.subject != shown.subject
    assert approvals(roles={}).open["q"].roles == []


def test_before_the_settings_are_known_nothing_counts() -> None:
    with pytest.raises(JustStarting, match="only just starting"):
        Approvals().authorise(says(), "mitigate")


@pytest.mark.parametrize(
    ("word", "kind", "why"),
    [
        ({"question": "other"}, InvalidInput, "question: 'other' is not open. Open questions: q"),
        ({"choice": "c"}, InvalidInput, "choice: not offered. Choices: a, b, none"),
        ({"choice": "b"}, InvalidInput, "reason: b counts only with a reason"),
        ({"choice": "b", "reason": "  "}, InvalidInput, "reason: b counts only with a reason"),
        ({"subject": "another"}, Refused, "subject: this decides something else"),
        ({"role": "intern"}, Refused, "role: 'intern' may not mitigate. Roles that may: commander, on-call"),
    ],
)
def test_what_does_not_count_is_refused_with_a_sentence(word: dict[str, str], kind: type[Exception], why: str) -> None:
    with pytest.raises(kind) as refused:
        approvals().check(says(**word))
    assert why in str(refused.value)


def test_without_an_open_question_it_says_so() -> None:
    made = approvals()
    made.answer(says())
    with pytest.raises(InvalidInput, match="Open questions: none"):
        made.check(says())


def test_where_no_role_may_it_says_so() -> None:
    with pytest.raises(Refused, match="Roles that may: none"):
        approvals(roles={}).check(says())


def test_an_answer_counts_and_closes_its_question() -> None:
    made = approvals()
    word = says("b", reason="it is worse", subject=made.open["q"].subject)
    made.check(word)
    answer = made.answer(word)
    assert (answer.choice, answer.by, answer.reason, answer.needs) == ("b", "ada (on-call)", "it is worse", "")
    assert made.open == {}
    assert made.answers == {"q": answer}


# -- two persons ---------------------------------------------------------------------------------------------


def test_two_people_who_say_the_same() -> None:
    made = approvals(second_person=("mitigate",))
    assert made.open["q"].two_persons
    made.check(says())
    first = made.answer(says())
    assert first.needs == "a second person who says the same"
    assert made.answers == {}
    shown = made.open["q"].first
    assert shown is not None
    assert (shown.by, shown.needs) == ("ada (on-call)", "")
    with pytest.raises(Refused, match="who: a takes a second person, and ada was the first"):
        made.check(says())
    made.check(says(who="bob"))
    second = made.answer(says(who="bob"))
    assert (second.by, second.needs) == ("ada (on-call) and bob (on-call)", "")
    assert made.open == {}


@pytest.mark.parametrize(
    "same",
    [
        "Ada",
        "ada ",
        "ada (on-call)",
        "ada\u2063",
        "a\u034fda",
        "ada\ufe0f",
        "\u3164ada",
        "ada\u2800",
        "\uff21DA",
        "A <ada>",
    ],
)
def test_nobody_is_two_people_by_how_they_are_written(same: str) -> None:
    made = approvals(second_person=("mitigate",))
    made.answer(says())
    with pytest.raises(Refused, match="was the first"):
        made.check(says(who=same))
    begun = approvals(second_person=("mitigate",))
    begun.started_by(same, None)
    with pytest.raises(Refused, match="started this run"):
        begun.check(says())


def test_who_has_started_the_run_that_started_this_one_is_not_one_of_two() -> None:
    made = approvals(second_person=("mitigate",))
    made.started_by("p1-incident/api", None, ["ada", "grace"])
    with pytest.raises(Refused, match="started this run"):
        made.check(says())
    made.check(says(who="bob"))


def test_a_question_that_is_asked_again_begins_with_no_first_person() -> None:
    made = approvals(second_person=("mitigate",))
    made.answer(says())
    made.put(QUESTION)
    made.check(says())
    assert made.answer(says()).needs


def test_another_choice_begins_anew_also_of_the_same_person() -> None:
    made = approvals(second_person=("mitigate",))
    made.answer(says("a"))
    other = says("b", reason="no, this")
    made.check(other)
    assert made.answer(other).needs
    made.check(says("a", who="bob"))
    assert made.answer(says("a", who="bob")).needs, "of the two, each has said another thing"
    made.check(says("a"))
    assert made.answer(says("a")).by == "bob (on-call) and ada (on-call)"


def test_the_default_takes_one_person() -> None:
    made = approvals(second_person=("mitigate",))
    answer = made.answer(says("none"))
    assert (answer.needs, answer.by) == ("", "ada (on-call)")
    assert made.open == {}
    assert not approvals(second_person=("restore",)).open["q"].two_persons


# -- signatures ----------------------------------------------------------------------------------------------


def test_without_a_signature_one_is_needed_where_settings_say_so() -> None:
    with pytest.raises(Refused, match="not signed"):
        approvals(allow_unsigned=False).check(says())
