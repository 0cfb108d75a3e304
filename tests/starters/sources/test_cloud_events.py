"""CloudEvents, structured, binary and in batches, as alerts."""

import base64
import json
from typing import Any

import pytest

from activities.records.alerts import Alert
from starters.sources.cloud_events import CloudEvents
from starters.sources.port import Post, Unreadable
from starters.steering.mapping import Flaw, PayloadMapping
from tests.starters.sources import senders
from tests.starters.sources.reading import NOW, one, said
from tests.starters.sources.senders import BEGAN, Message
from tests.starters.support import SERVICE
from workers.source_settings import CloudEventsSource


@pytest.mark.parametrize("binary", [False, True])
def test_cloud_events_structured_and_binary_are_one(binary: bool) -> None:  # noqa: FBT001
    payload = senders.event_payload("api", BEGAN, ended=None)
    alert = one("events", senders.event(payload, senders.SECRET, binary=binary))
    assert (alert.name, alert.starts_at, alert.labels["service"]) == ("api", BEGAN, SERVICE)


def test_a_batch_of_cloud_events_is_each_of_them_and_an_odd_one_loses_no_other() -> None:
    events = [senders.event_payload(name, BEGAN, ended=ended) for name, ended in (("a", None), ("b", NOW))]
    whole = [senders.whole(one) for one in events]
    alone = [one("events", senders.event(event, senders.SECRET)) for event in events]
    odd = [7, None, {"specversion": "1.0"}, {**whole[0], "id": ""}, [whole[0]]]
    sent = json.dumps([whole[0], *odd, whole[1]])
    message = senders.event([], senders.SECRET)
    items = said("events", Message(message.headers, sent.encode()))
    assert [item for item in items if isinstance(item, Alert)] == alone
    assert [item.detail[:10] for item in items if isinstance(item, Flaw)] == [f"event {n} of" for n in (2, 3, 4, 5, 6)]
    assert said("events", message) == []
    with pytest.raises(Unreadable, match="batch"):
        said("events", Message(message.headers, json.dumps(whole[0]).encode()))


def test_what_an_event_says_by_null_it_does_not_say() -> None:
    """The JSON format: null is the same as leaving an attribute out. `data` alone may be null."""
    plain = one("events", senders.event(senders.whole(senders.event_payload("api", BEGAN, ended=None)), senders.SECRET))
    event = senders.whole(senders.event_payload("api", BEGAN, ended=None))
    unset = dict.fromkeys(("time", "dataschema", "datacontenttype", "traceparent"))
    assert one("events", senders.event({**event, **unset}, senders.SECRET)) == plain
    batch = said("events", senders.event([{**event, **unset}], senders.SECRET))
    assert batch == [plain]
    with pytest.raises(Unreadable):
        said("events", senders.event({**event, "id": None}, senders.SECRET))


def test_data_of_an_event_may_be_json_in_base64() -> None:
    event = senders.whole(senders.event_payload("api", BEGAN, ended=None))
    plain = one("events", senders.event(event, senders.SECRET))
    data = event.pop("data")
    event["data_base64"] = base64.b64encode(json.dumps(data).encode()).decode()
    assert one("events", senders.event(event, senders.SECRET)) == plain
    # What is none is no text for a label either.
    event["data_base64"] = base64.b64encode(b"\x00\xff").decode()
    mapping = {"name": "$.type", "labels": {"what": "$.data"}}
    source = CloudEvents(
        "events", CloudEventsSource(kind="cloudevents", bearer_tokens=("x",)), PayloadMapping(**mapping)
    )
    (item,) = source.read(Post({"content-type": "application/cloudevents+json"}, json.dumps(event).encode(), NOW)).items
    assert isinstance(item, Alert)
    assert "what" not in item.labels


@pytest.mark.parametrize("data", ["down", 7, ["down"], None])
def test_data_of_a_binary_event_may_be_any_json(data: Any) -> None:
    message = senders.event(senders.event_payload("api", BEGAN, ended=None), senders.SECRET, binary=True)
    headers = {name.lower(): value for name, value in message.headers.items()}
    mapping = PayloadMapping.model_validate({"name": "$.subject", "labels": {"what": "$.data"}})
    source = CloudEvents("events", CloudEventsSource(kind="cloudevents", bearer_tokens=("x",)), mapping)
    (item,) = source.read(Post(headers, json.dumps(data).encode(), NOW)).items
    assert isinstance(item, Alert)
    assert item.starts_at == BEGAN


@pytest.mark.parametrize("missing", ["id", "source", "type", "specversion"])
def test_the_sdk_makes_up_nothing_that_an_event_lacks(missing: str) -> None:
    event = senders.whole(senders.event_payload("api", BEGAN, ended=None))
    del event[missing]
    if missing == "specversion":  # the SDK's default is what we take anyway
        assert one("events", senders.event(event, senders.SECRET))
        return
    with pytest.raises(Unreadable):
        said("events", senders.event(event, senders.SECRET))
