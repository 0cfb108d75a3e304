"""What each sender sends becomes the same alert, whichever the sender; what can't be understood says so."""

import base64
import copy
import json
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.records.alerts import Alert
from starters.sources import alertmanager, registry
from starters.sources.cloud_events import CloudEvents
from starters.sources.datadog import TEMPLATE
from starters.sources.port import Post, Source, Unreadable, document
from starters.steering.mapping import Flaw, Ignored, PayloadMapping
from starters.steering.routes import Routes
from tests.starters.sources import senders
from tests.starters.sources.senders import BEGAN, SENDERS, Message, Sender, settings_of
from tests.starters.support import SERVICE
from workers.settings import WebhookSettings
from workers.source_settings import CloudEventsSource

NOW = datetime(2026, 2, 4, 4, 0, tzinfo=UTC)
LATER = BEGAN + timedelta(minutes=9)


def source_of(name: str, **more: Any) -> Source:
    settings = WebhookSettings.model_validate({"sources": settings_of(name, **more)})
    mappings = Routes.model_validate(tomllib.loads(senders.RULES)).mapping
    (source,) = registry.built(settings.sources, mappings, senders.AMAZON.client)
    return source


def said(name: str, message: Message, **more: Any) -> list[Alert | Flaw | Ignored]:
    headers = {key.lower(): value for key, value in message.headers.items()}
    return [*source_of(name, **more).read(Post(headers, message.content, NOW)).items]


def one(name: str, message: Message, **more: Any) -> Alert:
    (item,) = said(name, message, **more)
    assert isinstance(item, Alert), item
    return item


each = pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)


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


@each
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"x"', b"[" * 50_000, b"\xff", b"null"])
def test_what_is_no_object_of_json_is_unreadable(sender: Sender, content: bytes) -> None:
    message = sender.fires()
    with pytest.raises(Unreadable):
        said(sender.name, Message(message.headers, content))


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


@pytest.mark.parametrize("end", ["", None, "soon", 5, [], "0001-01-01T00:00:00Z", "99999-01-01T00:00:00Z"])
def test_an_end_that_can_not_be_read_loses_no_alert(end: Any) -> None:
    payload = senders.grafana_payload("api", BEGAN, ended=LATER)
    payload["alerts"][0]["endsAt"] = end
    (of_grafana,) = said("grafana", senders.grafana(payload, senders.SECRET))
    (of_alertmanager,) = alertmanager.read(json.dumps({**payload, "version": "4"}).encode()).items
    for item in (of_grafana, of_alertmanager):
        assert isinstance(item, Alert), item
        assert (item.status, item.starts_at) == ("resolved", BEGAN)


def test_grafana() -> None:
    alert = one("grafana", senders.BY_NAME["grafana"].fires())
    assert alert.name == "API down"
    assert alert.generator_url == "https://grafana.tensafe.example/alerting/grafana/cdabc/view?orgId=1"
    assert alert.group_key == '{}:{alertname="API down"}'
    assert alert.annotations["values"] == "[ var='B' labels={} value=17.3 ]"
    assert alert.labels["service"] == SERVICE


def test_grafana_keeps_the_good_of_a_group_and_tells_what_was_cut_off() -> None:
    payload = senders.grafana_payload("api", BEGAN, ended=None)
    payload["alerts"] += [{"status": "firing"}, 7, {**payload["alerts"][0], "startsAt": "0001-01-01T00:00:00+14:00"}]
    payload["truncatedAlerts"] = 3
    items = said("grafana", senders.grafana(payload, senders.SECRET))
    assert [type(item) for item in items] == [Alert, Flaw, Flaw, Flaw, Flaw]
    assert next(item.detail for item in items if isinstance(item, Flaw)) == "fingerprint, startsAt: can't be read"
    assert "3 alerts were cut off" in items[-1].detail  # type: ignore[union-attr]


def test_a_template_of_grafana_has_any_shape_and_a_mapping_reads_it() -> None:
    source = senders.BY_NAME["grafana"]
    payload = {"what": [{"id": "a", "since": BEGAN.timestamp(), "s": "Alerting"}, {"id": "b", "s": "OK"}]}
    with pytest.raises(Unreadable, match="no mapping"):
        said("grafana", source.sign(payload, senders.SECRET))
    mapping = PayloadMapping.model_validate(
        {
            "each": "$.what[*]",
            "name": "$.id",
            "fingerprint": "$.id",
            "starts_at": "$.since",
            "status": "$.s",
            "firing": ["alerting"],
            "labels": {"severity": "P1"},
        }
    )
    first, second = mapping.alerts(payload, "grafana")
    assert isinstance(first, Alert)
    assert (first.name, first.starts_at, first.labels) == ("a", BEGAN, {"alertname": "a", "severity": "P1"})
    assert isinstance(second, Ignored)


def test_pagerduty() -> None:
    alert = one("pagerduty", senders.BY_NAME["pagerduty"].fires())
    assert (alert.name, alert.labels["severity"], alert.labels["service"]) == ("API down", "P1", SERVICE)
    assert alert.group_key == "srv01/HTTP"
    opened_again = one("pagerduty", senders.BY_NAME["pagerduty"].fires(event="incident.reopened", occurred=LATER))
    assert (opened_again.fingerprint, opened_again.starts_at) == (alert.fingerprint, LATER)
    payload = senders.pagerduty_payload("api", BEGAN, ended=None)
    del payload["event"]["data"]["created_at"]
    assert one("pagerduty", senders.pagerduty(payload, senders.SECRET)).starts_at == BEGAN


