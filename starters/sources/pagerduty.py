"""PagerDuty's webhooks, version 3 (https://developer.pagerduty.com/docs/webhooks-overview).

An incident that PagerDuty opens starts a run; what is done about it there (acknowledged, reassigned, annotated) begins
nothing. PagerDuty waits five seconds, tries again after 5xx, drops what was refused with 4xx, and turns a subscription
off for a day when that happens again and again: so whatever it signed is answered with 2xx or 503.
"""

from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from activities.common.text import ToldLine
from activities.messages.paging.pagerduty import is_ours
from starters.sources.beside import AnyObject, AnyText
from starters.sources.port import Manners, Post, Said, Source, Unauthentic, Unreadable, document
from starters.sources.signatures import listed, signed
from starters.steering.mapping import Flaw, Ignored, called, made, time
from workers.source_settings import PagerDutySource

_FIRES = {"incident.triggered", "incident.reopened"}
_ENDS = {"incident.resolved"}


class _Named(BaseModel):
    model_config = ConfigDict(extra="ignore")

    summary: AnyText = ""


class _Incident(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: ToldLine = Field(min_length=1)
    created_at: Any = None
    incident_key: AnyText = ""
    title: AnyText = ""
    html_url: AnyText = ""
    number: AnyText = ""
    urgency: AnyText = ""
    service: Annotated[_Named, AnyObject] = _Named()
    priority: Annotated[_Named, AnyObject] = _Named()
    escalation_policy: Annotated[_Named, AnyObject] = _Named()


class _Event(BaseModel):
    model_config = ConfigDict(extra="ignore")

    event_type: str
    occurred_at: Any = None
    data: Any = None


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore")

    event: _Event


class PagerDuty(Source):
    """One subscription, or several with a secret each."""

    manners = Manners(refused=HTTPStatus.OK, too_many=HTTPStatus.SERVICE_UNAVAILABLE, within=timedelta(seconds=4))

    def __init__(self, name: str, settings: PagerDutySource) -> None:
        super().__init__(name)
        self._settings = settings

    async def check(self, post: Post) -> None:
        """See that one of the signatures is ours; PagerDuty sends several while a secret is changed."""
        sent = listed(post.headers.get("x-pagerduty-signature", ""))
        known = [one.removeprefix("v1=") for one in sent if one.startswith("v1=")]
        if not signed(known, post.body, self._settings.secrets):
            raise Unauthentic("X-PagerDuty-Signature has no v1 signature by a secret of this source")

    def read(self, post: Post) -> Said:
        """Read an event of an incident."""
        try:
            event = _Body.model_validate(document(post.body)).event
        except ValidationError:
            raise Unreadable("not an event of PagerDuty's version 3") from None
        if event.event_type not in _FIRES | _ENDS:
            return Said([Ignored("an event that neither opens an incident nor resolves one")])
        try:
            incident = _Incident.model_validate(event.data)
            occurred = time(event.occurred_at)
            began = occurred if incident.created_at is None else time(incident.created_at)
        except ValidationError as error:
            places = sorted({".".join(str(part) for part in one["loc"])[:100] for one in error.errors()})
            return Said([Flaw(f"event.data.{', '.join(places)}: can't be read")])
        except ValueError as error:
            return Said([Flaw(f"event.occurred_at, event.data.created_at: {error}")])
        if is_ours(incident.incident_key):
            return Said([Ignored("a page of a run of ours")])
        # Which time it was opened, the event of its end doesn't tell.
        ended = event.event_type in _ENDS
        starts_at = occurred if ended or event.event_type == "incident.reopened" else began
        alert = made(
            source=self.name,
            fingerprint=called(incident.id),
            name=incident.title or incident.id,
            starts_at=starts_at,
            status="resolved" if ended else "firing",
            ends_at=occurred if ended else None,
            labels={
                "service": incident.service.summary,
                "severity": incident.priority.summary,
                "urgency": incident.urgency,
                "escalation_policy": incident.escalation_policy.summary,
                "incident": incident.number,
            },
            annotations={"summary": incident.title},
            generator_url=incident.html_url,
            group_key=incident.incident_key,
        )
        return Said([alert])
