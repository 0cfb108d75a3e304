"""The sign-in before Temporal's page: oauth2-proxy with the compose file's settings, a provider, and the real page."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from joserfc.jwk import RSAKey

from sandbox import binaries
from sandbox.ports import free_port
from sandbox.ready import ready
from sandbox.temporal import Temporal
from tests.deploy import docker_compose
from tests.deploy.processes import Places, Service
from tests.starters.web.provider import CLIENT, SECRET, Provider

# The first of these tests may have to build `docker compose` and oauth2-proxy.
pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]

SERVICE = "temporal-ui-sign-in"
TERMINATE = "/api/v1/namespaces/default/workflows/a-run/terminate"


@pytest.fixture(scope="module")
def secrets(secrets: Path) -> Path:
    """With what the identity provider has given."""
    given = secrets.parent / "given"
    given.write_text(f"{SECRET}\n")
    done = docker_compose.make_secrets(secrets, "--oidc-client-secret", str(given))
    assert done.returncode == 0, done.stderr
    return secrets


@pytest.fixture(autouse=True)
def as_usual(provider: Provider) -> None:
    provider.claims, provider.signs_with = {}, None


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Temporal's own page, as host:port."""
    with ready(Temporal(tmp_path_factory.mktemp("temporal"))) as server:
        yield server.ui_url.removeprefix("http://")


@pytest.fixture(scope="module")
def signing_in(secrets: Path, provider: Provider, page: str, tmp_path_factory: pytest.TempPathFactory) -> Service:
    (found,) = binaries.ensure(binaries.SIGN_IN)
    port = free_port()
    compose = docker_compose.resolve(
        secrets,
        COMPOSE_PROFILES="sign-in",
        RUNBOOKS_OIDC_ISSUER=provider.issuer,
        RUNBOOKS_OIDC_CLIENT_ID=CLIENT,
        RUNBOOKS_UI_URL=f"http://127.0.0.1:{port}",
        RUNBOOKS_UI_EMAIL_DOMAINS="corp.example",
        RUNBOOKS_UI_GROUPS="sre",
    )
    places = Places(compose=compose, directory=tmp_path_factory.mktemp("machine"))
    here = {
        "/bin/oauth2-proxy": str(found.path),
        "temporal-ui:8080": page,
        "0.0.0.0:4180": f"127.0.0.1:{port}",
        "127.0.0.1:4180": f"127.0.0.1:{port}",
    }
    return places.service(SERVICE, here)


@pytest.fixture(scope="module")
def address(signing_in: Service) -> Iterator[str]:
    with signing_in.running() as running:
        running.wait_healthy()
        yield f"http://{signing_in.env['OAUTH2_PROXY_HTTP_ADDRESS']}"
        running.stop()


class Browser:
    """Sends its cookies back to where they come from, as behind the reverse proxy's TLS: here is none of it."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._cookies: dict[str, str] = {}

    def get(self, path: str) -> httpx.Response:
        url = f"{self._address}{path}"
        for _ in range(10):
            kept = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
            at_home = url.startswith(f"{self._address}/")
            answer = httpx.get(url, headers={"Cookie": kept} if kept and at_home else {}, timeout=60)
            for line in answer.headers.get_list("set-cookie"):
                name, _, value = line.partition(";")[0].partition("=")
                self._cookies[name] = value
            if not answer.is_redirect:
                return answer
            url = str(answer.url.join(answer.headers["location"]))
        raise AssertionError(f"sent from one to the next, at last to {url}")


@pytest.fixture
def browser(address: str) -> Browser:
    return Browser(address)


def test_who_has_not_signed_in_reaches_nothing(address: str, provider: Provider) -> None:
    with httpx.Client(base_url=address) as stranger:
        sent = stranger.get("/")
        assert sent.status_code == 302
        assert sent.headers["location"].startswith(f"{provider.issuer}/authorize?")
        assert stranger.get("/api/v1/namespaces").status_code == 401
        assert stranger.post(TERMINATE, json={"reason": "mine"}).status_code == 401
        made_up = {"Cookie": "_oauth2_proxy=djIuYWRhQGNvcnAuZXhhbXBsZQ==|1767225600|c2lnbmVk"}
        assert stranger.get("/api/v1/namespaces", headers=made_up).status_code == 401
        cookies = sent.headers.get_list("set-cookie")
        assert cookies
        assert all("HttpOnly" in one and "Secure" in one and "SameSite=Lax" in one for one in cookies)


def test_who_may_gets_temporals_own_page(browser: Browser) -> None:
    shown = browser.get("/")
    assert (shown.status_code, "__sveltekit" in shown.text) == (200, True), shown.text
    listed = browser.get("/api/v1/namespaces").json()
    assert "default" in {one["namespaceInfo"]["name"] for one in listed["namespaces"]}


@pytest.mark.parametrize(
    "claims",
    [
        {"email": "eve@other.example"},
        {"groups": ["sales"]},
        {"groups": []},
        {"email_verified": False},
        {"aud": "another-application"},
        {"nonce": "another"},
    ],
    ids=lambda claims: next(iter(claims)),
)
def test_who_may_not_is_not_let_in(browser: Browser, provider: Provider, claims: dict[str, object]) -> None:
    provider.claims = claims
    assert browser.get("/").status_code in {403, 500}
    provider.claims = {}
    assert browser.get("/api/v1/namespaces").status_code == 401


def test_a_token_that_the_provider_has_not_signed_lets_nobody_in(browser: Browser, provider: Provider) -> None:
    provider.signs_with = RSAKey.generate_key(2048)
    assert browser.get("/").status_code in {403, 500}
    assert browser.get("/api/v1/namespaces").status_code == 401


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("OAUTH2_PROXY_OIDC_ISSUER_URL", "issuer-url"),
        ("OAUTH2_PROXY_CLIENT_ID", "client-id"),
        ("OAUTH2_PROXY_EMAIL_DOMAINS", "email validation"),
        ("OAUTH2_PROXY_COOKIE_SECRET_FILE", "cookie-secret"),
    ],
)
def test_what_is_not_said_is_no_open_door(signing_in: Service, tmp_path: Path, setting: str, said: str) -> None:
    """Without it the program doesn't start."""
    empty = tmp_path / "empty"
    empty.touch()
    wrong = {**signing_in.env, setting: str(empty) if setting.endswith("_FILE") else ""}
    answer = Service(**{**vars(signing_in), "env": wrong}).job()

    assert answer.returncode != 0
    assert said in (answer.stdout + answer.stderr).replace("_", "-")
