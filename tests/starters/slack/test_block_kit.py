"""Whatever a run says of itself and whatever people write, Slack takes the blocks, and nothing in them is obeyed."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from starters.slack import forms, head, limits, offers, presses
from starters.steering.ending import Ending
from tests.activities.contracts.block_kit import faults, faults_of_view
from workers.registry import PROCEDURES, Procedure
from workflows.platform.approval import OpenQuestion
from workflows.platform.clocks import Clock
from workflows.platform.run_status import RunStatus
from workflows.platform.timeline import Entry

NOW = datetime(2026, 2, 4, 3, tzinfo=UTC)
HOSTILE = [
    "",
    " ",
    "<!channel> <@U123> <https://evil.example|the Temporal UI>",
    "&" * 5000,
    "<" * 5000,
    "&amp;" * 2000,
    "x" * 20_000,
    "🔥" * 3000,
    "\n" * 4000,
    "`*_~>" * 900,
    "a\x1b[31mb\u202ec\u200bd",
    "]|>{}" * 50,
    "é" * 2999,
]
every = pytest.mark.parametrize("procedure", PROCEDURES, ids=lambda one: one.command)


def question(text: str, number: int, choices: int = 3) -> OpenQuestion:
    name = text or "nothing"
    options = {f"{name}-{one}": text for one in range(choices)}
    return OpenQuestion(
        id=f"{name}-{number}",
        title=text,
        options=options,
        recommended=f"{name}-0",
        default=f"{name}-1",
        kind="mitigate",
        timeout=timedelta(minutes=5),
        asked_at=NOW,
        roles=[text, "on-call"],
        subject="0" * 64,
        reason_for=[f"{name}-2"],
    )


def status(procedure: str, text: str, *, questions: int = 2, choices: int = 3, **more: Any) -> RunStatus:
    entries = [Entry(at=NOW, kind="decision", phase=text[:500], text=text, who=text[:500]) for _ in range(30)]
    return RunStatus(
        section="2.2",
        procedure=procedure,
        title=text,
        phase=text,
        started_at=NOW,
        now=NOW,
        dry_run=True,
        service=text,
        severity=text,
        incident_id=text,
        waiting_for=text,
        board=text,
        entries=entries,
        clocks=[Clock(name=text, due_at=NOW, missed=True), Clock(name=text, due_at=NOW, met_at=NOW)] * 10,
        questions=[question(text, one, choices) for one in range(questions)],
        **more,
    )


@every
def test_the_first_message_of_every_procedure_is_taken(procedure: Procedure) -> None:
    for text in HOSTILE:
        taken(procedure, text)


def taken(procedure: Procedure, text: str) -> None:
    run = (f"{procedure.command}/{text}"[:1000], "0" * 36)
    for shown in (
        head.head(run, status(procedure.workflow_type, text), f"http://ui/{text}".replace("\n", "")),
        head.head(run, status(procedure.workflow_type, text), "http://ui", Ending(how=text, by=text, why=text)),
    ):
        assert faults(shown.blocks) == []
        assert 0 < limits.size(shown.text) <= limits.TEXT


@every
def test_each_word_that_is_offered_in_any_phase_is_a_word_of_the_procedure(procedure: Procedure) -> None:
    known = offers.words(procedure)
    for offer in offers.OFFERS.get(procedure.workflow_type, ()):
        assert offer.update in known
        filled = {name: "x" for name in offers.lacking(known[offer.update], offer.fields) if name != "outcome"}
        filled |= {"outcome": "retained"} if "outcome" in known[offer.update].model_fields else {}
        assert known[offer.update].model_validate({"who": "ada", "role": "on-call", **offer.fields, **filled})


def test_whatever_a_run_waits_for_by_name_has_its_button_and_any_run_takes_a_note() -> None:
    run = ("maintenance-window/1", "0" * 36)
    waiting = status("MaintenanceWindow", "x").model_copy(update={"waiting_for": "tick disk 2", "phase": "In progress"})
    shown = {one["text"]["text"]: presses.read(one["value"]) for one in offers.meanwhile(run, waiting)}
    assert {*shown} == {"Extend by 30m", "End now", "Done disk 2", "Note"}
    assert (shown["Done disk 2"].update, shown["Done disk 2"].fields) == ("tick", {"task": "disk 2"})
    assert shown["Note"].seen == "", "a remark counts however the run has changed meanwhile"
    other = waiting.model_copy(update={"waiting_for": "tick"})
    assert "Done" not in json.dumps(offers.meanwhile(run, other))
    for procedure in PROCEDURES:
        labels = [one["text"]["text"] for one in offers.meanwhile(run, status(procedure.workflow_type, "x"))]
        assert "Note" in labels, procedure.name


@every
def test_the_start_modal_of_every_procedure_is_taken(procedure: Procedure) -> None:
    services = [f"service-{number}" for number in range(150)]
    blocks = forms.inputs(procedure.request, given={}, services=services)
    view = limits.view(procedure.title, blocks, callback="start", data=procedure.command, submit="Start")
    assert faults_of_view(view) == []
    shown = {block["block_id"] for block in blocks}
    assert shown == {*procedure.request.model_fields} - forms.HIDDEN


@every
def test_the_modal_of_every_word_is_taken(procedure: Procedure) -> None:
    for name, model in offers.words(procedure).items():
        if blocks := forms.inputs(model, given={}):
            assert faults_of_view(limits.view(name, blocks, callback="word", data="", submit="Say it")) == []


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


@given(st.text(max_size=6000), st.integers(2, 4000))
def test_text_of_others_fits_and_is_whole(text: str, most: int) -> None:
    kept = limits.mrkdwn(text, most)
    assert limits.size(kept) <= max(most, 1)
    assert "<" not in kept
    assert ">" not in kept
    assert not kept.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "").count("&")
    assert limits.size(limits.cut(text, most)) <= most
    assert limits.size(limits.plain(text, most)["text"]) <= most


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
