"""What is not signed by Slack, now, with a secret of ours, is not read."""

import time
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.signature import SignatureVerifier

from starters.slack.over_http import application

OLD, NEW = "the old secret", "the new secret"


class Heard:
    def __init__(self) -> None:
        self.said: list[Any] = []

    async def command(self, given: dict[str, Any]) -> dict[str, Any]:
        self.said.append(given)
        return {"text": "yes"}

    async def interaction(self, payload: dict[str, Any]) -> dict[str, Any]:
        self.said.append(payload)
        return {}


async def ready() -> bool:
    return True


async def posted(heard: Heard, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    transport = httpx.ASGITransport(application(heard, [OLD, NEW], ready))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://slack") as http:
        return await http.post(path, content=body, headers=headers)


def signed(body: bytes, secret: str = NEW, at: float | None = None) -> dict[str, str]:
    now = str(int(time.time() if at is None else at))
    signature = SignatureVerifier(secret).generate_signature(timestamp=now, body=body)
    return {"x-slack-request-timestamp": now, "x-slack-signature": str(signature)}


@pytest.mark.parametrize("secret", [OLD, NEW])
async def test_each_secret_counts(secret: str) -> None:
    heard, body = Heard(), urlencode({"text": "list"}).encode()
    assert (await posted(heard, "/slack/commands", body, signed(body, secret))).json() == {"text": "yes"}
    assert heard.said == [{"text": "list"}]


def test_the_signature_is_that_of_slack_s_own_page() -> None:
    # docs.slack.dev, "Verifying requests from Slack": secret, time and body of the page's example.
    body = (
        "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
        "&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com"
        "%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d1"
        "0d2c447fce8b6703c"
    )
    verifier = SignatureVerifier("8f742231b10e8888abcd99yyyzzz85a5")
    expected = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    assert verifier.generate_signature(timestamp="1531420618", body=body) == expected


@pytest.mark.parametrize(
    "headers",
    [
        {},
        signed(b"text=list", "another"),
        signed(b"text=lis"),
        signed(b"text=list", at=time.time() - 900),
        signed(b"text=list", at=time.time() + 900),
        {"x-slack-request-timestamp": "soon", "x-slack-signature": "v0=1"},
        {"x-slack-request-timestamp": "9" * 400, "x-slack-signature": "é"},
        {"x-slack-signature": "v0=1"},
    ],
    ids=range(8),
)
async def test_what_slack_has_not_signed_is_refused(headers: dict[str, str]) -> None:
    heard = Heard()
    for path in ("/slack/commands", "/slack/interactions"):
        encoded = {name: value.encode("utf-8") for name, value in headers.items()}
        answer = await posted(heard, path, b"text=list", encoded)  # type: ignore[arg-type]
        assert answer.status_code == 401
    assert heard.said == []


@given(st.binary(max_size=300))
async def test_no_signed_body_is_an_error_of_ours(body: bytes) -> None:
    try:
        headers = signed(body)
    except UnicodeDecodeError:
        headers = {"x-slack-request-timestamp": str(int(time.time())), "x-slack-signature": "v0=0"}
    for path in ("/slack/commands", "/slack/interactions"):
        assert (await posted(Heard(), path, body, headers)).status_code in {200, 400, 401}


async def test_without_secrets_nothing_is_taken_and_health_is_told() -> None:
    transport = httpx.ASGITransport(application(Heard(), [], ready))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://slack") as http:
        assert (await http.post("/slack/commands")).status_code == 404
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/readyz")).json() == {"status": "ready"}
