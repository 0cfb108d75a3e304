"""
The part of PagerDuty's Events API v2 that we use, as its published schema has it.

https://github.com/PagerDuty/api-schema/blob/main/reference/events-v2/openapiv3.json
"""

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

_TOP = {"routing_key", "event_action", "dedup_key", "payload", "client", "client_url", "links", "images"}
_PAYLOAD = {"summary", "timestamp", "severity", "source", "component", "group", "class", "custom_details"}


class PagerDutyContract:
    """Keeps alerts by dedup key: `alerts[key]` is triggered, acknowledged or resolved; `events` is all accepted."""

    def __init__(self, routing_key: str) -> None:
        self.keys = {routing_key}
        self.alerts: dict[str, str] = {}
        self.opened: list[str] = []
        self.events: list[dict[str, Any]] = []
        self.app = Starlette(routes=[Route("/v2/enqueue", self._enqueue, methods=["POST"])])

    async def _enqueue(self, request: Request) -> JSONResponse:
        if not request.headers.get("content-type", "").startswith("application/json"):
            return _invalid("Content-Type is not application/json")
        event = await request.json()
        errors = _errors(event)
        if event.get("routing_key") not in self.keys:
            errors.append(f"'routing_key' {event.get('routing_key')} is invalid")
        if errors:
            return _invalid(*errors)
        self.events.append(event)
        action, key = event["event_action"], event["dedup_key"]
        state = self.alerts.get(key)
        if action == "trigger" and state in {None, "resolved"}:
            self.alerts[key] = "triggered"
            self.opened.append(key)
        elif action == "acknowledge" and state == "triggered":
            self.alerts[key] = "acknowledged"
        elif action == "resolve" and state is not None:
            self.alerts[key] = "resolved"
        return JSONResponse({"status": "success", "message": "Event processed", "dedup_key": key}, 202)


def _errors(event: dict[str, Any]) -> list[str]:
    errors = [f"unknown field '{name}'" for name in sorted(set(event) - _TOP)]
    action = event.get("event_action")
    if action not in {"trigger", "acknowledge", "resolve"}:
        errors.append("'event_action' is invalid")
    if len(str(event.get("routing_key", ""))) != 32:
        errors.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    if not 1 <= len(str(event.get("dedup_key", ""))) <= 255:
        errors.append("'dedup_key' is missing or too long")
    if action == "trigger":
        payload = event.get("payload") or {}
        errors += [f"unknown field 'payload.{name}'" for name in sorted(set(payload) - _PAYLOAD)]
        errors += [f"'payload.{name}' is missing or blank" for name in ("summary", "source") if not payload.get(name)]
        if payload.get("severity") not in {"critical", "error", "warning", "info"}:
            errors.append("'payload.severity' is invalid")
        if len(payload.get("summary", "")) > 1024:
            errors.append("'payload.summary' is too long")
        errors += ["'links' need an href" for link in event.get("links", []) if not link.get("href")]
    return errors


def _invalid(*errors: str) -> JSONResponse:
    body = {"status": "invalid event", "message": "Event object is invalid", "errors": list(errors)}
    return JSONResponse(body, 400)
