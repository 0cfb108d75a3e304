"""A procedure's input as it is typed on the command line."""

import json
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import AwareDatetime, BaseModel

from starters.steering import times
from starters.steering.errors import WrongInput
from starters.steering.inputs import validated
from workers.registry import Procedure


def request(procedure: Procedure, text: str | None, fields: Iterable[str], **defaults: Any) -> BaseModel:
    """Build the request from JSON (or `@file`, or `-` for stdin), then `field=value` over it, then defaults under it.

    Raises:
        WrongInput: it is not the procedure's input; names the field and never its value.

    """
    given = _object(text) if text else {}
    for field in fields:
        _set(procedure.request, given, field)
    return validated(procedure, defaults | given)


def _object(text: str) -> dict[str, Any]:
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        value = json.loads(text)
    except OSError as error:
        raise WrongInput(f"--input: cannot read the file: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        where = f" ({error.msg}, line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise WrongInput(f"--input: not JSON{where}") from None
    if not isinstance(value, dict):
        raise WrongInput("--input: a JSON object is expected, such as the catalogue's example_input")
    return value


def _set(model: type[BaseModel], target: dict[str, Any], assignment: str) -> None:
    """Set one field; `a.b=1` sets a field of a field."""
    path, equals, text = assignment.partition("=")
    *parents, name = path.split(".")
    if not equals or not name or not all(parents):
        raise WrongInput("--set: expected field=value, such as service=api")
    at: type[BaseModel] | None = model
    for parent in parents:
        target = target.setdefault(parent, {})
        if not isinstance(target, dict):
            raise WrongInput(f"--set: {parent} is not an object")
        at = _one_of(at, parent, BaseModel)
    target[name] = _value(at, path, name, text)


def _value(model: type[BaseModel] | None, path: str, name: str, text: str) -> Any:
    """Read durations and times as people say them, and lists, objects, quoted strings and null as JSON.

    All else is text, which the model makes a number of.
    """
    if text == "null" or text.startswith(("[", "{", '"')):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    if _one_of(model, name, timedelta):
        return times.duration(path, text)
    if _one_of(model, name, datetime) or _one_of(model, name, AwareDatetime):
        # Where something is to be done at that time, nobody must have to guess which day is meant.
        return times.moment(path, text, words=False)
    return text


_Kind = TypeVar("_Kind")


def _one_of(model: type[BaseModel] | None, name: str, wanted: type[_Kind]) -> type[_Kind] | None:
    """Give the type of a field, where it is of that kind, or that or None."""
    field = model.model_fields.get(name) if model else None
    if field is None:
        return None
    options = (field.annotation, *get_args(field.annotation))
    return next((one for one in options if isinstance(one, type) and issubclass(one, wanted)), None)
