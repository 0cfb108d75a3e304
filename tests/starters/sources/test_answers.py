"""Who is let in, and what each sender is answered: what makes it come again, never what makes it give up."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.starters.sources import senders
from tests.starters.sources.senders import AMAZON, BEGAN, KEY, SECRET, SENDERS, TOPIC, Message, Sender, settings_of
from tests.starters.sources.serving import post, serving
from tests.starters.support import HEADERS, NOBODY
from workers.settings import SettingsError

each = pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)
FINAL = {"pagerduty": 200, "events": 415}
"""What a sender is told of what is no format of its; 422 where nothing else is said."""
TOO_MANY = {"pagerduty": 503, "datadog": 503, "sentry": 503}


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A webhook whose Temporal nobody runs: what is taken as an alert that fires meets 503."""
    async with serving(NOBODY, "q", tmp_path, max_body=50_000) as client:
        yield client


@pytest.fixture(autouse=True)
def amazon() -> Iterator[None]:
    AMAZON.fetched.clear()
    AMAZON.down = False
    yield
    AMAZON.down, AMAZON.slow = False, None


@each
async def test_the_new_secret_and_the_old_are_taken_and_nobody_elses(http: httpx.AsyncClient, sender: Sender) -> None:
    payload = sender.payload("api", BEGAN, ended=None)
    for secret in (sender.secret, sender.old):
        assert (await post(http, sender.name, sender.sign(payload, secret))).status_code == 503
    if sender.proves:
        other = senders.OLD_KEY.replace("YW5v", "AAAA") if sender.secret == KEY else "a secret of nobody"
        assert (await post(http, sender.name, sender.sign(payload, other))).status_code == 401


@each
async def test_without_its_proof_nobody_is_let_in(http: httpx.AsyncClient, sender: Sender) -> None:
    message = sender.fires()
    for header in sender.proves:
        without = {name: value for name, value in message.headers.items() if name != header}
        answer = await post(http, sender.name, Message(without, message.content))
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        for odd in ("", "v1=", "v1,", "Basic eA==", "Bearer ", "é", ",,,", "v1,*** v1,x,y", "x" * 5000):
            odd_headers = {**message.headers, header: odd}
            odd_headers = {key: value.encode("latin-1") for key, value in odd_headers.items()}  # type: ignore[misc]
            answer = await post(http, sender.name, Message(odd_headers, message.content))
            assert answer.status_code == 401, odd


