"""An example of what a model takes, for the sentence that refuses something else: what is required, and no more."""

import typing
from datetime import date, datetime, timedelta
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel

_AT = "2026-02-04T12:00:00Z"
_OF = {bool: True, int: 1, float: 1.0, timedelta: "PT30M", datetime: _AT, AwareDatetime: _AT, date: "2026-02-04"}
_NAMED = {
    "role": "on-call",
    "version": "v1.2.4",
    "tenant_id": "acme",
    "email": "name@example.com",
    "fingerprint": "f01",
    "ends_at": "2026-02-04T14:00:00Z",
}


def example(hint: Any) -> Any:
    """Give the required fields of a model, or a list of one, as JSON, with values that it takes."""
    if typing.get_origin(hint) is list:
        return [example(argument) for argument in typing.get_args(hint)]
    return {
        field.alias or name: _NAMED.get(name) or _value(field.annotation, name)
        for name, field in hint.model_fields.items()
        if field.is_required()
    }


def _value(hint: Any, name: str) -> Any:
    if typing.get_origin(hint) is Literal:
        return typing.get_args(hint)[0]
    if hint in _OF:
        return _OF[hint]
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return example(hint)
    if typing.get_origin(hint) is list:
        return [_value(typing.get_args(hint)[0], name)]
    inner = [argument for argument in typing.get_args(hint) if argument is not type(None)]
    return _value(inner[0], name) if inner else f"<{name}>"
