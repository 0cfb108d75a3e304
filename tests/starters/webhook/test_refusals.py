"""Who may post, what is refused, and how: the webhook's HTTP side."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from temporalio.client import Client

from starters.webhook.__main__ import build
from tests.starters.support import (
    HEADERS,
    NOBODY,
    PATH,
    RUN,
    TOKEN,
    alert,
    body,
    fresh,
    open_now,
    send,
    serving,
    settings_for,
)
from tests.workflows.worlds.world import World
from workers.settings import SettingsError, WebhookSettings


def basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        "Basic !!!",
        "Digest x",
        basic("am:wrong"),
        basic("am:"),
        basic("am"),
        basic(":secret"),
        basic("AM:secret"),
        f"Bearer {basic('am:secret')[6:]}",
        basic(TOKEN),
        TOKEN,
        "Bearer ünïcödé",
        "Basic ünïcödé",
    ],
)
async def test_who_does_not_authenticate_is_refused(
    webhook: httpx.AsyncClient, client: Client, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1").decode("latin-1")}
    webhook.headers.pop("Authorization")
    content = json.dumps(body(alert(fresh()))).encode()
    raw: dict[bytes, bytes] = {key.encode(): value.encode("latin-1") for key, value in headers.items()} | {
        b"Content-Type": b"application/json"
    }
    response = await webhook.post(PATH, content=content, headers=raw)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="runbooks", Basic realm="runbooks"'
    assert response.headers["content-type"] == "application/problem+json"
    assert await open_now(client) is None


@pytest.mark.parametrize(
    "authorization", ["Bearer another", f"bearer {TOKEN}", f"BEARER  {TOKEN} ", basic("am:secret")]
)
async def test_any_configured_credential_opens(webhook: httpx.AsyncClient, authorization: str) -> None:
    headers = {"Authorization": authorization}
    response = await webhook.post(PATH, json=body(alert(fresh())), headers=headers)
    assert response.status_code == 202


async def test_a_credential_may_hold_any_character(temporal_address: str, tmp_path: Path) -> None:
    configured = settings_for(temporal_address, "q", tmp_path, World())
    odd = WebhookSettings(
        routes=tmp_path / "routes.toml",
        basic_auth={"jürgen": SecretStr("pass:wörd")},
        bearer_tokens=(SecretStr("schlüssel"),),
    )
    async with serving(configured.model_copy(update={"webhook": odd})) as http:
        answers = [
            await http.post(
                PATH,
                json=body(alert(fresh(), severity="P4")),
                headers={b"Authorization": authorization.encode()},
            )
            for authorization in (basic("jürgen:pass:wörd"), "Bearer schlüssel", basic("jürgen:pass"))
        ]
    assert [answer.status_code for answer in answers] == [200, 200, 401]


@pytest.mark.parametrize(
    "credentials",
    [
        {},
        {"bearer_tokens": (SecretStr(""),)},
        {"bearer_tokens": (SecretStr("fine"), SecretStr(""))},
        {"basic_auth": {"am": SecretStr("")}},
        {"basic_auth": {"a:m": SecretStr("x")}},
    ],
)
async def test_without_usable_credentials_it_does_not_start(
    temporal_address: str, tmp_path: Path, credentials: dict[str, Any]
) -> None:
    configured = settings_for(temporal_address, "q", tmp_path, World())
    bare = configured.model_copy(update={"webhook": WebhookSettings(routes=tmp_path / "routes.toml", **credentials)})
    with pytest.raises(SettingsError, match=r"bearer_tokens|basic_auth"):
        await build(bare)


async def chunks() -> AsyncIterator[bytes]:
    for _ in range(20):
        yield b" " * 10_000


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        ({"content": b"{}"}, 415, "Content-Type"),
        ({"content": b"{}", "headers": {"Content-Type": "text/plain"}}, 415, "Content-Type"),
        ({"content": b" " * 100_001, "headers": JSON}, 413, "100000 bytes"),
        ({"content": chunks, "headers": JSON}, 413, "100000 bytes"),
        ({"content": b"{", "headers": JSON}, 422, "Invalid JSON"),
        ({"content": b"\xff", "headers": JSON}, 422, "Invalid JSON"),
        ({"content": b'{"version": "4", "alerts": ["\\ud800"]}', "headers": JSON}, 422, "alerts.0"),
        ({"content": b'{"version": "4", "version": "5", "alerts": [{}]}', "headers": JSON}, 422, "version"),
        ({"content": b'{"version": "4", "alerts": [' + b"1" * 5000 + b"]}", "headers": JSON}, 422, "Invalid JSON"),
        ({"content": b"[" * 50_000, "headers": {"Content-Type": "application/json; charset=utf-8"}}, 422, "JSON"),
        ({"json": {}}, 422, "version"),
        ({"json": {"version": "1", "alerts": [{}]}}, 422, "version"),
        ({"json": {"version": "4", "alerts": []}}, 422, "alerts"),
        ({"json": {"version": "4", "alerts": [{}] * 1001}}, 422, "alerts"),
        ({"json": {"version": "4", "alerts": [{"status": "firing"}]}}, 422, "startsAt"),
        ({"json": {"version": "4", "alerts": ["hunter2", None, 3]}}, 422, "alerts.2"),
        ({"json": body(alert("f", starts_at="0001-01-01T00:00:00+14:00"))}, 422, "outside of the calendar"),
        ({"json": body(alert("f", starts_at="2026-02-04T03:00:00"))}, 422, "startsAt: Input should have timezone"),
        ({"json": body(alert("../../../f"))}, 422, "fingerprint"),
        ({"json": body(alert("f" * 65))}, 422, "fingerprint"),
    ],
)
async def test_what_cannot_be_taken_is_refused_with_a_problem(
    webhook: httpx.AsyncClient, options: dict[str, Any], status: int, says: str
) -> None:
    given_options = {**options, **({"content": options["content"]()} if callable(options.get("content")) else {})}
    response = await webhook.post(PATH, **given_options)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail"} <= response.json().keys()
    assert says in response.text
    assert "hunter2" not in response.text


async def test_other_methods_and_paths_are_problems_too(webhook: httpx.AsyncClient) -> None:
    for path, status in ((PATH, 405), ("/nowhere", 404)):
        response = await webhook.get(path)
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"
    assert (await webhook.get(PATH)).headers["allow"] == "POST"


async def test_one_bad_alert_does_not_lose_the_others(webhook: httpx.AsyncClient, client: Client) -> None:
    good = fresh()
    bad = [{"status": "firing"}, alert(fresh(), service="billing"), {**alert(fresh()), "startsAt": "hunter2"}, 17]
    response = await send(webhook, bad[0], alert(good), bad[1], bad[2], alert(fresh(), severity="P4"), bad[3])
    assert response.status_code == 202
    taken = response.json()["alerts"]
    wanted = ["invalid", "started", "unrouted", "invalid", "unrouted", "invalid"]
    assert [one["outcome"] for one in taken] == wanted
    assert "Known: tensafe-server" in taken[2]["detail"]
    assert "startsAt" in taken[3]["detail"]
    assert "hunter2" not in response.text
    assert (await client.get_workflow_handle(RUN).describe()).run_id == taken[1]["run_id"]


@pytest.mark.parametrize(
    "odd",
    [
        {"annotations": {"summary": "x" * 90_000}},
        {"annotations": {"summary": "ü€\U0001f525" * 500, "runbook_url": "javascript:alert(1)"}},
        {"annotations": {"summary": "nul \x00 `tick` [link](http://evil) <b>"}, "generatorURL": "/relative"},
        {"annotations": {}, "generatorURL": "", "fingerprint": ""},
        {"labels": {"alertname": "A" * 5000, "severity": "P1", "service": "tensafe-server"}},
        {"labels": {"severity": "P1", "service": "tensafe-server"}},
        {"startsAt": "2026-02-04T04:00:00.123456789+01:00", "endsAt": "2026-02-04T04:00:00Z"},
    ],
)
async def test_an_odd_alert_is_not_lost(webhook: httpx.AsyncClient, odd: dict[str, Any], client: Client) -> None:
    response = await send(webhook, {**alert(fresh()), **odd})
    assert [one["outcome"] for one in response.json()["alerts"]] == ["started"], response.text
    description = await client.get_workflow_handle(response.json()["alerts"][0]["workflow_id"]).describe()
    summary, details = await description.static_summary(), await description.static_details()
    assert summary
    assert details
    assert len(summary.encode()) <= 400
    assert len(details.encode()) <= 20_000
    assert "javascript:" not in details


async def test_a_storm_does_not_lose_the_one_that_matters(
    temporal_address: str, tmp_path: Path, client: Client
) -> None:
    mine = fresh()
    others = [alert(fresh(), severity="warning", alertname="DiskAlmostFull", note="x" * 1000) for _ in range(1000)]
    async with serving(settings_for(temporal_address, "q", tmp_path, World())) as http:
        answer = await send(http, *others, alert(mine), alert(fresh(), service="billing"))
        assert len(answer.request.content) > 1_280_000
    assert answer.status_code == 202
    taken = answer.json()["alerts"]
    assert [one["outcome"] for one in taken] == ["unrouted"] * 1000 + ["started", "unrouted"]
    assert await open_now(client) == taken[1000]["run_id"]


async def test_what_nothing_is_there_for_is_answered_counted_and_told(webhook: httpx.AsyncClient) -> None:
    group = {**body(alert(fresh(), severity="P4"), alert(fresh(), service="billing")), "truncatedAlerts": 5}
    answer = await webhook.post(PATH, json=group)
    assert answer.status_code == 200
    told = answer.json()
    assert [one["outcome"] for one in told["alerts"]] == ["unrouted", "unrouted"]
    assert all(one["detail"] for one in told["alerts"])
    assert told["truncatedAlerts"] == 5
    assert "max_alerts" in told["detail"]
    text = (await webhook.get("/metrics")).text
    assert 'runbooks_webhook_alerts_total{outcome="unrouted"} 2.0' in text
    assert 'runbooks_webhook_alerts_total{outcome="truncated"} 5.0' in text


@pytest.mark.parametrize("name", ["a\x00b", "a\x1bb", "x" * 10_000, "\u202e"])
async def test_an_odd_label_name_loses_no_alert(webhook: httpx.AsyncClient, name: str) -> None:
    answer = await send(webhook, alert(fresh(), **{name: "v\x00"}))
    assert [one["outcome"] for one in answer.json()["alerts"]] == ["started"], answer.text


@pytest.mark.parametrize("odd", ["\ud800", "a\x00b", 8080, 1e400, None, True, [1], {"a": 1}])
async def test_an_odd_value_of_a_label_loses_no_alert(webhook: httpx.AsyncClient, odd: Any) -> None:
    group = body({**alert(fresh()), "annotations": None, "generatorURL": odd}, alert(fresh(), port=odd))
    group["groupKey"] = odd
    answer = await webhook.post(PATH, content=json.dumps(group), headers=JSON)
    assert {one["outcome"] for one in answer.json()["alerts"]} <= {"started", "joined"}, answer.text


@pytest.mark.parametrize("odd", [None, 17, ""])
async def test_an_alert_without_a_fingerprint_has_one_by_its_labels(webhook: httpx.AsyncClient, odd: Any) -> None:
    first, again = [{**alert(fresh(), pod=f"p-{odd}"), "fingerprint": odd} for _ in range(2)]
    told = [(await send(webhook, one)).json()["alerts"][0] for one in (first, again)]
    assert [one["outcome"] for one in told] == ["started", "joined"]


@pytest.mark.parametrize("number", [300, 20_000])
async def test_many_labels_lose_no_alert(tmp_path: Path, temporal_address: str, number: int) -> None:
    many = {f"label_{place}": "v" for place in range(number)}
    async with serving(settings_for(temporal_address, f"q-{fresh()}", tmp_path, World())) as http:
        (told,) = (await send(http, alert(fresh(), **many))).json()["alerts"]
    assert told["outcome"] == "started", told


async def test_a_bare_line_break_in_a_text_loses_no_alert(webhook: httpx.AsyncClient) -> None:
    content = json.dumps(body(alert(fresh()))).replace("API down", "API\n\tdown\x01").encode()
    answer = await webhook.post(PATH, content=content, headers=JSON)
    assert [one["outcome"] for one in answer.json()["alerts"]] == ["started"], answer.text


@pytest.mark.parametrize("odd", [-5, 10**400, None, "x", 1.5, [], True])
async def test_an_odd_count_of_what_was_cut_off_loses_no_alert(webhook: httpx.AsyncClient, odd: Any) -> None:
    answer = await webhook.post(PATH, json={**body(alert(fresh())), "truncatedAlerts": odd})
    assert answer.status_code == 202, answer.text
    assert (await webhook.get("/metrics")).status_code == 200


async def test_metrics_count_what_became_of_alerts(webhook: httpx.AsyncClient) -> None:
    await send(webhook, alert(fresh()), alert(fresh(), severity="P4"))
    await webhook.post(PATH, content=b"{", headers=JSON)
    text = (await webhook.get("/metrics")).text
    assert 'runbooks_webhook_alerts_total{outcome="started"} 1.0' in text
    assert 'runbooks_webhook_alerts_total{outcome="unrouted"} 1.0' in text
    assert 'runbooks_webhook_requests_total{status="422"} 1.0' in text
    assert "runbooks_webhook_seconds_count 2.0" in text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)
_FIELDS = ["status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"]
nearly = st.builds(
    lambda changes: {**alert("f"), **changes}, st.dictionaries(st.sampled_from(_FIELDS), json_values, min_size=1)
)
groups = st.builds(lambda alerts: {"version": "4", "alerts": alerts}, st.lists(json_values | nearly, max_size=3))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(json_values | groups)
def test_whatever_is_posted_is_answered_and_never_with_500(tmp_path: Path, given_body: Any) -> None:
    async def post() -> httpx.Response:
        # Nothing listens there, so what is valid meets 503 at once.
        async with serving(settings_for(NOBODY, "q", tmp_path, World())) as http:
            return await http.post(PATH, content=json.dumps(given_body), headers={**HEADERS, **JSON})

    response = asyncio.run(post())
    assert response.status_code in {200, 202, 422, 503}
    assert response.status_code != 503 or "unavailable" in response.text
