"""The webhook against a real Temporal: who may post, what is refused, and that one alert is one run."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from temporalio.client import Client

from starters.webhook import routes
from starters.webhook.__main__ import build
from tests.workflows.world import World
from workers import worker
from workers.clients import connect
from workers.settings import Settings, SettingsError, Temporal, Webhook
from workflows.incident_response.p1_incident import Closing, P1Incident

TOKEN = "a-token-for-tests"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
RULES = '[[route]]\nmatch = { severity = "P1" }\nprocedure = "p1-incident"\n'
Post = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture(scope="module")
async def client(temporal_address: str) -> Client:
    return await connect(Temporal(address=temporal_address))


def settings_for(address: str, queue: str, folder: Path, world: World, **webhook: Any) -> Settings:
    (folder / "routes.toml").write_text(RULES, encoding="utf-8")
    return Settings(
        temporal=Temporal(address=address, task_queue=queue),
        services={"tensafe-server": world.service},
        webhook=Webhook(
            bearer_tokens=(SecretStr("another"), SecretStr(TOKEN)), basic_auth={"am": SecretStr("secret")},
            routes=folder / "routes.toml", **webhook,
        ),
    )  # fmt: skip


@asynccontextmanager
async def serving(configured: Settings) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(await build(configured))
    async with httpx.AsyncClient(transport=transport, base_url="http://webhook", headers=HEADERS) as http:
        yield http


@pytest.fixture
async def webhook(temporal_address: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A webhook on a task queue nobody works on: what it starts just stands there."""
    async with serving(settings_for(temporal_address, f"q-{uuid4()}", tmp_path, World(), max_body=100_000)) as http:
        yield http


def alert(fingerprint: str, *, status: str = "firing", starts_at: str = "2026-02-04T03:00:00Z", **labels: str) -> Any:
    return {
        "status": status, "fingerprint": fingerprint, "startsAt": starts_at, "endsAt": "0001-01-01T00:00:00Z",
        "labels": {"alertname": "TensafeServerDown", "severity": "P1", "service": "tensafe-server", **labels},
        "annotations": {"summary": "API down"}, "generatorURL": "http://prometheus/graph",
    }  # fmt: skip


def body(*alerts: Any) -> dict[str, Any]:
    return {"version": "4", "groupKey": "{}:{}", "status": "firing", "receiver": "runbooks", "alerts": list(alerts)}


def fresh() -> str:
    return uuid4().hex[:16]


async def send(http: httpx.AsyncClient, *alerts: Any) -> httpx.Response:
    return await http.post("/webhooks/alertmanager", json=body(*alerts))


async def outcomes(http: httpx.AsyncClient, *alerts: Any) -> list[str]:
    response = await send(http, *alerts)
    assert response.status_code == 202, response.text
    return [one["outcome"] for one in response.json()["alerts"]]


# -- who may, and what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "authorization",
    [
        None, "Bearer", "Bearer ", "Bearer wrong", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Basic !!!", "Digest x",
        "Basic " + base64.b64encode(b"am:wrong").decode(), TOKEN,
    ],
)  # fmt: skip
async def test_who_does_not_authenticate_is_refused(webhook: httpx.AsyncClient, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    webhook.headers.pop("Authorization")
    response = await webhook.post("/webhooks/alertmanager", json=body(alert(fresh())), headers=headers)
    assert response.status_code == 401
    assert "www-authenticate" in response.headers
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "authorization", ["Bearer another", f"bearer {TOKEN}", "Basic " + base64.b64encode(b"am:secret").decode()]
)
async def test_any_configured_credential_opens(webhook: httpx.AsyncClient, authorization: str) -> None:
    headers = {"Authorization": authorization}
    response = await webhook.post("/webhooks/alertmanager", json=body(alert(fresh())), headers=headers)
    assert response.status_code == 202


async def test_without_credentials_it_does_not_start(temporal_address: str, tmp_path: Path) -> None:
    configured = settings_for(temporal_address, "q", tmp_path, World())
    bare = configured.model_copy(update={"webhook": Webhook(routes=tmp_path / "routes.toml")})
    with pytest.raises(SettingsError, match="bearer_tokens"):
        await build(bare)


