"""A modal gives the request that was filled in, and says at each input what is wrong."""

from datetime import timedelta
from typing import Any

import pytest

from starters.slack import forms, limits
from tests.starters.slack.workspace import TEAM, Workspace
from workers.registry import PROCEDURES, Procedure, procedure
from workflows.incident_response.incident_words import Closing
from workflows.platform.lease import Extend


def filled(model: Any, services: tuple[str, ...] = ("a", "b"), **values: Any) -> dict[str, Any]:
    view = {"blocks": forms.inputs(model, given={}, services=services)}
    sent = Workspace(None, "").submission(view, **values)  # type: ignore[arg-type]
    assert sent["team"] == {"id": TEAM}
    return forms.filled(model, sent["view"]["state"]["values"], services)


@pytest.mark.parametrize("wanted", PROCEDURES, ids=lambda one: one.command)
def test_a_modal_that_is_sent_as_it_opens_is_the_request_s_defaults(wanted: Procedure) -> None:
    required = [name for name, field in wanted.request.model_fields.items() if field.is_required()]
    example = {name: wanted.example[name] for name in required if name in wanted.example}
    if {*example} != {*required} or any(not isinstance(value, str) for value in example.values()):
        pytest.skip("needs inputs of other kinds than text")  # dates and tasks have tests of their own
    made = wanted.request.model_validate(filled(wanted.request, **example))
    assert made == wanted.request.model_validate(example)


def test_what_is_chosen_and_typed_comes_back_as_what_it_is() -> None:
    request = procedure("emergency-scale-up").request
    made = request.model_validate(filled(request, service="b", factor="1.5", lease="10m", dry_run="yes"))
    assert (made.service, made.factor, made.lease, made.dry_run) == ("b", 1.5, timedelta(minutes=10), True)  # type: ignore[attr-defined]


def test_more_services_than_a_menu_takes_are_typed() -> None:
    request = procedure("emergency-scale-up").request
    services = tuple(f"service-{number}" for number in range(limits.OPTIONS + 1))
    first = forms.inputs(request, given={}, services=services[:-1])[0]["element"]
    assert (first["type"], len(first["options"])) == ("static_select", limits.OPTIONS)
    assert forms.inputs(request, given={}, services=services)[0]["element"]["type"] == "plain_text_input"
    made = filled(request, services, service=services[-1])
    assert made["service"] == services[-1]


def test_lists_are_lines_or_json() -> None:
    request = procedure("database-maintenance").request
    for typed in ("public.a\npublic.b", "public.a, public.b", '["public.a", "public.b"]'):
        assert request.model_validate(filled(request, tables=typed, end="4711")).tables == ["public.a", "public.b"]  # type: ignore[attr-defined]
    assert filled(request, end="4711")["end"] == [4711]
    with pytest.raises(forms.NotFit) as error:
        filled(request, tables="[1, ")
    assert error.value.errors == {"tables": "this is no JSON"}


def test_times_are_picked() -> None:
    request = procedure("maintenance-window").request
    elements = {block["block_id"]: block["element"]["type"] for block in forms.inputs(request, given={})}
    assert elements["starts_at"] == "datetimepicker"
    state = {"starts_at": {"value": {"selected_date_time": 1770170400}}}
    assert forms.filled(request, state)["starts_at"].isoformat() == "2026-02-04T02:00:00+00:00"


def test_who_speaks_is_nobody_s_to_fill_in() -> None:
    state = {name: {"value": {"value": "eve"}} for name in ("who", "role", "nonce", "requested_by", "text")}
    assert forms.filled(Closing, state) == {}
    assert forms.filled(procedure("rollback").request, state) == {}


def test_a_word_asks_only_for_what_is_not_known_yet() -> None:
    assert [block["block_id"] for block in forms.inputs(Extend, given={"by": "PT15M"})] == ["reason"]


def test_what_slack_would_never_send_is_left_out() -> None:
    request = procedure("p1-incident").request
    state: Any
    for state in (
        {"mitigation": {"value": {"selected_option": {"value": "99"}}}},
        {"mitigation": {}},
        {"mitigation": 3},
        {"mitigation": {"value": {"selected_option": {"value": "²"}}}},
        {"nothing": {"value": {}}},
    ):
        assert forms.filled(request, state) == {}