@pytest.mark.parametrize(
    "sender", [one for one in SENDERS if one.name not in {"datadog", "events", "sns"}], ids=lambda s: s.name
)
async def test_a_signed_body_can_not_be_changed(http: httpx.AsyncClient, sender: Sender) -> None:
    message = sender.fires()
    for place in range(0, len(message.content), max(1, len(message.content) // 23)):
        changed = bytearray(message.content)
        changed[place] ^= 1
        answer = await post(http, sender.name, Message(message.headers, bytes(changed)))
        assert answer.status_code == 401


async def test_one_source_does_not_open_another(http: httpx.AsyncClient) -> None:
    for sender in SENDERS:
        for other in SENDERS:
            if other is not sender and other.proves:
                # Sources of tests have one secret, but each has its own way to show it.
                answer = await post(http, other.name, sender.fires())
                assert answer.status_code in {401, 415}, (sender.name, other.name)


SIGNED_IN = {
    "grafana": ("X-Grafana-Alerting-Signature", "0" * 64),
    "pagerduty": ("X-PagerDuty-Signature", "v1=" + "0" * 64),
    "sentry": ("Sentry-Hook-Signature", "0" * 64),
    "standard": ("webhook-signature", "v1," + "A" * 43 + "="),
}


@pytest.mark.parametrize("name", SIGNED_IN)
async def test_one_good_signature_of_several_is_enough_wherever_it_stands(http: httpx.AsyncClient, name: str) -> None:
    sender = senders.BY_NAME[name]
    message, (header, other) = sender.fires(), SIGNED_IN[name]
    good = message.headers[header]
    gap = " " if name == "standard" else ","
    odd = [other, "v1", "v1,", "v2=abc", "v1a,AAAA", "***", "v1,***", "v1=***", "v1,a,b"]
    if name != "standard":
        odd = [one for one in odd if "," not in one]
    path = f"/webhooks/{name}"
    rest = [(key, value) for key, value in message.headers.items() if key != header]
    for one in odd:
        for listed in (f"{one}{gap}{good}", f"{good}{gap}{one}", f"{one}{gap}{gap}{good}{gap}"):
            answer = await http.post(path, content=message.content, headers=[*rest, (header, listed)])
            assert answer.status_code == 503, listed
        for lines in ((one, good), (good, one)):
            headers = [*rest, *((header, line) for line in lines)]
            answer = await http.post(path, content=message.content, headers=headers)
            assert answer.status_code == 503, lines
        answer = await http.post(path, content=message.content, headers=[*rest, (header, f"{one}{gap}{other}")])
        assert answer.status_code == 401, one
    # A part of a good one is none, and what stands directly beside it neither.
    ours = good.split(gap)[-1]
    for one in (ours[1:], ours[:-1], f"x{ours}", f"{ours}x"):
        answer = await http.post(path, content=message.content, headers=[*rest, (header, one)])
        assert answer.status_code == 401, one


async def test_a_signed_time_is_a_window(tmp_path: Path) -> None:
    sources = settings_of("standard") | {
        "grafana": {"kind": "grafana", "secrets": [SECRET], "header": "X-Sig", "timestamp_header": "X-Sig-Time"}
    }
    now = datetime.now(UTC)
    rules = senders.RULES.partition("[mapping.events]")[0]
    payload = senders.grafana_payload("api", BEGAN, ended=None)
    other = senders.standard_payload("api", BEGAN, ended=None)
    async with serving(NOBODY, "q", tmp_path, rules=rules, sources=sources) as http:
        for minutes, status in ((0, 503), (-4, 503), (4, 503), (-6, 401), (6, 401), (-60 * 24, 401)):
            at = now + timedelta(minutes=minutes)
            signed = senders.grafana_timed(payload, SECRET, at)
            assert (await post(http, "grafana", signed)).status_code == status, minutes
            assert (await post(http, "standard", senders.standard(other, KEY, at))).status_code == status, minutes
        for odd in ("", "x", "-1", "9" * 30, "1e9", "1_700", " 1"):
            content = json.dumps(payload).encode()
            headers = {**senders.JSON, "X-Sig": senders.hex_of(SECRET, odd.encode() + b":" + content)}
            encoded = {key.encode(): value.encode() for key, value in headers.items()} | {b"X-Sig-Time": odd.encode()}
            assert (await http.post("/webhooks/grafana", content=content, headers=encoded)).status_code == 401, odd
        # The body alone is signed: where a time is asked for, that is not enough.
        assert (await post(http, "grafana", senders.grafana(payload, SECRET))).status_code == 401


async def test_basic_auth_of_datadog(tmp_path: Path) -> None:
    sources = {"datadog": {"kind": "datadog", "basic_auth": {"dd": "pass:word"}}}
    message = senders.BY_NAME["datadog"].fires()
    async with serving(NOBODY, "q", tmp_path, rules=senders.RULES.partition("[mapping")[0], sources=sources) as http:
        auth: Any
        for auth, status in ((("dd", "pass:word"), 503), (("dd", "pass"), 401), (("x", "pass:word"), 401), (None, 401)):
            headers = {"content-type": "application/json", "X-Runbooks-Secret": ""}
            answer = await http.post("/webhooks/datadog", content=message.content, headers=headers, auth=auth)
            assert answer.status_code == status


@each
async def test_what_no_rule_takes_is_told_with_2xx(http: httpx.AsyncClient, sender: Sender) -> None:
    answer = await post(http, sender.name, sender.fires(severity="P4"))
    assert answer.status_code == 200, answer.text
    assert [one["outcome"] for one in answer.json()["alerts"]] == ["unrouted"]


@each
async def test_what_neither_fires_nor_ends_is_told_with_2xx(http: httpx.AsyncClient, sender: Sender) -> None:
    for payload in sender.ignored:
        answer = await post(http, sender.name, sender.sign(payload, sender.secret))
        assert (answer.status_code, answer.json()["alerts"]) == (200, []), payload
        assert answer.json()["detail"]
    count = len(sender.ignored)
    if count:
        assert f'runbooks_webhook_alerts_total{{outcome="ignored"}} {count}.0' in (await http.get("/metrics")).text


@each
async def test_what_will_never_be_taken_is_answered_as_its_sender_needs_it(
    http: httpx.AsyncClient, sender: Sender
) -> None:
    answer = await post(http, sender.name, sender.sign({"hunter2": "hunter2"}, sender.secret))
    assert answer.status_code == FINAL.get(sender.name, 422), answer.text
    assert "hunter2" not in answer.text
    assert answer.json()["detail"]


@each
async def test_what_temporal_does_not_take_has_to_come_again(http: httpx.AsyncClient, sender: Sender) -> None:
    answer = await post(http, sender.name, sender.fires())
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"


@each
async def test_size_type_and_method_are_looked_at_first(http: httpx.AsyncClient, sender: Sender) -> None:
    message = sender.fires()
    path = f"/webhooks/{sender.name}"
    large = await http.post(path, content=b" " * 50_001, headers=message.headers)
    assert large.status_code == 413
    odd = await http.post(path, content=message.content, headers={**message.headers, "content-type": "text/html"})
    assert odd.status_code == 415
    assert (await http.post(f"{path}/", content=message.content, headers=message.headers)).status_code == 404
    assert (await http.get(path)).status_code == 405
    assert (await http.options(path)).status_code == 405


@each
async def test_a_body_may_come_in_parts_and_headers_in_any_case(http: httpx.AsyncClient, sender: Sender) -> None:
    message = sender.fires()

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(message.content), 7):
            yield message.content[start : start + 7]

    for headers in (message.headers, {name.swapcase(): value for name, value in message.headers.items()}):
        answer = await http.post(f"/webhooks/{sender.name}", content=parts(), headers=headers)
        assert answer.status_code == 503


@each
@pytest.mark.parametrize("coding", ["gzip", "GZIP", "deflate, gzip", "br"])
async def test_a_compressed_body_is_told_to_come_as_it_is(http: httpx.AsyncClient, sender: Sender, coding: str) -> None:
    message = sender.fires()
    headers = {**message.headers, "content-encoding": coding}
    answer = await post(http, sender.name, Message(headers, gzip.compress(message.content)))
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "identity")
    plain = Message({**message.headers, "content-encoding": "identity"}, message.content)
    assert (await post(http, sender.name, plain)).status_code == 503


