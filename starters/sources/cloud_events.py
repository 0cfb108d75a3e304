"""CloudEvents 1.0 over HTTP, structured, binary and in batches; https://github.com/cloudevents/spec.

How a sender asks whether it may send is in https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md.

The data are the sender's own: `[mapping.NAME]` says where everything is in the event, `$.data…` in what it carries.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from cloudevents.core.bindings.http import HTTPMessage, from_http
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from activities.records.alerts import Alert
from starters.http.credentials import credential, digest, known
from starters.sources.port import Manners, Post, Said, Source, Unauthentic, Unreadable, document, parsed
from starters.steering.mapping import Flaw, Ignored, PayloadMapping, called, time
from workers.source_settings import CloudEventsSource

_ONE, _BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"


class CloudEvents(Source):
    """One sender, or several with a token each."""

    manners = Manners(media=frozenset({_ONE, _BATCH, "application/json"}), unreadable=HTTPStatus.UNSUPPORTED_MEDIA_TYPE)

    def __init__(self, name: str, settings: CloudEventsSource, mapping: PayloadMapping) -> None:
        super().__init__(name)
        self._tokens = [digest(token.get_secret_value().encode()) for token in settings.bearer_tokens]
        self._origins = settings.origins
        self._rate = settings.rate
        self._mapping = mapping

    async def check(self, post: Post) -> None:
        """See that it shows a token of ours; in an address it would stand in every log on its way."""
        shown = credential(post.headers.get("authorization", ""))
        if not (shown.scheme == "bearer" and known(shown.value, self._tokens)):
            raise Unauthentic("the Authorization header shows no bearer token of this source")

    def read(self, post: Post) -> Said:
        """Read an event, or a batch of them, by the mapping; `source` and `id` name one, and its `time` says when."""
        if post.headers.get("content-type", "").partition(";")[0].strip().lower() == _BATCH:
            return Said([*self._batch(parsed(post.body))])
        attributes = {name[3:]: value for name, value in post.headers.items() if name[:3] == "ce-" and value}
        if not attributes:
            return Said([*self._structured(document(post.body))])
        parsed(post.body)  # refuses what the SDK's own parser lets through
        at = attributes.pop("time", None)
        headers = {f"ce-{name}": value for name, value in attributes.items()}
        headers["content-type"] = post.headers.get("content-type", "application/json")
        return Said([*self._read(HTTPMessage(headers, post.body), at)])

    def _batch(self, events: Any) -> Iterator[Alert | Flaw | Ignored]:
        """Read a list of structured events; one that is none loses the others nothing."""
        if not isinstance(events, list):
            raise Unreadable("not a list of JSON, which a batch is")
        for number, one in enumerate(events):
            place = f"event {number + 1} of {len(events)}"
            if not isinstance(one, dict):
                yield Flaw(f"{place}: not an object of JSON")
                continue
            try:
                yield from self._structured(one)
            except Unreadable as error:
                yield Flaw(f"{place}: {error}")

    def _structured(self, event: dict[str, Any]) -> Iterator[Alert | Flaw | Ignored]:
        """Read an event that is JSON as a whole; an attribute that is null is none, as the JSON format says."""
        told = {name: value for name, value in event.items() if name == "data" or value not in (None, "")}
        at = told.pop("time", None)
        return self._read(HTTPMessage({"content-type": _ONE}, json.dumps(told).encode()), at)

    def _read(self, message: HTTPMessage, at: Any) -> Iterator[Alert | Flaw | Ignored]:
        """Read an event but for its time, which it can do without where the mapping names another."""
        try:
            event = from_http(message, JSONFormat(), _event)
        except Exception as error:  # noqa: BLE001  whatever the SDK makes of it
            raise Unreadable(f"not a CloudEvent of version 1.0 ({type(error).__name__})") from None
        payload = {**event.get_attributes(), "data": _data(event.get_data())}
        payload.pop("time", None)  # the SDK makes one up
        when = None
        with suppress(ValueError):
            when = time(at)
            payload["time"] = when.isoformat()
        yield from self._mapping.alerts(payload, self.name, called(event.get_source(), event.get_id()), when)

    def may_send(self, headers: Mapping[str, str]) -> dict[str, str] | None:
        """Let those who are named in the settings send."""
        origin = headers.get("webhook-request-origin", "")
        if origin not in self._origins:
            return None
        return {"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": str(self._rate * 60)}


class _Event(CloudEvent):
    """An event as it was sent: the SDK makes up an ID where none is, and each try would be another."""

    def __init__(self, attributes: dict[str, Any], data: Any = None) -> None:
        if not attributes.get("id"):
            raise ValueError("id: is empty")
        super().__init__(attributes, data)


def _event(attributes: dict[str, Any], data: Any) -> CloudEvent:
    return _Event(attributes, data)


def _data(data: Any) -> Any:
    """Give the data, which may be JSON in base64; no mapping looks into what is none."""
    if not isinstance(data, bytes | bytearray):
        return data
    with suppress(Unreadable):
        return parsed(bytes(data))
    return None
