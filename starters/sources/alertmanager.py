"""Alertmanager's webhook body, version 4 (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config)."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from activities.common.text import Name
from activities.records.alerts import Alert
from starters.http.problems import errors_of
from starters.sources.beside import AnyText, AnyTexts, AnyTime, Count
from starters.sources.port import Said, Unreadable, parsed
from starters.steering.mapping import Flaw, text

_SOURCE = "alertmanager"
_ENDLESS_YEAR = 1
"""`endsAt` of a firing alert is the year 1."""


def _utc(value: datetime) -> datetime:
    """Give one firing the same `starts_at` whatever zone its sender speaks in: runs compare them as text."""
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("outside of the calendar") from None


Time = Annotated[AwareDatetime, AfterValidator(_utc)]


class Group(BaseModel):
    """The envelope; its alerts are validated one by one, so that a bad one doesn't lose the others."""

    model_config = ConfigDict(extra="ignore")

    version: Literal["4"]
    group_key: AnyText = Field(alias="groupKey", default="")
    alerts: list[Any] = Field(min_length=1, description="As many as fit into a body: none is dropped for the others.")
    truncated: Count = Field(alias="truncatedAlerts", default=0, description="Cut off by Alertmanager's max_alerts.")


class AlertmanagerAlert(BaseModel):
    """One alert of a group."""

    model_config = ConfigDict(extra="ignore")

    status: Literal["firing", "resolved"]
    labels: AnyTexts
    annotations: AnyTexts = Field(default_factory=dict)
    starts_at: Time = Field(alias="startsAt")
    ends_at: AnyTime = Field(alias="endsAt", default=None)
    generator_url: AnyText = Field(alias="generatorURL", default="")
    fingerprint: Annotated[Name, BeforeValidator(text)] = Field(default="", max_length=64, pattern=r"^[A-Za-z0-9]*$")

    def alert(self, group_key: str) -> Alert:
        """Give our form of it."""
        ended = self.status == "resolved" and self.ends_at is not None and self.ends_at.year > _ENDLESS_YEAR
        return Alert(
            source=_SOURCE,
            fingerprint=self.fingerprint or _fingerprint(self.labels),
            name=self.labels.get("alertname") or _SOURCE,  # what posts to Alertmanager's API need not give one
            starts_at=self.starts_at,
            status=self.status,
            ends_at=self.ends_at if ended else None,
            labels=self.labels,
            annotations=self.annotations,
            generator_url=self.generator_url,
            group_key=group_key,
        )


def read(body: bytes) -> Said:
    """Understand a post, in its order.

    Raises:
        Unreadable: it is no group.

    """
    try:
        group = Group.model_validate(parsed(body))
    except ValidationError as error:
        raise Unreadable(f"not a body of Alertmanager's version 4: {_told(error)}") from None
    return Said([alert_of(raw, group) for raw in group.alerts])


def alert_of(raw: Any, group: Group) -> Alert | Flaw:
    """Give one alert of a group; one that is bad doesn't lose the others."""
    try:
        return AlertmanagerAlert.model_validate(raw).alert(group.group_key)
    except ValidationError as error:
        return Flaw(_told(error))


def _told(error: ValidationError) -> str:
    return "; ".join(f"{one['field']}: {one['message']}" for one in errors_of(error))


def _fingerprint(labels: dict[str, str]) -> str:
    """Identify an alert by its labels, for senders that don't."""
    return hashlib.sha256(json.dumps(labels, sort_keys=True).encode()).hexdigest()[:16]
