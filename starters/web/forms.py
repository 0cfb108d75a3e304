"""Forms from models, and back: a field of a model is a field of a form, in the words of its description.

What is typed is read as the command line reads it: durations as 10m or PT10M, times with their zone, lists a line each,
anything more as JSON. What is left empty is not sent, so the model's default counts.
"""

import json
import types
import typing
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from pydantic import AwareDatetime, BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from starters.steering import times
from starters.steering.errors import WrongInput

_KINDS: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("flag", (bool,)),
    ("duration", (timedelta,)),
    ("moment", (datetime, AwareDatetime)),
    ("number", (int, float)),
)
_LINES_FROM = 400
"""Text that may be longer than this gets several lines."""


@dataclass(frozen=True)
class Field:
    """A field of a form."""

    name: str
    label: str
    kind: Literal["text", "lines", "list", "json", "number", "choice", "flag", "duration", "moment"]
    help: str = ""
    required: bool = False
    choices: tuple[str, ...] = ()
    default: str = ""
    value: str = ""


def fields(
    model: type[BaseModel], *, leave_out: Collection[str] = (), given: dict[str, str] | None = None
) -> list[Field]:
    """Give the fields of a model's form, those that must be filled in first; `given` is what was typed before."""
    found = [
        _field(name, one, (given or {}).get(name, ""))
        for name, one in model.model_fields.items()
        if name not in leave_out
    ]
    return sorted(found, key=lambda one: not one.required)


def _field(name: str, info: FieldInfo, value: str) -> Field:
    kind, choices = _kind(info)
    required = info.is_required()
    return Field(
        name=name,
        label=name.replace("_", " ").capitalize(),
        kind=kind,
        help=info.description or "",
        required=required,
        choices=choices,
        default=_default(info),
        value=value,
    )


def _default(info: FieldInfo) -> str:
    default = info.default
    if default is PydanticUndefined or default is None or default in ("", (), [], {}):
        return ""
    if isinstance(default, timedelta):
        return times.written(default)
    if isinstance(default, Enum):
        return str(default.value)
    if isinstance(default, bool):
        return "yes" if default else "no"
    return default if isinstance(default, str) else str(default) if isinstance(default, int | float) else ""


def _options(annotation: Any) -> list[Any]:
    """Give what an annotation may be, without None and what only annotates."""
    if get_origin(annotation) is typing.Annotated:
        return _options(get_args(annotation)[0])
    if get_origin(annotation) in {typing.Union, types.UnionType}:
        return [inner for one in get_args(annotation) for inner in _options(one)]
    return [] if annotation is type(None) else [annotation]


def _kind(info: FieldInfo) -> tuple[Any, tuple[str, ...]]:
    options = _options(info.annotation)
    literals = [str(value) for one in options if get_origin(one) is Literal for value in get_args(one)]
    if literals and all(get_origin(one) is Literal for one in options):
        return "choice", tuple(literals)
    named = [one for one in options if isinstance(one, type)]
    if any(issubclass(one, BaseModel) or one is dict for one in named):
        return "json", ()
    for one in options:
        if get_origin(one) in {list, tuple, set, frozenset}:
            inner = [kind for arg in get_args(one) if arg is not ... for kind in _options(arg)]
            return ("list" if all(kind is str or get_origin(kind) is Literal for kind in inner) else "json"), ()
        if get_origin(one) is dict:
            return "json", ()
    for kind, kinds in _KINDS:
        if named and all(issubclass(one, kinds) for one in named):
            return kind, ()
    longest = max((getattr(meta, "max_length", None) or 0 for meta in info.metadata), default=0)
    several = any(getattr(meta, "lines", False) for meta in info.metadata)
    return ("lines" if several or longest > _LINES_FROM else "text"), ()


def read(model: type[BaseModel], sent: Iterable[tuple[str, str]], *, leave_out: Collection[str] = ()) -> dict[str, Any]:
    """Read a form; gives the model's input, not yet checked by it.

    Raises:
        WrongInput: a field can't be read; names it, never its value.

    """
    known = {one.name: one for one in fields(model, leave_out=leave_out)}
    given: dict[str, Any] = {}
    for name, text in sent:
        one = known.get(name)
        if one is None or not text.strip():
            continue
        given[name] = _value(one, text)
    return given


def _value(one: Field, text: str) -> Any:
    match one.kind:
        case "flag":
            return text.strip() == "yes"
        case "duration":
            return times.duration(one.name, text)
        case "moment":
            return times.moment(one.name, text, words=False)
        case "list" if not text.lstrip().startswith("["):
            return [line.strip() for line in text.splitlines() if line.strip()]
        case "list" | "json":
            try:
                return json.loads(text)
            except (ValueError, RecursionError):
                raise WrongInput(f"{one.name}: JSON is expected here") from None
        case _:
            return text.replace("\r\n", "\n").strip()