async def chunks() -> AsyncIterator[bytes]:
    for _ in range(20):
        yield b" " * 10_000


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"content": b"{}"}, 415),
        ({"content": b"{}", "headers": {"Content-Type": "text/plain"}}, 415),
        ({"content": b" " * 100_001, "headers": {"Content-Type": "application/json"}}, 413),
        ({"content": chunks, "headers": {"Content-Type": "application/json"}}, 413),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 422),
        ({"content": b"\xff", "headers": {"Content-Type": "application/json"}}, 422),
        ({"content": b"[" * 50_000, "headers": {"Content-Type": "application/json; charset=utf-8"}}, 422),
        ({"json": {}}, 422),
        ({"json": {"version": "1", "alerts": [{}]}}, 422),
        ({"json": {"version": "4", "alerts": []}}, 422),
        ({"json": {"version": "4", "alerts": [{"status": "firing"}]}}, 422),
    ],
)
async def test_what_cannot_be_taken_is_refused_with_a_problem(
    webhook: httpx.AsyncClient, options: dict[str, Any], status: int
) -> None:
    given_options = {**options, **({"content": options["content"]()} if callable(options.get("content")) else {})}
    response = await webhook.post("/webhooks/alertmanager", **given_options)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail"} <= response.json().keys()


async def test_other_methods_and_paths_are_problems_too(webhook: httpx.AsyncClient) -> None:
    for path, status in (("/webhooks/alertmanager", 405), ("/nowhere", 404)):
        response = await webhook.get(path)
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"


async def test_one_bad_alert_does_not_lose_the_others(webhook: httpx.AsyncClient) -> None:
    bad = [{"status": "firing"}, alert(fresh(), service="billing"), {**alert(fresh()), "startsAt": "hunter2"}]
    response = await send(webhook, bad[0], alert(fresh()), bad[1], bad[2], alert(fresh(), severity="P4"))
    assert response.status_code == 202
    taken = response.json()["alerts"]
    assert [one["outcome"] for one in taken] == ["invalid", "started", "invalid", "invalid", "unrouted"]
    assert "Known: tensafe-server" in taken[2]["detail"]
    assert "startsAt" in taken[3]["detail"]
    assert "hunter2" not in response.text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(json_values | st.builds(lambda alerts: {"version": "4", "alerts": alerts}, st.lists(json_values, max_size=3)))
def test_whatever_is_posted_is_answered_and_never_with_500(tmp_path: Path, given_body: Any) -> None:
    async def post() -> httpx.Response:
        async with serving(settings_for("127.0.0.1:1", "q", tmp_path, World())) as http:
            headers = {"Content-Type": "application/json"}
            return await http.post("/webhooks/alertmanager", content=json.dumps(given_body), headers=headers)

    assert asyncio.run(post()).status_code in {202, 422}


# -- one alert, one run ---------------------------------------------------------------------------------------------


async def test_twenty_posts_at_once_through_two_webhooks_are_one_run(
    temporal_address: str, tmp_path: Path, client: Client
) -> None:
    configured = settings_for(temporal_address, f"q-{uuid4()}", tmp_path, World())
    name = fresh()
    async with serving(configured) as one, serving(configured) as two:
        responses = await asyncio.gather(*(send(http, alert(name)) for http in [one, two] * 10))
    taken = [response.json()["alerts"][0] for response in responses]
    assert sorted(one["outcome"] for one in taken) == ["joined"] * 19 + ["started"]
    runs = {one["run_id"] for one in taken}
    assert len(runs) == 1
    description = await client.get_workflow_handle(taken[0]["workflow_id"]).describe()
    assert description.run_id in runs
    assert description.typed_search_attributes.search_attributes
    assert await description.static_summary() == "P1 incident response: API down"


@asynccontextmanager
async def working(address: str, queue: str, world: World) -> AsyncIterator[Client]:
    connected = await connect(Temporal(address=address))
    async with worker.build(connected, Temporal(task_queue=queue), world.activities()):
        yield connected


async def closed(client: Client, name: str) -> None:
    handle = client.get_workflow_handle_for(P1Incident.run, f"p1-incident/tensafe-server/{name}")
    async with asyncio.timeout(20):
        while (await handle.query(P1Incident.status)).waiting_for != "close":
            await asyncio.sleep(0.05)
    closing = Closing(who="ada", role="commander", resolution="restarted", root_cause="unknown")
    await handle.execute_update(P1Incident.close, closing)
    await handle.result()


