"""Modals made of models: of a procedure's request, and of a word that a person has to fill in.

A field is an input of the kind that its JSON schema says; its description is the hint. What comes back is checked by
the model itself, and what is wrong is shown at its field.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ValidationError
from pytimeparse.timeparse import timeparse

from starters.slack import limits
from starters.slack.limits import Block
from workers.settings import sentence
from workflows.platform.signing import SignedWord

HIDDEN = frozenset({"requested_by", "alert", "continues", "joined", "carried", *SignedWord.model_fields})
"""What nobody fills in: it comes from who they are, from alerts, or from the run before."""

_LONG = 300
_YES, _NO = "yes", "no"


class NotFit(Exception):  # noqa: N818  what a person has typed can't be meant
    """Says what is wrong, by field."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {what}" for name, what in errors.items()))
        self.errors = errors


def inputs(model: type[BaseModel], *, given: dict[str, Any], services: Sequence[str] = ()) -> list[Block]:
    """Give an input for each field that isn't given; what is required stands first."""
    schema = model.model_json_schema()
    shown = [name for name in model.model_fields if name not in HIDDEN and name not in given]
    required = set(schema.get("required", ()))
    ordered = sorted(shown, key=lambda name: (name not in required, name == "dry_run"))
    blocks = []
    for name in ordered:
        part = _part(schema, schema["properties"][name])
        element, hint = _element(name, part, services)
        description = str(schema["properties"][name].get("description", ""))
        label = name.replace("_", " ")
        text = " ".join(filter(None, (description, hint)))
        blocks.append(limits.field(name, label, element, hint=text, optional=name not in required))
    return blocks


def filled(model: type[BaseModel], values: dict[str, Any], services: Sequence[str] = ()) -> dict[str, Any]:
    """Give what a person has filled in, by field; what they left empty isn't there.

    Raises:
        NotFit: a value can't be read as what its field is.

    """
    schema, found, wrong = model.model_json_schema(), {}, {}
    for name, block in values.items():
        if name not in model.model_fields or name in HIDDEN or not isinstance(block, dict):
            continue
        part = _part(schema, schema["properties"][name])
        try:
            value = _value(part, _choices(name, part, services), next(iter(block.values()), {}))
        except ValueError as error:
            wrong[name] = str(error)
            continue
        if value is not None:
            found[name] = value
    if wrong:
        raise NotFit(wrong)
    return found


def explained(error: ValidationError, shown: Collection[str]) -> dict[str, str]:
    """Give a model's errors by input; what belongs to none stands at the first."""
    first = next(iter(shown), "service")
    told: dict[str, str] = {}
    for item in error.errors(include_input=False, include_url=False, include_context=False):
        name = str(item["loc"][0]) if item["loc"] else ""
        place = name if name in shown else first
        what = sentence(item)
        told.setdefault(place, limits.cut(what if place == name else f"{name}: {what}", 150))
    return told


def _part(schema: dict[str, Any], field: dict[str, Any]) -> dict[str, Any]:
    """Give the schema that counts: that of an optional field without its null, that of a reference itself."""
    whole = dict(field)
    for option in field.get("anyOf") or field.get("allOf") or []:
        if option.get("type") != "null":
            whole = {**field, **option}
            break
    if "$ref" in whole:
        whole = {**schema.get("$defs", {}).get(whole["$ref"].rpartition("/")[2], {}), **whole}
    return whole


def _choices(name: str, part: dict[str, Any], services: Sequence[str]) -> list[str]:
    if name == "service":  # more than a menu takes are typed
        return [*services] if len(services) <= limits.OPTIONS else []
    if part.get("type") == "boolean":
        return [_NO, _YES]
    return [str(one) for one in part.get("enum", ())][: limits.OPTIONS]


def _element(name: str, part: dict[str, Any], services: Sequence[str]) -> tuple[Block, str]:
    """Give the element that takes a field, and how it is filled in."""
    default = part.get("default")
    if choices := _choices(name, part, services):
        known = {"True": _YES, "False": _NO} if part.get("type") == "boolean" else {}
        initial = known.get(str(default), str(default))
        chosen = (
            choices.index(initial) if initial in choices else (0 if name == "service" and len(choices) == 1 else None)
        )
        return limits.menu(choices, "value", chosen), ""
    kind, shape = part.get("type"), part.get("format")
    if shape == "date-time":
        return {"type": "datetimepicker", "action_id": "value"}, ""
    if shape == "date":
        return {"type": "datepicker", "action_id": "value"}, ""
    element: Block = {"type": "plain_text_input", "action_id": "value"}
    most = min(int(part.get("maxLength") or limits.INPUT), limits.INPUT)
    if kind == "string" and shape is None:
        element["max_length"] = most
    if kind in {"array", "object"} or most > _LONG:
        element["multiline"] = True
    if isinstance(default, str | int | float) and not isinstance(default, bool) and str(default):
        element["initial_value"] = limits.cut(str(default), most)
    hints = {"array": "One a line, or JSON.", "object": "JSON."}
    return element, "For example 30m or PT30M." if shape == "duration" else hints.get(str(kind), "")


def _value(part: dict[str, Any], choices: list[str], state: dict[str, Any]) -> Any:
    """Read one input's state; None where it is empty.

    Raises:
        ValueError: it can't be read.

    """
    if choices:
        chosen = state.get("selected_option") or {}
        number = str(chosen.get("value", ""))
        if not number.isascii() or not number.isdecimal() or int(number) >= len(choices):
            return None
        answer = choices[int(number)]
        return answer == _YES if part.get("type") == "boolean" else answer
    if state.get("selected_date_time") is not None:
        return datetime.fromtimestamp(int(state["selected_date_time"]), UTC)
    if state.get("selected_date"):
        return str(state["selected_date"])
    text = str(state.get("value") or "").strip()
    if not text:
        return None
    return _typed(part, text)


def _typed(part: dict[str, Any], text: str) -> Any:
    if part.get("format") == "duration" and not text.upper().startswith(("P", "-P")):
        seconds = timeparse(text)
        try:
            return text if seconds is None else timedelta(seconds=seconds)
        except OverflowError:
            raise ValueError("this is longer than anything lasts") from None
    if part.get("type") in {"array", "object"}:
        if part["type"] == "object" or text.startswith("["):
            try:
                return json.loads(text)
            except (ValueError, RecursionError):
                raise ValueError("this is no JSON") from None
        return [*_lines(text, part.get("items", {}).get("type"))]
    return text


def _lines(text: str, kind: object) -> Iterator[Any]:
    for line in filter(None, (one.strip() for one in text.replace(",", "\n").splitlines())):
        yield int(line) if kind == "integer" and line.lstrip("-").isdecimal() else line
