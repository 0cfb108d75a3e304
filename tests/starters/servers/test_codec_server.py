"""The Temporal UI's way to read encrypted payloads: for those who may."""

import base64
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from temporalio.api.common.v1 import Payload
from typer.testing import CliRunner, Result

from starters.__main__ import application as runbooks
from starters.servers.codec_server import application
from workers.codec import AesGcmCodec

UI = "http://127.0.0.1:8233"
TOKEN = "a-token-for-tests"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Origin": UI, "X-Namespace": "default"}
CODEC = AesGcmCodec([os.urandom(32)])
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'"canary"')


def as_json(payload: Payload) -> dict[str, object]:
    return {
        "metadata": {name: base64.b64encode(value).decode() for name, value in payload.metadata.items()},
        "data": base64.b64encode(payload.data).decode(),
    }


def basic(password: str) -> str:
    return f"Basic {base64.b64encode(f'ada:{password}'.encode()).decode()}"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application(CODEC, TOKEN, UI))
    async with httpx.AsyncClient(transport=transport, base_url="http://codec") as client:
        yield client


async def test_payloads_are_shown_in_their_order(http: httpx.AsyncClient) -> None:
    sent = {"payloads": [as_json(CODEC.encrypt(PLAIN)), as_json(PLAIN)]}
    answer = await http.post("/decode", json=sent, headers=HEADERS)

    assert answer.status_code == 200
    assert answer.json() == {"payloads": [as_json(PLAIN), as_json(PLAIN)]}
    assert answer.headers["access-control-allow-origin"] == UI


async def test_what_the_ui_sends_is_encrypted(http: httpx.AsyncClient) -> None:
    answer = await http.post("/encode", json={"payloads": [as_json(PLAIN)]}, headers=HEADERS)

    assert answer.status_code == 200
    (sealed,) = answer.json()["payloads"]
    assert base64.b64decode(sealed["metadata"]["encoding"]) == b"binary/encrypted"
    back = await http.post("/decode", json={"payloads": [sealed]}, headers=HEADERS)
    assert back.json() == {"payloads": [as_json(PLAIN)]}


async def test_a_browser_asks_for_the_token_as_a_password(http: httpx.AsyncClient) -> None:
    asked = await http.get("/")
    assert asked.status_code == 401
    assert asked.headers["www-authenticate"].startswith("Basic ")
    assert (await http.get("/", headers={"Authorization": basic(TOKEN)})).status_code == 200
    sent = {"payloads": [as_json(CODEC.encrypt(PLAIN))]}
    answer = await http.post("/decode", json=sent, headers={"Origin": UI, "Authorization": basic(TOKEN)})
    assert answer.json() == {"payloads": [as_json(PLAIN)]}
    assert answer.headers["access-control-allow-credentials"] == "true"


@pytest.mark.parametrize("header", [None, "Bearer wrong", f"Basic {TOKEN}", basic("wrong"), "Bearer", "Bearer \xff"])
async def test_nobody_else_reads_anything(http: httpx.AsyncClient, header: str | None) -> None:
    headers = {b"Authorization": header.encode("latin-1")} if header else {}
    answer = await http.post("/decode", json={"payloads": [as_json(CODEC.encrypt(PLAIN))]}, headers=headers)

    assert answer.status_code == 401
    assert "canary" not in answer.text


async def test_only_the_ui_may_ask_from_a_browser(http: httpx.AsyncClient) -> None:
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,x-namespace"}
    ours = await http.options("/decode", headers={"Origin": UI, **preflight})
    theirs = await http.options("/decode", headers={"Origin": "https://evil.example", **preflight})

    assert ours.headers["access-control-allow-origin"] == UI
    assert "access-control-allow-origin" not in theirs.headers


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"payloads": 1}', '{"payloads": [{"metadata": {"a": "%"}}]}'])
async def test_what_is_no_payload_is_refused(http: httpx.AsyncClient, body: str) -> None:
    answer = await http.post("/decode", content=body, headers={**HEADERS, "Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_payload_of_another_key_says_which_is_missing(http: httpx.AsyncClient) -> None:
    foreign = AesGcmCodec([os.urandom(32)]).encrypt(PLAIN)
    answer = await http.post("/decode", json={"payloads": [as_json(foreign)]}, headers=HEADERS)

    assert answer.status_code == 422
    assert foreign.metadata["encryption-key-id"].decode() in json.loads(answer.text)["detail"]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(runbooks(arguments), list(arguments))


def test_without_keys_or_token_it_does_not_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "runbooks.toml").touch()
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(tmp_path / "runbooks.toml"))
    assert "payloads are not encrypted" in run("codec-server").output
    key = base64.b64encode(os.urandom(32)).decode()
    monkeypatch.setenv("RUNBOOKS_TEMPORAL__PAYLOAD_KEYS", json.dumps([key]))
    refused = run("codec-server")
    assert (refused.exit_code, "RUNBOOKS_CODEC_TOKEN is empty" in refused.output) == (2, True)
