"""What every procedure is started with."""

from datetime import date, datetime, timedelta
from typing import Any, get_args

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from activities.common.refusable import Refusable
from activities.common.text import Name
from activities.records.alerts import Alert

_NUMBERS = frozenset({int, float, timedelta, datetime, date})


class RunbookRequest(Refusable):
    """What every procedure accepts."""

    model_config = ConfigDict(extra="forbid")

    requested_by: Name = Field(
        default="", max_length=200, description="Who starts it, and why it is theirs to; for the record."
    )
    dry_run: bool = Field(default=False, description="Plan mode: do everything but the effects.")

    @field_validator("*", mode="before")
    @classmethod
    def _no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse `true` where a number belongs: it would count as 1, and a rollback go to revision 1."""
        if isinstance(value, bool):
            meant = _types(cls.model_fields[str(info.field_name)].annotation)
            if bool not in meant and meant & _NUMBERS:
                raise ValueError("true and false are no numbers")
        return value


class ServiceRequest(RunbookRequest):
    """What every procedure on one service accepts."""

    service: Name | None = Field(default=None, description="Catalogue name; the only service where there is one.")
    alert: Alert | None = Field(default=None, description="What started it; set by the webhook.")


def _types(annotation: Any) -> set[Any]:
    """Give a type with those that it is made of."""
    return {annotation}.union(*(_types(one) for one in get_args(annotation)))
