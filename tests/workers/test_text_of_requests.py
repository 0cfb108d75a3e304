"""Every string that comes from outside is bounded text, every time and span one that can be reckoned with.

No field of any request, word or signal is a bare `str`, `datetime`, `date` or `timedelta`.
"""

import inspect
import typing
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Le, MaxLen
from pydantic import AwareDatetime, BaseModel, Field
from temporalio import workflow

from activities.catalogue.base import ServicePolicy
from activities.catalogue.service import ApprovalPolicy, Service
from activities.common.text import Text
from activities.common.times import Time
from activities.records.alerts import Alert
from starters.sources.alertmanager import AlertmanagerAlert
from workers.registry import PROCEDURES, SYSTEM, Procedure, System

_CHECKED_LATER = {"maintenance_window.tasks.input"}
"""What holds the input of another procedure: that one's own request bounds it, before anything is started."""
_NO_TEXT = (int, float, bool, time, type(None))
_TIMES = (datetime, date, timedelta, AwareDatetime)


def bare(hint: Any, where: str, seen: set[type]) -> Iterator[str]:
    """Name each place of a type where what isn't `Text` or `Time` can be, and each that isn't looked through."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        if not any(isinstance(mark, Text | Time) for mark in arguments[1:]):
            yield from bare(arguments[0], where, seen)
    elif origin is Literal or hint in _NO_TEXT:
        return
    elif isinstance(hint, type) and issubclass(hint, BaseModel):
        if hint not in seen:
            seen.add(hint)
            for name, field_hint in typing.get_type_hints(hint, include_extras=True).items():
                if name in hint.model_fields and not _reckonable(hint, name):
                    yield from bare(field_hint, f"{where}.{name}", seen)
    elif arguments and hint is not str and hint not in _TIMES:
        for argument in arguments:
            if argument is not Ellipsis:
                yield from bare(argument, where, seen)
    elif where not in _CHECKED_LATER:
        yield where


def _reckonable(model: type[BaseModel], name: str) -> bool:
    """Tell whether a field is a span with a limit of its own, or one of settings, which hold all of theirs to one."""
    field = model.model_fields[name]
    spans = timedelta in {field.annotation, *typing.get_args(field.annotation)}
    return spans and (issubclass(model, ServicePolicy) or any(isinstance(mark, Le) for mark in field.metadata))


def outside(entry: Procedure | System) -> dict[str, Any]:
    """Give what a run takes from outside, by where it comes in."""
    definition = workflow._Definition.must_from_class(entry.workflow)
    taken = {entry.name: definition.arg_types or []}
    for handlers in (definition.signals, definition.updates, definition.queries):
        taken |= {f"{entry.name} {name}": handler.arg_types or [] for name, handler in handlers.items() if name}
    return {where: hint for where, hints in taken.items() for hint in hints}


@pytest.mark.parametrize("entry", [*PROCEDURES, *SYSTEM], ids=lambda entry: entry.name)
def test_all_that_a_run_takes_from_outside_is_bounded(entry: Procedure | System) -> None:
    taken = outside(entry)
    assert taken
    assert [place for where, hint in taken.items() for place in bare(hint, where, set())] == []


@pytest.mark.parametrize("model", [Alert, AlertmanagerAlert, Service, ApprovalPolicy])
def test_so_are_alerts_and_what_settings_pin_in_histories(model: type[BaseModel]) -> None:
    times = {"AlertmanagerAlert.starts_at", "AlertmanagerAlert.ends_at"}  # they become an Alert's
    assert set(bare(model, model.__name__, set())) <= times


def test_the_walk_finds_what_is_bare_wherever_it_is() -> None:
    class Inner(BaseModel):
        deep: str

    class Outer(BaseModel):
        fine: Annotated[str, Text(5)] | None
        only_short: Annotated[str, MaxLen(5)]
        keys: dict[str, Annotated[str, Text(5)]]
        listed: list[Inner]
        unknown: Any
        since: datetime | None
        until: Annotated[datetime | None, Time()]
        span: timedelta
        bounded: timedelta = Field(le=timedelta(days=1))

    found = list(bare(Outer, "outer", set()))
    assert found == [
        "outer.only_short",
        "outer.keys",
        "outer.listed.deep",
        "outer.unknown",
        "outer.since",
        "outer.span",
    ]


@pytest.mark.parametrize("entry", PROCEDURES, ids=lambda entry: entry.name)
def test_every_text_refuses_nul_and_says_which_field(entry: Procedure) -> None:
    for name, field in entry.request.model_fields.items():
        if "str" not in str(field.annotation) or (inspect.isclass(field.annotation) and field.annotation is not str):
            continue
        if not name.isidentifier() or name in {"alert", "carried", "tables", "reindex"}:
            continue
        with pytest.raises(ValueError, match=name):
            entry.request.model_validate({**entry.example, name: "a\x00b"})
        with pytest.raises(ValueError, match=name) as refused:
            entry.request.model_validate({**entry.example, name: "x" * 700_000})
        assert len(str(refused.value)) < 2000
