"""A form is made from a model and read back: what is left empty is not sent, and what can't be read is named."""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from pydantic import AwareDatetime, BaseModel, Field

from starters.steering.errors import WrongInput
from starters.web.forms import fields, read


class Asked(BaseModel):
    """A field of each kind."""

    text: str = Field(description="One line.", max_length=100)
    long: str = Field(default="", max_length=2_000)
    tables: list[str] = Field(default_factory=list)
    tasks: list[dict[str, Any]] = Field(default_factory=list)
    factor: float = 2.0
    how: Literal["auto", "ask"] | None = None
    sure: bool = False
    lease: timedelta | None = timedelta(minutes=30)
    at: AwareDatetime | None = None
    inner: BaseModel | None = None


def test_each_field_has_its_kind_and_the_required_come_first() -> None:
    made = fields(Asked, leave_out={"inner"}, given={"factor": "three"})
    assert [(one.name, one.kind) for one in made] == [
        ("text", "text"),
        ("long", "lines"),
        ("tables", "list"),
        ("tasks", "json"),
        ("factor", "number"),
        ("how", "choice"),
        ("sure", "flag"),
        ("lease", "duration"),
        ("at", "moment"),
    ]
    by_name = {one.name: one for one in made}
    assert (by_name["text"].required, by_name["text"].help) == (True, "One line.")
    assert by_name["how"].choices == ("auto", "ask")
    assert [by_name[name].default for name in ("lease", "sure", "factor", "tables")] == ["PT30M", "no", "2.0", ""]
    assert by_name["factor"].value == "three", "what was typed before is there again"


def test_what_is_typed_is_read_as_the_command_line_reads_it() -> None:
    sent = [
        ("text", " API down \r\n"),
        ("long", "one\r\ntwo"),
        ("tables", "jobs\r\n\r\n tenants "),
        ("tasks", '[{"procedure": "rollback"}]'),
        ("sure", "yes"),
        ("lease", "10m"),
        ("at", "2026-02-05T02:00:00+00:00"),
        ("how", ""),
        ("nonesuch", "x"),
    ]
    assert read(Asked, sent) == {
        "text": "API down",
        "long": "one\ntwo",
        "tables": ["jobs", "tenants"],
        "tasks": [{"procedure": "rollback"}],
        "sure": True,
        "lease": timedelta(minutes=10),
        "at": datetime(2026, 2, 5, 2, tzinfo=UTC),
    }


def test_a_list_may_be_json() -> None:
    assert read(Asked, [("tables", '["jobs", "a\\nb"]')]) == {"tables": ["jobs", "a\nb"]}


def test_a_field_that_is_left_out_is_not_read() -> None:
    assert read(Asked, [("text", "x"), ("sure", "yes")], leave_out={"sure"}) == {"text": "x"}


@pytest.mark.parametrize(("name", "text"), [("tasks", "[hunter2"), ("lease", "hunter2"), ("at", "hunter2")])
def test_what_can_not_be_read_is_named_and_never_told(name: str, text: str) -> None:
    with pytest.raises(WrongInput, match=name) as refused:
        read(Asked, [(name, text)])
    if name == "tasks":
        assert "hunter2" not in str(refused.value)
