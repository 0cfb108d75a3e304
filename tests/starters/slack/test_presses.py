"""A press is read as it was given, has a number of its own, and changes with what is said."""

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from starters.slack import head, limits, offers, presses
from tests.activities.contracts.block_kit import faults_of_view
from tests.starters.slack.blocks import NOW, question, status
from workflows.platform.timeline import Entry


@given(
    st.text(st.sampled_from('\\"\x00\n<&é🔥a'), max_size=700),
    st.sampled_from(["", "https://hooks.slack.com/" + "x" * 200]),
)
def test_any_press_that_fits_a_button_fits_a_modal(text: str, url: str) -> None:
    press = presses.Press(
        w=text, r="0" * 36, u="decide", f={"question": text[:300], "choice": text, "subject": "0" * 64}
    )
    if press.value() is None:
        return
    begun = presses.Begun(press=press, response_url=url, need=["reason"])
    data = begun.model_dump_json(by_alias=True)
    view = limits.view("Reason", [limits.section("x")], callback="word", data=data, submit="Say it")
    assert faults_of_view(view) == []
    assert presses.Begun.model_validate_json(data) == begun


def test_what_no_button_can_carry_gets_none() -> None:
    long = presses.Press(w="w" * 3000, r="r", u="decide")
    assert long.value() is None
    assert offers.answers(("w" * 3000, "r"), question("x", 1)) == []
    assert head.head(("w" * 3000, "r"), status("P1Incident", "x"), "http://ui").blocks


def test_a_press_is_read_as_it_was_given_and_nothing_else_is() -> None:
    press = presses.Press(w="run", r="1", u="decide", f={"choice": "rollback"}, s="abc")
    assert presses.read(press.value() or "") == press
    for text in ("", "{}", "[]", "null", '{"w": 1}', json.dumps({"w": "a", "r": "b", "u": "c", "x": 1})):
        with pytest.raises(Exception, match="another version"):
            presses.read(text)


def test_the_number_of_a_word_is_that_of_its_press_person_and_content() -> None:
    press = presses.Press(w="run", r="1", u="extend", f={"by": "PT15M"}, s="abc")
    numbers = [
        press.nonce("ada", {}),
        press.nonce("bob", {}),
        press.nonce("ada", {"reason": "x"}),
        press.model_copy(update={"seen": "abd"}).nonce("ada", {}),
        press.model_copy(update={"run_id": "2"}).nonce("ada", {}),
        press.model_copy(update={"typed": "1"}).nonce("ada", {}),
        press.model_copy(update={"typed": "2"}).nonce("ada", {}),
    ]
    assert len({*numbers}) == len(numbers)
    assert press.nonce("ada", {}) == numbers[0]


def test_buttons_change_with_what_is_said_and_not_with_time() -> None:
    run = status("P1Incident", "x")
    assert presses.mark(run) == presses.mark(run.model_copy(update={"now": NOW + timedelta(hours=1)}))
    more = [*run.entries, Entry(at=NOW, kind="decision", phase="x", text="Extended", who="ada")]
    assert presses.mark(run) != presses.mark(run.model_copy(update={"entries": more}))
