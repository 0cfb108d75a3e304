"""What is told beside an alert, as types of fields: whatever it is, the alert isn't lost over it."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator, TypeAdapter, ValidationError

from activities.common.text import Label, Told, ToldLine
from starters.steering.mapping import text

_MOST_COUNTED = 10**9


def _texts(value: Any) -> Any:
    return {name: text(one) for name, one in value.items() if name} if isinstance(value, dict) else {}


def _count(value: Any) -> Any:
    return min(value, _MOST_COUNTED) if isinstance(value, int) and value > 0 else 0


def _object(value: Any) -> Any:
    return value if isinstance(value, dict) else {}


def _lines(value: Any) -> Any:
    return [text(one) for one in value] if isinstance(value, list) else []


_TIME: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)


def _known_time(value: Any) -> Any:
    try:
        return _TIME.validate_python(value)
    except ValidationError:
        return None


AnyText = Annotated[ToldLine, BeforeValidator(text)]
"""What is told beside an alert: whatever it is, the alert isn't lost over it."""

AnyTexts = Annotated[dict[Label, Told], BeforeValidator(_texts)]
"""Labels or annotations: a value that is a number, or none, is taken as text; what is no object has none."""

AnyObject = BeforeValidator(_object)
"""Marks a model of what is told beside an alert: what is no object has nothing in it."""

AnyLines = Annotated[list[ToldLine], BeforeValidator(_lines)]
"""A list of texts beside an alert."""

AnyTime = Annotated[AwareDatetime | None, BeforeValidator(_known_time)]
"""A time that an alert can do without: one that can't be read is none."""

Count = Annotated[int, BeforeValidator(_count)]
"""Of alerts that the sender has cut off; what can be no such number is none."""