def test_cloudwatch() -> None:
    alert = one("sns", senders.BY_NAME["sns"].fires())
    assert (alert.name, alert.labels["metric"], alert.labels["region"]) == ("API down api", "5xx", "eu-central-1")
    assert alert.labels["dimension_LoadBalancer"] == "app/api/1"
    assert alert.annotations["summary"].startswith("Threshold Crossed")
    assert alert.generator_url.startswith("https://eu-central-1.console.aws.amazon.com/cloudwatch/home?")
    composite = {key: value for key, value in senders.alarm("x", BEGAN, ended=None).items() if key != "Trigger"}
    assert one("sns", senders.sns(composite, "")).name == "API down x"
    for payload, what in (
        ("Hello", "not JSON"),
        ({"x": 1}, "AlarmName"),
        ({**composite, "StateChangeTime": 1e300}, "time"),
    ):
        (item,) = said("sns", senders.sns(payload, ""))
        assert isinstance(item, Flaw)
        assert what in item.detail


def test_a_message_of_sns_that_is_only_tried_may_have_no_time() -> None:
    """`runbooks routes test` looks at no signature, so nobody has looked at the time before."""
    settings = WebhookSettings.model_validate({"sources": settings_of("sns")})
    mapping = PayloadMapping.model_validate({"name": "$.what"})
    (source,) = registry.built(settings.sources, {"sns": mapping}, senders.AMAZON.client)
    for at, kind in (("2026-02-04T03:00:00.000Z", Alert), ("soon", Flaw), ("", Flaw)):
        content = json.dumps(senders.AMAZON.sign({**senders.notification({"what": "x"}), "Timestamp": at})).encode()
        (item,) = source.read(Post({}, content, NOW)).items
        assert isinstance(item, kind), at


def test_datadog() -> None:
    sender = senders.BY_NAME["datadog"]
    alert = one("datadog", sender.fires())
    assert alert.labels == {
        "alertname": "API down",
        "service": SERVICE,
        "env": "prod",
        "severity": "P1",
        "monitor": "1234",
        "scope": "host:api",
    }
    again = one("datadog", sender.fires(transition="Re-Triggered", occurred=LATER))
    renotified = one("datadog", sender.fires(transition="Renotify", occurred=LATER))
    assert alert.episode == again.episode == renotified.episode
    # Monitors of events have no cycle, and Datadog leaves a variable that it doesn't know.
    for cycle in ("", "$ALERT_CYCLE_KEY"):
        assert one("datadog", sender.fires(cycle=cycle)).key == ""
    assert set(json.loads(TEMPLATE)) == set(senders.datadog_payload("api", BEGAN, ended=None))


def test_sentry() -> None:
    alert = one("sentry", senders.BY_NAME["sentry"].fires())
    assert (alert.name, alert.labels["severity"], alert.labels["project"]) == ("API down", "critical", "api")
    issue = one("sentry", senders.sentry(senders.sentry_event("11", BEGAN), senders.SECRET))
    assert (issue.name, issue.labels["level"], issue.labels["service"]) == ("API down for users", "fatal", SERVICE)
    resolved = {"action": "resolved", "data": {"issue": {"id": "11", "title": "ReferenceError"}}}
    end = one("sentry", senders.sentry(resolved, senders.SECRET))
    assert (end.fingerprint, end.of_whichever) == (issue.fingerprint, True)


def test_an_event_of_sentry_counts_from_when_sentry_got_it() -> None:
    """The clock of a browser may be hours off: then its event would be older than the end of the one before."""
    payload = senders.sentry_event("11", BEGAN)
    payload["data"]["event"]["datetime"] = (BEGAN - timedelta(hours=5)).isoformat()
    alert = one("sentry", senders.sentry(payload, senders.SECRET))
    assert alert.starts_at == BEGAN
    del payload["data"]["event"]["received"]
    assert one("sentry", senders.sentry(payload, senders.SECRET)).starts_at == BEGAN - timedelta(hours=5)


def test_a_standard_webhook_without_a_name_of_its_own_is_named_by_its_message() -> None:
    mapping = PayloadMapping.model_validate({"name": "$.type"})
    (alert,) = mapping.alerts({"type": "x"}, "standard", "msg_1", BEGAN)
    assert isinstance(alert, Alert)
    assert (alert.fingerprint, alert.starts_at) == ("msg_1", BEGAN)
    (flaw,) = mapping.alerts({"type": "x"}, "standard", "msg_1", None)
    assert isinstance(flaw, Flaw)
    assert "starts_at" in flaw.detail


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


@pytest.mark.parametrize("time", [GONE, None, "", "soon", [], "2026-02-30T00:00:00Z"])
def test_an_event_without_a_time_has_none(time: Any) -> None:
    event = with_odd(senders.whole(senders.event_payload("api", BEGAN, ended=None)), ("time",), time)
    # Where the mapping names another, it is not missed.
    assert one("events", senders.event(event, senders.SECRET)).starts_at == BEGAN
    del event["data"]["since"]
    (item,) = said("events", senders.event(event, senders.SECRET))
    assert isinstance(item, Flaw)


def test_half_a_character_loses_no_post() -> None:
    """Senders in JavaScript cut a text in the middle of one."""
    assert document(b'{"a": "x\\ud83d", "b": "\\ud83d\\ude00"}') == {"a": "x?", "b": "\U0001f600"}


@pytest.mark.parametrize(
    "text", ["d\xf6wn".encode("latin-1"), "d\xf6wn".encode()[:2]], ids=["of another encoding", "cut"]
)
def test_bytes_that_are_no_character_lose_no_post(text: bytes) -> None:
    assert document(b'{"a": "' + text + b'", "b": 1}') == {"a": text.decode(errors="replace"), "b": 1}