async def test_an_episode_is_handled_once_and_the_next_firing_anew(temporal_address: str, tmp_path: Path) -> None:
    world, queue, name = World(), f"q-{uuid4()}", fresh()
    async with working(temporal_address, queue, world) as connected:
        async with serving(settings_for(temporal_address, queue, tmp_path, world)) as http:
            assert await outcomes(http, alert(name)) == ["started"]
            assert await outcomes(http, alert(name)) == ["joined"]
            assert await outcomes(http, alert(name, starts_at="2026-02-04T04:00:00Z")) == ["joined"]
            assert await outcomes(http, alert(name, status="resolved")) == ["resolved"]
            await closed(connected, name)
            # Alertmanager repeats what still fires, and retries what was not answered.
            assert await outcomes(http, alert(name)) == ["already_handled"]
            assert await outcomes(http, alert(name, starts_at="2026-02-04T04:00:00Z")) == ["already_handled"]
            assert await outcomes(http, alert(name, status="resolved")) == ["resolved"]
            new = alert(name, starts_at="2026-02-04T09:00:00Z")
            assert sorted(await asyncio.gather(*(outcomes(http, new) for _ in range(5)))) == [["joined"]] * 4 + [
                ["started"]
            ]
            await closed(connected, name)
    assert len(world.done("records.create_incident")) == 2
    assert len(world.done("records.acknowledge_alert")) == 3
    assert len(world.done("paging.page")) == 2
    assert len(world.done("records.resolve_alert")) == 1


# -- Temporal away --------------------------------------------------------------------------------------------------


async def test_without_temporal_the_sender_is_told_to_try_again(tmp_path: Path) -> None:
    async with serving(settings_for("127.0.0.1:1", "q", tmp_path, World())) as http:
        began = datetime.now(UTC)
        response = await send(http, alert(fresh()))
        assert response.status_code == 503
        assert datetime.now(UTC) - began < timedelta(seconds=8)
        assert (await http.get("/readyz")).status_code == 503
        assert (await http.get("/healthz")).status_code == 200


async def test_metrics_count_what_became_of_alerts(webhook: httpx.AsyncClient) -> None:
    await send(webhook, alert(fresh()), alert(fresh(), severity="P4"))
    text = (await webhook.get("/metrics")).text
    assert 'runbooks_webhook_alerts_total{outcome="started"} 1.0' in text
    assert 'runbooks_webhook_alerts_total{outcome="unrouted"} 1.0' in text


# -- routing rules --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ('[[route]]\nmatch = { a = "b" }\nprocedure = "p1-incidnet"', "Known: p1-incident"),
        ('[[route]]\nprocedure = "p1-incident"', "match or match_re: one is required"),
        ('[[route]]\nmatch_re = { a = "(" }\nprocedure = "p1-incident"', "match_re.a"),
        ('[[rout]]\nprocedure = "p1-incident"', "rout: Extra inputs"),
        ("[[route]", "routes.toml"),
    ],
)
def test_wrong_rules_name_the_field(tmp_path: Path, rules: str, says: str) -> None:
    (tmp_path / "routes.toml").write_text(rules, encoding="utf-8")
    with pytest.raises(SettingsError) as error:
        routes.load(tmp_path / "routes.toml")
    assert says in str(error.value)


def test_the_first_rule_that_matches_counts(tmp_path: Path) -> None:
    (tmp_path / "routes.toml").write_text(
        '[[route]]\nmatch = { team = "x" }\nmatch_re = { alertname = "Down|Slow" }\nprocedure = "p1-incident"\n'
        'service = "fixed"\n' + RULES,
        encoding="utf-8",
    )
    rules = routes.load(tmp_path / "routes.toml")
    first = rules.find({"team": "x", "alertname": "Slow", "severity": "P1"})
    assert first is not None
    assert first.service_of({"service": "other"}) == "fixed"
    second = rules.find({"team": "x", "alertname": "Slower", "severity": "P1"})
    assert second is not None
    assert second.service_of({"service": "other"}) == "other"
    assert rules.find({"severity": "P2"}) is None
    with pytest.raises(SettingsError, match="fixed"):
        rules.check_services(["other"])
