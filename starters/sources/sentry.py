"""Sentry's integration platform (https://docs.sentry.io/integrations/integration-platform/webhooks/).

Alert rules of issues and of metrics start runs. Sentry waits one second, tries again after 503 and 504 alone, and
counts time-outs until it unsubscribes us: so what Temporal hasn't taken by then is answered with 503, and goes on.

Its `Request-ID` is not signed, and another at each try. What names a firing is what is signed: the metric's incident,
or the issue and its event.
"""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from activities.common.text import Told, ToldLine
from activities.records.alerts import Alert
from starters.sources.beside import AnyLines, AnyText
from starters.sources.port import Manners, Post, Said, Source, Unauthentic, Unreadable, document
from starters.sources.signatures import listed, signed
from starters.steering.mapping import Flaw, Ignored, called, made, text, time
from workers.source_settings import SentrySource

_METRIC_FIRES = ("critical", "warning")


def _tags(value: Any) -> Any:
    """Read tags, which are pairs; what is none is left out."""
    pairs = value if isinstance(value, list) else []
    return {text(one[0]): text(one[1]) for one in pairs if isinstance(one, list) and len(one) == 2}  # noqa: PLR2004


class _Event(BaseModel):
    model_config = ConfigDict(extra="ignore")

    issue_id: Any
    happened: Any = Field(alias="datetime", default=None)
    received: Any = None
    title: AnyText = ""
    level: AnyText = ""
    environment: AnyText = ""
    web_url: AnyText = ""
    culprit: AnyText = ""
    tags: Annotated[dict[str, str], BeforeValidator(_tags)] = Field(default_factory=dict)

    @property
    def at(self) -> datetime:
        """When Sentry got it: when it happened is by the clock of whatever has failed.

        Raises:
            ValueError: it tells no time.

        """
        try:
            return time(self.received)
        except ValueError:
            return time(self.happened)


class _Rule(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: Any
    name: AnyText = ""
    environment: AnyText = ""


class _Metric(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: Any
    date_started: Any
    title: AnyText = ""
    alert_rule: _Rule
    projects: AnyLines = Field(default_factory=list)


class _Issue(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: Any
    title: AnyText = ""


class _Data(BaseModel):
    model_config = ConfigDict(extra="ignore")

    event: _Event | None = None
    triggered_rule: AnyText = ""
    metric_alert: _Metric | None = None
    issue: _Issue | None = None
    description_title: AnyText = ""
    description_text: Annotated[Told, BeforeValidator(text)] = ""
    web_url: AnyText = ""


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore")

    action: ToldLine
    data: Any = None


class Sentry(Source):
    """One integration, or several with a client secret each."""

    manners = Manners(too_many=HTTPStatus.SERVICE_UNAVAILABLE, within=timedelta(milliseconds=800))

    def __init__(self, name: str, settings: SentrySource) -> None:
        super().__init__(name)
        self._settings = settings

    async def check(self, post: Post) -> None:
        """See that the client secret has signed it."""
        if not signed(listed(post.headers.get("sentry-hook-signature", "")), post.body, self._settings.secrets):
            raise Unauthentic("Sentry-Hook-Signature has no signature by a client secret of this source")

    def read(self, post: Post) -> Said:
        """Read an alert of an issue or of a metric, or the end of an issue."""
        try:
            body = _Body.model_validate(document(post.body))
        except ValidationError:
            raise Unreadable("not a webhook of Sentry") from None
        try:
            data = _Data.model_validate(body.data)
        except ValidationError as error:
            places = sorted({".".join(str(part) for part in one["loc"])[:100] for one in error.errors()})
            return Said([Flaw(f"data.{', '.join(places[:10])}: can't be read")])
        try:
            if data.metric_alert is not None:
                # How bad it was its end doesn't tell, and rules may give the two to different runs.
                as_bad = _METRIC_FIRES if body.action == "resolved" else (body.action,)
                return Said([self._metric(body.action, data, data.metric_alert, severity) for severity in as_bad])
            if data.event is not None and body.action == "triggered":
                return Said([self._event(data, data.event)])
        except ValueError as error:
            return Said([Flaw(f"data: {error}")])
        if data.issue is not None and body.action == "resolved":
            return Said([self._end(data.issue, post)])
        return Said([Ignored("neither an alert nor the end of an issue")])

    def _metric(self, action: str, data: _Data, metric: _Metric, severity: str) -> Alert | Flaw | Ignored:
        ended = action == "resolved"
        if not ended and action not in _METRIC_FIRES:
            return Ignored("an action that neither fires nor ends")
        incident, rule = text(metric.id), metric.alert_rule
        if not incident:
            return Flaw("data.metric_alert.id: is empty")
        return made(
            source=self.name,
            fingerprint=called("metric", text(rule.id)),
            key=called(incident),
            name=rule.name or metric.title or self.name,
            starts_at=time(metric.date_started),
            status="resolved" if ended else "firing",
            labels={
                "severity": severity,
                "project": ",".join(metric.projects[:20]),
                "environment": rule.environment,
            },
            annotations={"summary": data.description_title or metric.title, "description": data.description_text},
            generator_url=data.web_url,
            group_key=text(rule.id),
        )

    def _event(self, data: _Data, event: _Event) -> Alert | Flaw:
        issue = text(event.issue_id)
        if not issue:
            return Flaw("data.event.issue_id: is empty")
        return made(
            source=self.name,
            fingerprint=called("issue", issue),
            name=data.triggered_rule or event.title or self.name,
            starts_at=event.at,
            labels={
                **event.tags,
                "level": event.level,
                "environment": event.environment or event.tags.get("environment", ""),
                "issue": issue,
            },
            annotations={"summary": event.title, "description": event.culprit},
            generator_url=event.web_url,
            group_key=data.triggered_rule,
        )

    def _end(self, issue: _Issue, post: Post) -> Alert | Flaw:
        # Of the last event that an alert was for.
        return made(
            source=self.name,
            fingerprint=called("issue", text(issue.id)),
            name=issue.title or self.name,
            starts_at=post.at,
            status="resolved",
            ends_at=post.at,
            labels={"issue": text(issue.id)},
            annotations={"summary": issue.title},
        )
