"""Datadog's webhooks integration (https://docs.datadoghq.com/integrations/webhooks/).

Datadog signs nothing: it shows a secret. What it sends is what somebody has typed there; `TEMPLATE` is what we ask for,
and `[mapping.NAME]` says where everything is in any other. It tries again after 5xx only, so there is no 429 for it.
"""

import json
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from activities.records.alerts import Alert
from starters.http.credentials import credential, digest, known
from starters.sources.port import Manners, Post, Said, Source, Unauthentic, Unreadable, document
from starters.steering.mapping import Flaw, Ignored, PayloadMapping, called, made, text, time
from workers.source_settings import DatadogSource

TEMPLATE = json.dumps(
    {
        "cycle": "$ALERT_CYCLE_KEY",
        "monitor": "$ALERT_ID",
        "scope": "$ALERT_SCOPE",
        "transition": "$ALERT_TRANSITION",
        "type": "$ALERT_TYPE",
        "priority": "$ALERT_PRIORITY",
        "title": "$EVENT_TITLE",
        "text": "$TEXT_ONLY_MSG",
        "tags": "$TAGS",
        "date": "$DATE",
        "link": "$LINK",
    },
    indent=2,
)
"""For the field "Payload" of the webhook."""

_FIRES = {"triggered", "re-triggered"}
_REPEATS = "renotify"
"""Of whatever state it is in; the type says which."""
_ENDS = {"recovered"}


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore")

    monitor: Any
    transition: Any
    date: Any
    cycle: Any = None
    scope: Any = None
    type: Any = None
    priority: Any = None
    title: Any = None
    text: Any = None
    tags: Any = None
    link: Any = None


class Datadog(Source):
    """One webhook."""

    manners = Manners(too_many=HTTPStatus.SERVICE_UNAVAILABLE, within=timedelta(seconds=14))

    def __init__(self, name: str, settings: DatadogSource, mapping: PayloadMapping | None) -> None:
        super().__init__(name)
        self._header = settings.header
        self._mapping = mapping
        self._secrets = [digest(secret.get_secret_value().encode()) for secret in settings.secrets]
        self._users = [
            digest(f"{user}:{password.get_secret_value()}".encode()) for user, password in settings.basic_auth.items()
        ]

    async def check(self, post: Post) -> None:
        """See that it shows a secret of ours."""
        shown = post.headers.get(self._header.lower(), "").encode("latin-1", errors="replace")
        basic = credential(post.headers.get("authorization", ""))
        if not known(shown, self._secrets) and not (basic.scheme == "basic" and known(basic.value, self._users)):
            raise Unauthentic(f"neither {self._header} nor basic auth shows a secret of this source")

    def read(self, post: Post) -> Said:
        """Read our template, or what somebody else has typed."""
        body = document(post.body)
        if self._mapping is not None:
            return Said([*self._mapping.alerts(body, self.name)])
        try:
            return Said([self._alert(_Body.model_validate(body))])
        except ValidationError:
            raise Unreadable("not the payload of docs/alert-sources.md, and there is no mapping for another") from None

    def _alert(self, body: _Body) -> Alert | Flaw | Ignored:
        transition, kind = _filled(body.transition).lower(), _filled(body.type).lower()
        status: Literal["firing", "resolved"] = "firing"
        if transition in _ENDS:
            status = "resolved"
        elif transition not in _FIRES and not (transition == _REPEATS and kind == "error"):
            return Ignored("a transition that neither fires nor ends: a warning, or no data")
        try:
            at = time(body.date)
        except ValueError as error:
            return Flaw(f"date: {error}")
        monitor, cycle = _filled(body.monitor), _filled(body.cycle)
        if not monitor:
            return Flaw("monitor: is empty")
        tags = _tags(_filled(body.tags))
        return made(
            source=self.name,
            fingerprint=called(monitor, _filled(body.scope)),
            key=called(cycle),
            name=_filled(body.title) or f"monitor {monitor}",
            starts_at=at,
            status=status,
            ends_at=at if status == "resolved" else None,
            labels={
                **tags,
                "severity": _filled(body.priority) or tags.get("severity", ""),
                "monitor": monitor,
                "scope": _filled(body.scope),
            },
            annotations={"summary": _filled(body.title), "description": _filled(body.text)},
            generator_url=_filled(body.link),
            group_key=monitor,
        )


def _filled(value: Any) -> str:
    """Give a value that Datadog has put in; a variable that it doesn't know stays as it was typed."""
    said = text(value).strip()
    return "" if said.startswith("$") else said


def _tags(listed: str) -> dict[str, str]:
    pairs = (tag.strip().partition(":") for tag in listed.split(","))
    return {name: value for name, _, value in pairs if name and value}
