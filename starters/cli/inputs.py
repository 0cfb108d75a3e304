"""A procedure's input as it is typed on the command line."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

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
        _set(given, field)
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


def _set(target: dict[str, Any], assignment: str) -> None:
    """Set one field; `a.b=1` sets a field of a field."""
    path, equals, text = assignment.partition("=")
    *parents, name = path.split(".")
    if not equals or not name or not all(parents):
        raise WrongInput("--set: expected field=value")
    for parent in parents:
        target = target.setdefault(parent, {})
        if not isinstance(target, dict):
            raise WrongInput(f"--set: {parent} is not an object")
    target[name] = _value(text)


def _value(text: str) -> Any:
    """Read lists, objects, quoted strings and null as JSON; all else is text, which the model makes a number of."""
    if text == "null" or text.startswith(("[", "{", '"')):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text
