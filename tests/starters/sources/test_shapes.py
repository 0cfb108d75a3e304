"""What each sender sends becomes the same alert, whichever the sender; what can't be understood says so."""

import copy
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from activities.records.alerts import Alert
from starters.sources.port import Post
from starters.steering.mapping import Flaw, Ignored
from tests.starters.sources import senders
from tests.starters.sources.reading import LATER, NOW, each, one, said, source_of
from tests.starters.sources.senders import BEGAN, SENDERS, Sender


@each
def test_a_firing_and_its_repetition_are_one_episode_and_the_next_is_another(sender: Sender) -> None:
    first, again = one(sender.name, sender.fires()), one(sender.name, sender.fires())
    assert first.status == "firing"
    assert first.source == sender.name
    assert first.starts_at == BEGAN
    assert first.ends_at is None
    assert first.episode == again.episode
    others = [
        one(sender.name, sender.fires("other")),
        one(sender.name, sender.fires("api2", BEGAN + timedelta(days=1))),
    ]
    assert len({first.episode, *(other.episode for other in others)}) == 3


@each
def test_an_end_is_of_its_firing_or_of_whichever_fires(sender: Sender) -> None:
    fires = one(sender.name, sender.fires())
    ends, *others = said(sender.name, sender.ends())
    assert isinstance(ends, Alert)
    assert len(others) == (sender.name == "sentry")
    assert ends.labels == fires.labels, "rules have to find the same run"
    assert ends.status == "resolved"
    assert ends.fingerprint == fires.fingerprint
    assert ends.of_whichever != sender.ends_tell
    if sender.ends_tell:
        assert ends.episode == fires.episode
    else:
        assert ends.starts_at == LATER


@each
def test_what_neither_fires_nor_ends_is_ignored_with_a_reason(sender: Sender) -> None:
    for payload in sender.ignored:
        (item,) = said(sender.name, sender.sign(payload, sender.secret))
        assert isinstance(item, Ignored), payload
        assert item.why


NEEDED = {
    "grafana": ("alerts.0.status", "alerts.0.startsAt", "alerts.0.fingerprint"),
    "pagerduty": ("event.event_type", "event.occurred_at", "event.data.id", "event.data.created_at"),
    "sns": ("AlarmName", "AlarmArn", "NewStateValue", "StateChangeTime"),
    "datadog": ("monitor", "scope", "cycle", "transition", "date"),
    "sentry": (
        "action",
        "data.metric_alert.id",
        "data.metric_alert.date_started",
        "data.metric_alert.alert_rule.id",
        "data.event.issue_id",
        "data.event.received",
    ),
    "standard": ("check", "since", "state"),
    "events": ("specversion", "id", "source", "type", "subject", "data.since"),
}
"""What says which firing it is, and whether it fires; all else is told beside it."""

GONE = object()
ODD = [
    GONE,
    None,
    True,
    5,
    10**30,
    -1.5,
    float("nan"),
    "",
    "\x00",
    "x\ud83d",
    "<!channel>\x1b[31m\u202e",
    "x" * 100_000,
    [],
    [None],
    [["a", "b", "c"], ["a", None], "ab"],
    {},
    {"": None, "\x00": {"a": []}},
]


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the way to every value of a payload, however deep."""
    if way:
        yield way
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*way, key))


def with_odd(payload: Any, way: tuple[Any, ...], odd: Any) -> Any:
    changed = copy.deepcopy(payload)
    at = changed
    for key in way[:-1]:
        at = at[key]
    if odd is GONE:
        del at[way[-1]]
    else:
        at[way[-1]] = odd
    return changed


SHAPES = {sender.name: (sender, sender.payload("api", BEGAN, ended=None)) for sender in SENDERS}
SHAPES["events"] = (senders.BY_NAME["events"], senders.whole(SHAPES["events"][1]))
SHAPES["sentry-issue"] = (senders.BY_NAME["sentry"], senders.sentry_event("11", BEGAN))


@pytest.mark.parametrize("shape", SHAPES)
def test_no_alert_is_lost_over_what_is_told_beside_it(shape: str) -> None:
    """Whatever stands in a field that says neither which firing it is nor whether it fires."""
    sender, payload = SHAPES[shape]
    source = source_of(sender.name)

    def read(content: Any) -> Alert | Flaw | Ignored:
        message = sender.sign(content, sender.secret)
        headers = {key.lower(): value for key, value in message.headers.items()}
        return source.read(Post(headers, message.content, NOW)).items[0]

    plain, tried = read(payload), 0
    assert isinstance(plain, Alert)
    for way in places(payload):
        path = ".".join(map(str, way))
        if any(f"{one}.".startswith(f"{path}.") for one in NEEDED[sender.name]):
            continue
        for odd in ODD:
            item = read(with_odd(payload, way, odd))
            assert isinstance(item, Alert), (path, odd, item)
            assert (item.episode, item.status) == (plain.episode, plain.status), (path, odd)
            tried += 1
    assert tried > len(ODD)


@pytest.mark.parametrize("time", [GONE, None, "", "soon", [], "2026-02-30T00:00:00Z"])
def test_an_event_without_a_time_has_none(time: Any) -> None:
    event = with_odd(senders.whole(senders.event_payload("api", BEGAN, ended=None)), ("time",), time)
    # Where the mapping names another, it is not missed.
    assert one("events", senders.event(event, senders.SECRET)).starts_at == BEGAN
    del event["data"]["since"]
    (item,) = said("events", senders.event(event, senders.SECRET))
    assert isinstance(item, Flaw)