@pytest.mark.parametrize("name", [*(sender.name for sender in SENDERS), "alertmanager"])
async def test_who_is_slow_has_to_come_again(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A 4xx would be the last word to most senders, though only the way was slow."""
    monkeypatch.setattr("starters.http.body._SENT_WITHIN", timedelta(milliseconds=50))
    message = Message(HEADERS | senders.JSON, b"{}") if name == "alertmanager" else senders.BY_NAME[name].fires()

    async def slowly() -> AsyncIterator[bytes]:
        yield message.content[:1]
        await asyncio.sleep(10)
        yield message.content[1:]

    answer = await http.post(f"/webhooks/{name}", content=slowly(), headers=message.headers)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


@each
async def test_who_sends_too_much_is_told_to_come_again_and_strangers_use_nothing_up(
    tmp_path: Path, sender: Sender
) -> None:
    rules = senders.RULES.partition("[mapping")[0]
    if sender.name in {"standard", "events"}:
        rules += "\n".join(f"[mapping.{part}" for part in senders.MAPPING.split("[mapping.")[1:] if sender.name in part)
    sources = settings_of(sender.name, rate=1)
    message = sender.fires(severity="P4")
    async with serving(NOBODY, "q", tmp_path, rules=rules, sources=sources) as http:
        stranger = Message({"content-type": message.headers.get("content-type", "")}, message.content[:-2])
        for _ in range(30):
            assert (await post(http, sender.name, stranger)).status_code == 401
        answers = [await post(http, sender.name, message) for _ in range(12)]
    statuses = [answer.status_code for answer in answers]
    assert statuses[:10] == [200] * 10
    assert set(statuses[10:]) <= {200, TOO_MANY.get(sender.name, 429)}
    assert statuses[-1] == TOO_MANY.get(sender.name, 429)
    assert int(answers[-1].headers["retry-after"]) >= 1


@pytest.mark.parametrize("name", ["sentry", "pagerduty"])
async def test_who_gives_up_soon_is_answered_in_time_and_what_it_sent_goes_on(tmp_path: Path, name: str) -> None:
    """A Temporal that accepts a connection and says nothing."""
    taken: list[bytes] = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(await reader.read(10))
        await asyncio.sleep(90)
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    address = "{}:{}".format(*server.sockets[0].getsockname())
    async with server, serving(address, "q", tmp_path) as http:
        began = time.monotonic()
        answer = await post(http, name, senders.BY_NAME[name].fires())
        assert time.monotonic() - began < 60, "not as long as this Temporal says nothing"
        assert answer.status_code == 503
        assert "it goes on" in answer.text
        server.close()


async def test_with_a_source_the_webhook_needs_no_credentials_of_its_own(tmp_path: Path) -> None:
    rules = senders.RULES.partition("[mapping")[0]
    none: dict[str, Any] = {"bearer_tokens": (), "basic_auth": {}}
    async with serving(NOBODY, "q", tmp_path, rules=rules, sources=settings_of("grafana"), credentials=none) as http:
        assert (await post(http, "grafana", senders.BY_NAME["grafana"].fires())).status_code == 503
        for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Basic Og=="}):
            answer = await http.post("/webhooks/alertmanager", json={}, headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="runbooks"')
    with pytest.raises(SettingsError, match="no credentials"):
        async with serving(NOBODY, "q", tmp_path, rules=rules, sources={}, credentials=none):
            pass


async def test_no_source_says_410(http: httpx.AsyncClient) -> None:
    for sender in SENDERS:
        messages = [
            sender.fires(),
            sender.ends(),
            sender.fires(severity="P4"),
            Message({}, b""),
            sender.sign([], SECRET),
        ]
        if sender.secret == KEY:
            messages[-1] = sender.sign([], KEY)
        for message in messages:
            assert (await post(http, sender.name, message)).status_code != 410


async def test_a_sender_of_cloud_events_may_ask_beforehand(tmp_path: Path) -> None:
    rules = (
        senders.RULES.partition("[mapping")[0] + "[mapping.events]" + senders.MAPPING.partition("[mapping.events]")[2]
    )
    sources = settings_of("events", origins=["eventgrid.azure.net"], rate=7)
    async with serving(NOBODY, "q", tmp_path, rules=rules, sources=sources) as http:
        asked = await http.options("/webhooks/events", headers={"WebHook-Request-Origin": "eventgrid.azure.net"})
        assert (asked.status_code, asked.headers["webhook-allowed-origin"]) == (200, "eventgrid.azure.net")
        assert asked.headers["webhook-allowed-rate"] == "420"
        for other in ({}, {"WebHook-Request-Origin": "attacker.example"}):
            refused = await http.options("/webhooks/events", headers=other)
            assert refused.status_code == 405
            assert "webhook-allowed-origin" not in refused.headers


# -- SNS fetches nothing for strangers -------------------------------------------------------------------

HOST = "https://sns.eu-central-1.amazonaws.com"
FILE = "/SimpleNotificationService-" + "0" * 32 + ".pem"


def signed(**changes: Any) -> Message:
    options = {name: changes.pop(name) for name in ("version", "key", "certificate") if name in changes}
    content = json.dumps(
        AMAZON.sign(senders.notification(senders.alarm("api", BEGAN, ended=None)) | changes, **options)
    )
    return Message({"content-type": "text/plain; charset=UTF-8"}, content.encode())


@pytest.mark.parametrize("version", ["1", "2"])
async def test_both_signatures_of_sns_are_known_and_a_certificate_is_fetched_once(
    http: httpx.AsyncClient, version: str
) -> None:
    for _ in range(3):
        assert (await post(http, "sns", signed(version=version))).status_code == 503
    assert AMAZON.fetched == [HOST + FILE]


@pytest.mark.parametrize(
    "change",
    [
        {"TopicArn": "arn:aws:sns:eu-central-1:123456789012:others"},
        {"SigningCertURL": "https://attacker.example" + FILE},
        {"SigningCertURL": "https://sns.eu-central-1.amazonaws.com.attacker.example" + FILE},
        {"SigningCertURL": "https://sns.us-east-1.amazonaws.com" + FILE},
        {"SigningCertURL": "http://sns.eu-central-1.amazonaws.com" + FILE},
        {"SigningCertURL": "https://x@sns.eu-central-1.amazonaws.com" + FILE},
        {"SigningCertURL": "https://sns.eu-central-1.amazonaws.com:8443" + FILE},
        {"SigningCertURL": HOST + FILE + "?x=1"},
        {"SigningCertURL": HOST + FILE + "#x"},
        {"SigningCertURL": HOST + "/other" + FILE},
        {"SigningCertURL": HOST + FILE + "\n"},
        {"SigningCertURL": "https://169.254.169.254/latest/meta-data"},
        {"SigningCertURL": "file:///etc/passwd"},
        {"SigningCertURL": "https://[/x"},
        {"SignatureVersion": "3"},
    ],
    ids=lambda change: next(iter(change.values()))[-40:],
)
async def test_sns_is_pinned_before_anything_is_fetched(http: httpx.AsyncClient, change: dict[str, str]) -> None:
    assert (await post(http, "sns", signed(**change))).status_code == 401
    assert AMAZON.fetched == []


async def test_a_certificate_has_to_be_that_of_sns_and_valid_now(http: httpx.AsyncClient) -> None:
    for certificate in "2345":
        assert (await post(http, "sns", signed(certificate=certificate * 32))).status_code == 401, certificate
    assert (await post(http, "sns", signed(certificate="1" * 32, key=AMAZON.stranger))).status_code == 401
    assert (await post(http, "sns", signed(key=AMAZON.stranger))).status_code == 401


async def test_while_sns_does_not_answer_its_messages_have_to_come_again(http: httpx.AsyncClient) -> None:
    AMAZON.down = True
    assert (await post(http, "sns", signed())).status_code == 503
    # Whoever knows the topic's name can ask for certificates that aren't there; not for many.
    for number in range(30):
        await post(http, "sns", signed(certificate=f"{number:032x}"))
    assert len(AMAZON.fetched) <= 12


async def test_what_sns_says_twice_counts_once_and_the_same_to_all_who_look(http: httpx.AsyncClient) -> None:
    """A name that comes twice in an object: the last counts, when it is checked and when it is read."""
    others = "arn:aws:sns:eu-central-1:123456789012:others"
    content = signed().content
    first = b'{"TopicArn": "%s", ' % others.encode() + content[1:]
    assert (await post(http, "sns", Message({"content-type": "text/plain"}, first))).status_code == 503
    last = content[:-1] + b', "TopicArn": "%s"}' % others.encode()
    assert (await post(http, "sns", Message({"content-type": "text/plain"}, last))).status_code == 401
    fetched = len(AMAZON.fetched)
    theirs = content[:-1] + b', "SigningCertURL": "https://attacker.example%s"}' % FILE.encode()
    assert (await post(http, "sns", Message({"content-type": "text/plain"}, theirs))).status_code == 401
    assert len(AMAZON.fetched) == fetched


async def test_who_is_known_already_waits_for_no_certificate_of_a_stranger(http: httpx.AsyncClient) -> None:
    assert (await post(http, "sns", signed())).status_code == 503
    AMAZON.slow = asyncio.Event()
    try:
        strangers = [asyncio.create_task(post(http, "sns", signed(certificate=f"{n:032x}"))) for n in range(10, 13)]
        while len(AMAZON.fetched) < 2:  # one waits for SNS, the others for it
            await asyncio.sleep(0.01)
        async with asyncio.timeout(60):
            assert (await post(http, "sns", signed())).status_code == 503
        assert not any(task.done() for task in strangers)
    finally:
        AMAZON.slow.set()
    assert [answer.status_code for answer in await asyncio.gather(*strangers)] == [401] * 3


async def test_an_old_message_of_sns_is_refused(http: httpx.AsyncClient) -> None:
    old = senders.told(datetime.now(UTC) - timedelta(days=2))
    assert (await post(http, "sns", signed(Timestamp=old))).status_code == 401


def confirmation(url: str, **changes: Any) -> Message:
    message = {
        "Type": "SubscriptionConfirmation",
        "MessageId": "1",
        "Token": "token",
        "TopicArn": TOPIC,
        "Message": "You …",
        "SubscribeURL": url,
        "Timestamp": senders.told(datetime.now(UTC)),
        **changes,
    }
    content = json.dumps(AMAZON.sign(message)).encode()
    return Message({"content-type": "text/plain; charset=UTF-8"}, content)


CONFIRM = f"{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=token"


async def test_a_subscription_is_confirmed_at_snss_own_address_only(http: httpx.AsyncClient) -> None:
    answer = await post(http, "sns", confirmation(CONFIRM))
    assert answer.status_code == 200, answer.text
    assert AMAZON.fetched[-1].startswith(f"{HOST}/?Action=ConfirmSubscription")
    for url in (
        "https://attacker.example/?Action=ConfirmSubscription",
        CONFIRM.replace("https", "http"),
        CONFIRM.replace(TOPIC, TOPIC + "x"),
        CONFIRM.replace("=token", "=other"),
        f"{CONFIRM}&x=1",
        f"{HOST}/x",
        CONFIRM.replace("Confirm", "Un"),
        "http://169.254.169.254/",
        "",
    ):
        before = len(AMAZON.fetched)
        assert (await post(http, "sns", confirmation(url))).status_code in {401, 422}, url
        assert len(AMAZON.fetched) == before
    AMAZON.down = True
    assert (await post(http, "sns", confirmation(CONFIRM))).status_code == 503


# -- whatever is sent ------------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=12,
)


@st.composite
def changed(draw: st.DrawFn, sender: Sender) -> Any:
    """A payload of the documented shape with something else in a few of its places, however deep."""
    payload = sender.payload("api", BEGAN, ended=draw(st.sampled_from([None, BEGAN])))
    if sender.name == "events":
        payload = senders.whole(payload)
        payload = draw(st.sampled_from([payload, [payload, senders.whole(sender.payload("b", BEGAN, ended=None))]]))
    for _ in range(draw(st.integers(0, 4))):
        at = payload
        while isinstance(at, dict | list) and at:
            key = draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
            if not (isinstance(at[key], dict | list) and at[key]) or draw(st.integers(0, 3)) == 0:
                if draw(st.booleans()) and isinstance(at, dict):
                    del at[key]
                else:
                    at[key] = draw(values)
                break
            at = at[key]
    return draw(st.just(payload) | values)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
@each
def test_whatever_its_sender_signs_is_answered_and_never_with_500(
    tmp_path: Path, sender: Sender, data: st.DataObject
) -> None:
    payload = data.draw(changed(sender))

    async def answered() -> httpx.Response:
        async with serving(NOBODY, "q", tmp_path) as http:
            return await post(http, sender.name, sender.sign(payload, sender.secret))

    answer = asyncio.run(answered())
    refused = {200} if sender.name == "pagerduty" else {422, FINAL.get(sender.name, 422)}
    assert answer.status_code in {200, 202, 401, 503} | refused
    assert answer.status_code != 503 or "unavailable" in answer.text
    assert answer.status_code != 401 or sender.name == "sns", "a body of SNS carries its own proof"


texts = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=80)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
@each
def test_whatever_a_stranger_sends_starts_nothing(tmp_path: Path, sender: Sender, data: st.DataObject) -> None:
    """Nobody's secret: 503 would say that a run was about to start."""
    message = sender.sign(sender.payload("api", BEGAN, ended=None), sender.secret)
    headers = dict(message.headers)
    content = message.content
    for header in sender.proves:
        headers[header] = data.draw(texts | st.just("v1=" + "0" * 64) | st.just("v1," + "A" * 43 + "="))
    if not sender.proves:
        whole = json.loads(content)
        for name in data.draw(st.sets(st.sampled_from(["Signature", "Message", "Timestamp", "MessageId"]), min_size=1)):
            whole[name] = data.draw(values)
        content = json.dumps(whole).encode()

    async def answered() -> httpx.Response:
        async with serving(NOBODY, "q", tmp_path) as http:
            encoded = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
            return await http.post(f"/webhooks/{sender.name}", content=content, headers=encoded)

    assert asyncio.run(answered()).status_code == 401
