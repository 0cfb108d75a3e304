"""Alertmanager's webhook body, version 4 (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config)."""

import hashlib
import json
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from activities.records import Alert

_ENDLESS_YEAR = 1
"""`endsAt` of a firing alert is the year 1."""


class Group(BaseModel):
    """The envelope; its alerts are validated one by one, so that a bad one doesn't lose the others."""

    model_config = ConfigDict(extra="ignore")

    version: Literal["4"]
    group_key: str = Field(alias="groupKey", default="", max_length=10_000)
    alerts: list[dict[str, Any]] = Field(min_length=1, max_length=1000)


class AlertmanagerAlert(BaseModel):
    """One alert of a group."""

    model_config = ConfigDict(extra="ignore")

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str] = Field(default_factory=dict)
    starts_at: datetime = Field(alias="startsAt")
    ends_at: datetime | None = Field(alias="endsAt", default=None)
    generator_url: str = Field(alias="generatorURL", default="")
    fingerprint: str = Field(default="", max_length=64, pattern=r"^[A-Za-z0-9]*$")

    @field_validator("starts_at")
    @classmethod
    def _has_zone(cls, value: datetime) -> datetime:
        if value.tzinfo is None:
            message = "needs a time zone, as in RFC 3339"
            raise ValueError(message)
        return value

    @field_validator("labels")
    @classmethod
    def _has_name(cls, value: dict[str, str]) -> dict[str, str]:
        if not value.get("alertname"):
            message = "alertname: required"
            raise ValueError(message)
        return value

    def alert(self, group_key: str) -> Alert:
        """Give our form of it."""
        ended = self.ends_at is not None and self.ends_at.year > _ENDLESS_YEAR and self.status == "resolved"
        return Alert(
            source="alertmanager",
            fingerprint=self.fingerprint or _fingerprint(self.labels),
            name=self.labels["alertname"],
            starts_at=self.starts_at,
            status=self.status,
            ends_at=self.ends_at if ended else None,
            labels=self.labels,
            annotations=self.annotations,
            generator_url=self.generator_url,
            group_key=group_key,
        )


def _fingerprint(labels: dict[str, str]) -> str:
    """Identify an alert by its labels, for senders that don't."""
    return hashlib.sha256(json.dumps(labels, sort_keys=True).encode()).hexdigest()[:16]
