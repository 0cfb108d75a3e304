"""People sign in at an identity provider, over HTTP; what doesn't count lets nobody in."""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn
from joserfc.jwk import RSAKey
from pydantic import SecretStr

from sandbox.temporal import Temporal
from tests.starters.web.provider import CLIENT, SECRET, Provider
from tests.starters.web.served import Served, keys, serving
from tests.workflows.worlds.world import World
from workers.settings import OidcSettings, WebSettings


@contextlib.asynccontextmanager
async def answering() -> AsyncIterator[Provider]:
    listening = socket.create_server(("127.0.0.1", 0))
    provider = Provider(f"http://127.0.0.1:{listening.getsockname()[1]}")
    running = uvicorn.Server(uvicorn.Config(provider.app(), log_level="warning"))
    task = asyncio.create_task(running.serve(sockets=[listening]))
    while not running.started:
        await asyncio.sleep(0.02)
    yield provider
    running.should_exit = True
    await task


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[Provider]:
    async with answering() as one:
        yield one


@pytest.fixture(scope="module")
async def served(
    own_temporal: Temporal, create_database: Any, records_template: str, provider: Provider
) -> AsyncIterator[Served]:
    key, _ = keys()
    web = WebSettings(
        oidc=OidcSettings(issuer=provider.issuer, client_id=CLIENT, client_secret=SecretStr(SECRET)),
        people={"commander": (" ADA@corp.example ",)},
        groups={"on-call": ("sre",), "security": ("blue",)},
    )
    url = create_database(records_template)
    async with serving(own_temporal.address, url, World(), key, web=web, work=False) as page:
        yield page


@pytest.fixture(autouse=True)
def as_usual(provider: Provider) -> None:
    provider.claims, provider.signs_with = {}, None


async def signing_in(served: Served) -> httpx.Response:
    async with httpx.AsyncClient(base_url=served.base_url, follow_redirects=True, timeout=60) as http:
        return await http.get("/sign-in/begin", params={"next": "/runbook"})


async def test_who_the_provider_knows_has_the_roles_of_their_name_and_groups(served: Served) -> None:
    answer = await signing_in(served)
    assert (answer.status_code, answer.url.path) == (200, "/runbook"), answer.text
    assert re.search(r"ada@corp\.example <span[^>]*>commander, on-call</span>", answer.text)


@pytest.mark.parametrize("email", ["\uff41da@corp.example", "ada@\u212aorp.example", "ad\u0430@corp.example"])
async def test_who_only_looks_like_somebody_has_not_their_roles(served: Served, provider: Provider, email: str) -> None:
    provider.claims = {"email": email, "groups": []}
    assert "no role: may look only" in (await signing_in(served)).text


async def test_who_has_no_role_may_look_and_not_act(served: Served, provider: Provider) -> None:
    provider.claims = {"email": "eve@corp.example", "groups": []}
    async with httpx.AsyncClient(base_url=served.base_url, follow_redirects=True, timeout=60) as http:
        page = await http.get("/sign-in/begin")
        assert "no role: may look only" in page.text
        token = re.search(r'X-CSRF-Token": "([0-9a-f]{64})"', page.text)
        assert token
        answer = await http.post(
            "/cancel", data={"workflow_id": "x", "reason": "y"}, headers={"X-CSRF-Token": token[1]}
        )
        assert answer.status_code == 403


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another"},
        {"iss": "https://elsewhere.example"},
        {"nonce": "another"},
        {"exp": 1},
        {"azp": "another"},
        {"email_verified": False},
        {"email_verified": "false"},
        {"email": ""},
        {"email": "ada@corp.example\u200b"},
        {"email": "ada\u3164@corp.example"},
        {"email": "a" * 201},
        {"email": 7},
    ],
    ids=str,
)
async def test_a_token_that_does_not_count_lets_nobody_in(
    served: Served, provider: Provider, claims: dict[str, Any]
) -> None:
    provider.claims = claims
    answer = await signing_in(served)
    assert answer.status_code == 403
    assert not answer.history[-1].cookies.get("runbooks")


async def test_another_key_lets_nobody_in(served: Served, provider: Provider) -> None:
    provider.signs_with = RSAKey.generate_key(2048)
    assert (await signing_in(served)).status_code == 403


async def test_an_answer_from_another_browser_lets_nobody_in(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.base_url, timeout=60) as http:
        for query in ({"code": "x", "state": "y"}, {"error": "access_denied"}, {}):
            assert (await http.get("/sign-in/callback", params=query)).status_code == 400
        sent = await http.get("/sign-in/begin", params={"next": "//elsewhere.example/"})
        back = await httpx.AsyncClient().get(sent.headers["location"])
        forged = back.headers["location"].replace("state=", "state=x")
        assert (await http.get(forged)).status_code == 400
        entered = await http.get(back.headers["location"])
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        assert (await http.get("/sign-in/some-link")).status_code == 404, "there are no links beside a provider"
