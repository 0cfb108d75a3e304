"""Grafana Alerting's contact point "Webhook".

https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/

Its body is like Alertmanager's, with version "1". A contact point may have a template of its own, which sends any
shape: then `[mapping.NAME]` says where everything is. What wasn't answered with 2xx Grafana sends again with the
group's next interval.
"""

from typing import Any, Literal
from urllib.parse import urljoin

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from activities.common.text import ToldLine
from activities.records.alerts import Alert
from starters.sources.beside import AnyText, AnyTexts, AnyTime, Count
from starters.sources.port import Post, Said, Source, Unauthentic, Unreadable, document
from starters.sources.signatures import in_time, listed, signed
from starters.steering.mapping import Flaw, PayloadMapping, called, made, time
from workers.source_settings import GrafanaSource

_ENDLESS_YEAR = 1
"""`endsAt` of a firing alert is the year 1."""


class _Group(BaseModel):
    model_config = ConfigDict(extra="ignore")

    group_key: AnyText = Field(alias="groupKey", default="")
    external_url: AnyText = Field(alias="externalURL", default="")
    alerts: list[Any] = Field(min_length=1)
    truncated: Count = Field(alias="truncatedAlerts", default=0)


class GrafanaAlert(BaseModel):
    """One alert of a group."""

    model_config = ConfigDict(extra="ignore")

    status: Literal["firing", "resolved"]
    labels: AnyTexts = Field(default_factory=dict)
    annotations: AnyTexts = Field(default_factory=dict)
    starts_at: AwareDatetime = Field(alias="startsAt")
    ends_at: AnyTime = Field(alias="endsAt", default=None)
    generator_url: AnyText = Field(alias="generatorURL", default="")
    fingerprint: ToldLine = Field(min_length=1)
    dashboard_url: AnyText = Field(alias="dashboardURL", default="")
    values: AnyText = Field(alias="valueString", default="")

    def alert(self, source: str, group: _Group) -> Alert | Flaw:
        """Give our form of it."""
        ended = self.status == "resolved" and self.ends_at is not None and self.ends_at.year > _ENDLESS_YEAR
        try:
            starts_at, ends_at = time(self.starts_at), time(self.ends_at) if ended else None
        except ValueError as error:
            return Flaw(f"startsAt, endsAt: {error}")
        return made(
            source=source,
            fingerprint=called(self.fingerprint),
            name=self.labels.get("alertname") or source,
            starts_at=starts_at,
            status=self.status,
            ends_at=ends_at,
            labels=self.labels,
            annotations={"values": self.values, "dashboard_url": self.dashboard_url, **self.annotations},
            generator_url=_absolute(group.external_url, self.generator_url),
            group_key=group.group_key,
        )


class Grafana(Source):
    """One contact point; several with the same secrets may share it."""

    def __init__(self, name: str, settings: GrafanaSource, mapping: PayloadMapping | None) -> None:
        super().__init__(name)
        self._settings = settings
        self._mapping = mapping

    async def check(self, post: Post) -> None:
        """See that the body is signed, and the time with it where the contact point says so."""
        settings, message = self._settings, post.body
        sent = post.headers.get(settings.header.lower(), "")
        seconds = ""
        if settings.timestamp_header is not None:
            seconds = post.headers.get(settings.timestamp_header.lower(), "")
            message = seconds.encode(errors="replace") + b":" + post.body
        if not signed(listed(sent), message, settings.secrets):
            raise Unauthentic(f"{settings.header} has no signature by a secret of this source")
        if settings.timestamp_header is not None:
            in_time(seconds, post.at, settings.window)

    def read(self, post: Post) -> Said:
        """Read a group, or what a template has made of it."""
        body = document(post.body)
        if self._mapping is not None:
            return Said([*self._mapping.alerts(body, self.name)])
        try:
            group = _Group.model_validate(body)
        except ValidationError:
            raise Unreadable(
                "not Grafana's own body: does the contact point have a template, and no mapping?"
            ) from None
        found = [self._alert(item, group) for item in group.alerts]
        if group.truncated:
            found.append(
                Flaw(f"{group.truncated} alerts were cut off by the contact point's `Max Alerts`: set it to 0")
            )
        return Said(found)

    def _alert(self, item: Any, group: _Group) -> Alert | Flaw:
        try:
            return GrafanaAlert.model_validate(item).alert(self.name, group)
        except ValidationError as error:
            places = sorted({".".join(str(part) for part in one["loc"])[:100] or "alert" for one in error.errors()})
            return Flaw(f"{', '.join(places[:10])}: can't be read")


def _absolute(base: str, url: str) -> str:
    """Give an address as it is seen from Grafana: some versions send one without its host."""
    try:
        return urljoin(base, url) if url else ""
    except ValueError:
        return ""
