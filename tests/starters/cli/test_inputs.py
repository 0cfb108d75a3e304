"""A procedure's input as it is typed: JSON, single fields over it, durations and times as people say them."""

import io
from datetime import timedelta
from pathlib import Path

import pytest

from starters.cli.inputs import request
from starters.steering.errors import WrongInput
from workers.registry import procedure

SCALE = procedure("emergency_scale_up")


def test_what_is_set_stands_over_the_input_and_both_over_defaults() -> None:
    made = request(SCALE, '{"service": "web", "lease": "PT10M"}', ["service=api"], service="default", factor=3)
    assert made.model_dump(include={"service", "lease", "factor"}) == {
        "service": "api",
        "lease": timedelta(minutes=10),
        "factor": 3,
    }


def test_a_duration_is_typed_as_people_say_it() -> None:
    assert request(SCALE, None, ["lease=45m"]).model_dump()["lease"] == timedelta(minutes=45)


def test_the_input_may_come_from_a_file_or_from_stdin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "input.json"
    file.write_text('{"service": "web"}', encoding="utf-8")
    assert request(SCALE, f"@{file}", []).model_dump()["service"] == "web"
    monkeypatch.setattr("sys.stdin", io.StringIO('{"service": "api"}'))
    assert request(SCALE, "-", []).model_dump()["service"] == "api"


def test_lists_are_json() -> None:
    made = request(procedure("security_incident"), None, ['pods=["a", "b"]']).model_dump(mode="json")
    assert made["pods"] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "fields", "says"),
    [
        ("{", [], r"--input: not JSON \(.*line 1\)"),
        ("[1]", [], "--input: a JSON object is expected"),
        ("@/nowhere/input.json", [], "--input: cannot read the file: No such file"),
        ("[" * 100_000, [], "--input: not JSON"),
        (None, ["service"], "--set: expected field=value"),
        (None, [".a=1"], "--set: expected field=value"),
        ('{"alert": 1}', ["alert.name=x"], "--set: alert is not an object"),
        (None, ["lease=soon"], "lease"),
        (None, ["nonesuch=1"], "nonesuch"),
    ],
)
def test_what_can_not_be_meant_names_the_field(text: str | None, fields: list[str], says: str) -> None:
    with pytest.raises(WrongInput, match=says):
        request(SCALE, text, fields)
