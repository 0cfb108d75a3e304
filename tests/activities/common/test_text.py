"""Text from outside: what has passed it can be stored, sent and shown by every part."""

from typing import Annotated

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from activities.common.text import Text, fitted
from audit.text import visible
from workers.settings import explain

anything = st.text(st.characters(), max_size=60) | st.text(
    st.sampled_from("\x00\x1b\x07\r\n\t\x7f\x9b\ud800\udfffaü€🔥")
)


class Said(BaseModel):
    line: Annotated[str, Text(50)] = ""
    lines: Annotated[str, Text(50, lines=True)] = ""
    told: Annotated[str, Text(50, lines=True, made_fit=True)] = ""
    named: Annotated[str, Text(200)] = Field(default="x", pattern="^x*$", max_length=3)
    title: Annotated[str, Text(200)] = Field(default="x", min_length=1)
    label: Annotated[str, Text(200, 1, made_fit=True)] = "x"


@pytest.mark.parametrize(
    ("given_text", "says"),
    [
        ("a\x00b", "line: has a NUL character"),
        ("\ud800", "line: Input should be a valid string"),
        ("x" * 51, "line: String should have at most 50 characters"),
    ],
)
def test_what_nothing_can_keep_is_refused_with_a_sentence(given_text: str, says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Said(line=given_text)
    assert explain(refused.value).startswith(says)


def test_blanks_are_nothing_where_a_person_must_say_something() -> None:
    for blank in (" ", "\u2003\u00a0", "\u200b"):
        with pytest.raises(ValidationError) as refused:
            Said(title=blank)
        assert explain(refused.value).startswith("title: has nothing but blanks")
        assert Said(line=blank, label=blank).label == blank, "what machines send isn't lost over it"


def test_control_characters_are_shown_and_line_breaks_stay_where_there_are_lines() -> None:
    said = Said(line="\x1b[31m red\r\n\x07\x9b", lines="one\r\ntwo\tthree\x7f")
    assert said.line == "␛[31m red␊␇\ufffd"
    assert said.lines == "one\ntwo\tthree␡"


def test_what_machines_send_is_made_fit_and_never_refused() -> None:
    assert Said(told="a\x00b\ud800" + "c" * 100).told == "a␀b\ufffd" + "c" * 45 + "…"


def test_bounds_and_patterns_of_the_field_itself_hold_as_well() -> None:
    for wrong in ("y", "xxxx"):
        with pytest.raises(ValidationError):
            Said(named=wrong)
    assert Said.model_json_schema()["properties"]["named"]["maxLength"] == 3
    assert Said.model_json_schema()["properties"]["line"]["maxLength"] == 50


@given(text=anything, most=st.integers(1, 50), lines=st.booleans())
def test_made_fit_text_passes_and_stays_as_it_is(*, text: str, most: int, lines: bool) -> None:
    fit = fitted(text, most, lines=lines)
    assert len(fit) <= most
    assert fitted(fit, most, lines=lines) == fit == visible(fit, lines=lines)
    assert fit.encode().decode() == fit
    assert all(character.isprintable() or not character.isascii() or character in "\n\t" * lines for character in fit)
    if most >= 50:
        assert Said(line=fitted(text, 50)).line == fitted(text, 50)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(anything)
def test_postgresql_keeps_whatever_has_passed(records_sql: psycopg.Connection[object], text: str) -> None:
    try:
        passed = [Said(lines=text[:50]).lines]
    except ValidationError:
        passed = []
    for kept in (*passed, Said(told=text).told):
        row = records_sql.execute(
            "SELECT %s::text, %s::jsonb ->> 0", (kept, psycopg.types.json.Jsonb([kept]))
        ).fetchone()
        assert row == (kept, kept)
