"""PagerDuty's Events API v2.

Its `dedup_key` is the incident and the level, so that an event sent twice is one alert there: no look-up is needed
before a retry. An event is queued, and 202 says so; what a routing key is routed to is PagerDuty's matter.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import SecretStr

from activities.common.effects import Change
from activities.common.errors import InvalidInput
from activities.common.http import TIMEOUT, send
from activities.messages.paging.paging import AcknowledgePage, PageOnCall, ResolvePage
from libraries import logger

if TYPE_CHECKING:
    from libraries import httpx

_log = logger(__name__)
_SEVERITIES = {"P1": "critical", "P2": "error", "P3": "warning", "P4": "info"}
_LONGEST_SUMMARY = 1024
_LONGEST_KEY = 255


class PagerDutyPager:
    """Sends events with an integration's routing key (32 characters, of an "Events API v2" integration).

    A level may have a key of its own, which leads to another service or escalation policy at PagerDuty.
    """

    def __init__(
        self,
        http: "httpx.Client",
        routing_key: SecretStr,
        base_url: str = "https://events.pagerduty.com",
        escalation_keys: Mapping[int, SecretStr] | None = None,
    ) -> None:
        self._http = http
        self._routing_key = routing_key
        self._escalation_keys = escalation_keys or {}
        self._url = f"{base_url.rstrip('/')}/v2/enqueue"

    def page(self, request: PageOnCall) -> Change:
        """Trigger the level's alert; one that is open already takes it as a repetition."""
        event: dict[str, Any] = {
            "payload": {
                "summary": _shortened(f"[{request.severity}] {request.summary}"),
                "source": request.service,
                "severity": _SEVERITIES[request.severity],
                "component": request.service,
                "group": request.rotation,
                "custom_details": {
                    "incident": request.incident_id,
                    "rotation": request.rotation,
                    "level": request.level,
                    "effect": request.effect.key,
                },
            },
            "client": "durable runbooks",
        }
        if request.link:
            event |= {"client_url": request.link, "links": [{"href": request.link, "text": "The run"}]}
        key = _key(request.incident_id, request.level)
        self._enqueue("trigger", key, event, request.level, dry_run=request.effect.dry_run)
        return Change(
            target=f"page/{key}",
            after=f"{request.rotation} paged through PagerDuty, level {request.level}",
            applied=not request.effect.dry_run,
        )

    def acknowledge(self, request: AcknowledgePage) -> Change:
        """Acknowledge all levels' alerts."""
        return self._all_levels("acknowledge", request, f"acknowledged by {request.by}")

    def resolve(self, request: ResolvePage) -> Change:
        """Resolve all levels' alerts; one that isn't there, or is resolved, stays so."""
        return self._all_levels("resolve", request, "resolved")

    def _all_levels(
        self, action: Literal["acknowledge", "resolve"], request: AcknowledgePage | ResolvePage, after: str
    ) -> Change:
        for level in range(1, request.levels + 1):
            self._enqueue(action, _key(request.incident_id, level), {}, level, dry_run=request.effect.dry_run)
        levels = f"level{'s 1 to' if request.levels > 1 else ''} {request.levels}"
        return Change(
            target=f"page/{request.incident_id}",
            before="paged",
            after=after,
            applied=not request.effect.dry_run,
            note=levels,
        )

    def _enqueue(self, action: str, key: str, event: dict[str, Any], level: int, *, dry_run: bool) -> None:
        routing_key = self._escalation_keys.get(level, self._routing_key)
        if not dry_run:
            body = {
                **event,
                "routing_key": routing_key.get_secret_value(),
                "event_action": action,
                "dedup_key": key,
            }
            send(
                "PagerDuty",
                lambda: self._http.post(self._url, json=body, timeout=TIMEOUT),
                secret=routing_key,
                sentence=_sentence,
            )
        _log.info("pagerduty event", action=action, dedup_key=key, dry_run=dry_run)


def _key(incident_id: str, level: int) -> str:
    key = f"{incident_id}/L{level}"
    if len(key) > _LONGEST_KEY:
        raise InvalidInput(f"incident_id: PagerDuty takes at most {_LONGEST_KEY} characters with the level")
    return key


def is_ours(key: str) -> bool:
    """Tell whether a `dedup_key`, or the key of the incident that PagerDuty made of it, is that of one of our pages."""
    return re.fullmatch(r"[A-Z]+-\d{8}-\d{6}-[0-9a-f]{6}/L\d+", key) is not None


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_SUMMARY else f"{text[: _LONGEST_SUMMARY - 1]}…"


def _sentence(response: "httpx.Response") -> str:
    said = response.json()
    return "; ".join([said["message"], *said.get("errors", [])])
