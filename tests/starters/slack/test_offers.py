"""Whatever is offered in any phase is a word of the procedure, and its modal is taken."""

import json

from starters.slack import forms, limits, offers, presses
from tests.activities.contracts.block_kit import faults_of_view
from tests.starters.slack.blocks import every, status
from workers.registry import PROCEDURES, Procedure


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
def test_the_modal_of_every_word_is_taken(procedure: Procedure) -> None:
    for name, model in offers.words(procedure).items():
        if blocks := forms.inputs(model, given={}):
            assert faults_of_view(limits.view(name, blocks, callback="word", data="", submit="Say it")) == []
