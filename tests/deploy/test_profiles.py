"""What the compose file starts by profile, as plain processes with its own settings, on real servers."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psycopg
import pytest

from sandbox.ports import free_port
from sandbox.probes import wait_until
from sandbox.temporal import Temporal
from sandbox.temporal_on_postgres import TemporalOnPostgres
from tests.deploy import docker_compose
from tests.deploy.docker_compose import EVERY_PROFILE, ROOT
from tests.deploy.processes import Places, Service
from tests.starters.slack.workspace import APP_TOKEN, TOKEN, Workspace, workspace
from tests.starters.web.provider import CLIENT, SECRET, Provider
from workers.queues import ROLES

# The first of these tests may have to build `docker compose`.
pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]

PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
_MINE = '\n[web.groups]\non-call = ["sre"]\n\n[slack.people.UADA]\nwho = "ada@example.org"\nroles = ["commander"]\n'
"""What somebody adds to deploy/runbooks.toml for the page and for Slack."""


@pytest.fixture(scope="module")
def secrets(secrets: Path) -> Path:
    """With what the identity provider has given."""
    given = secrets.parent / "given"
    given.write_text(f"{SECRET}\n")
    done = docker_compose.make_secrets(secrets, "--oidc-client-secret", str(given))
    assert done.returncode == 0, done.stderr
    return secrets


@pytest.fixture(scope="module")
def web_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("settings") / "runbooks.toml"
    file.write_text((ROOT / "deploy/runbooks.toml").read_text() + _MINE)
    return file


@pytest.fixture(scope="module")
def places(
    *,
    secrets: Path,
    records_db: None,
    own_temporal: Temporal | TemporalOnPostgres,
    provider: Provider,
    web_port: int,
    settings: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Places:
    compose = docker_compose.resolve(
        secrets,
        **EVERY_PROFILE,
        RUNBOOKS_ROLES='["kubernetes", "database", "aws", "messages", "compliance", "security"]',
        RUNBOOKS_OIDC_ISSUER=provider.issuer,
        RUNBOOKS_OIDC_CLIENT_ID=CLIENT,
        RUNBOOKS_WEB_URL=f"http://127.0.0.1:{web_port}",
    )
    compose["configs"]["settings"]["file"] = str(settings)
    found = Places(
        compose=compose,
        directory=tmp_path_factory.mktemp("machine"),
        elsewhere={"temporal:7233": own_temporal.address},
    )
    migrated = found.service("records-migrate", {}).job()
    assert migrated.returncode == 0, migrated.stderr
    return found


@pytest.fixture(scope="module")
def web(places: Places, web_port: int) -> Service:
    return places.service(
        "web",
        {"127.0.0.1:8083": f"127.0.0.1:{web_port}"},
        RUNBOOKS_WEB__PORT=str(web_port),
        RUNBOOKS_WEB__HOST="127.0.0.1",
    )


def test_the_page_becomes_healthy_signs_people_in_and_stops_in_time(web: Service, web_port: int) -> None:
    with web.running() as running:
        running.wait_healthy()
        with httpx.Client(base_url=f"http://127.0.0.1:{web_port}", timeout=60, follow_redirects=True) as browser:
            assert browser.get("/").url.path == "/sign-in"
            page = browser.get("/sign-in/begin", params={"next": "/runbook"})
            assert (page.status_code, page.url.path) == (200, "/runbook"), page.text
            assert re.search(r"ada@corp\.example <span[^>]*>on-call</span>", page.text)
            assert browser.get("/status/").status_code == 200
        running.stop()


def test_without_a_provider_the_page_refuses_to_listen_for_others(places: Places) -> None:
    nobody = places.service("web", {}, RUNBOOKS_WEB__OIDC__ISSUER="").job()

    assert nobody.returncode == 2
    assert "web.oidc.issuer" in nobody.stderr


def test_the_status_page_becomes_healthy_knows_no_temporal_and_stops_in_time(places: Places) -> None:
    port = str(free_port())
    page = places.service("status-page", {"8085": port, "0.0.0.0": "127.0.0.1"})
    assert not any("TEMPORAL" in name for name in page.env)
    with page.running() as running:
        running.wait_healthy()
        shown = httpx.get(f"http://127.0.0.1:{port}/")
        assert (shown.status_code, "Operational" in shown.text) == (200, True)
        assert httpx.get(f"http://127.0.0.1:{port}/feed.atom").status_code == 200
        running.stop()


def test_the_status_pages_role_reads_what_the_page_shows_and_nothing_else(places: Places, secrets: Path) -> None:
    with psycopg.connect((secrets / "status_page_records_url").read_text().strip(), autocommit=True) as public:
        may = (
            "SELECT relname FROM pg_class WHERE relnamespace = 'runbooks'::regnamespace AND relkind IN ('r', 'v') "
            "AND has_table_privilege(oid, %s)"
        )
        found = {privilege: public.execute(may, [privilege]).fetchall() for privilege in PRIVILEGES}
        assert sorted(found.pop("SELECT")) == [("maintenance_notices",), ("status_page",), ("status_updates",)]
        assert not any(found.values()), found
        for refused in ("SELECT * FROM runbooks.tenants", "CREATE TABLE runbooks.x ()", "CREATE TABLE public.x ()"):
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)):
                public.execute(refused)


def test_the_status_page_without_its_records_is_not_healthy(places: Places, tmp_path: Path) -> None:
    nowhere = tmp_path / "url"
    nowhere.write_text(f"postgresql://runbooks@127.0.0.1:{free_port()}/runbooks")
    port = str(free_port())
    page = places.service(
        "status-page",
        {"8085": port, "0.0.0.0": "127.0.0.1"},
        RUNBOOKS_RECORDS__URL=f"file:{nowhere}",
    )
    with page.running():
        wait_until(lambda: _answers(f"http://127.0.0.1:{port}/healthz"))
        assert not page.healthy()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture
async def slack_workspace() -> AsyncIterator[Workspace]:
    async with workspace() as one:
        yield one


async def test_slack_becomes_healthy_and_answers_by_its_socket(
    places: Places, slack_workspace: Workspace, tmp_path: Path
) -> None:
    slack = _slack(places, slack_workspace.base, tmp_path)
    with slack.running() as running:
        await asyncio.to_thread(running.wait_healthy)
        answer = await slack_workspace.command("list")
        assert answer.get("blocks") or answer.get("text"), answer
        assert await asyncio.to_thread(running.stop) < slack.grace


def _slack(places: Places, base: str, directory: Path) -> Service:
    """Give it beside a stand-in of Slack, with the tokens that this gives out."""
    settings = directory / "runbooks.toml"
    mine = Path(places.compose["configs"]["settings"]["file"]).read_text()
    settings.write_text(f'{mine}\n[slack]\nbase_url = "{base}/api/"\n')
    elsewhere = {"/etc/runbooks/runbooks.toml": str(settings)}
    for name, value in (("slack_token", TOKEN), ("slack_app_token", APP_TOKEN)):
        (directory / name).write_text(value)
        elsewhere[f"/run/secrets/{name}"] = str(directory / name)
    port = str(free_port())
    elsewhere["127.0.0.1:8084"] = f"127.0.0.1:{port}"
    return places.service("slack", elsewhere, RUNBOOKS_SLACK__PORT=port)


def test_slack_without_what_slack_gives_refuses_to_start(places: Places) -> None:
    nothing = places.service("slack", {}).job()

    assert nothing.returncode == 2
    assert "slack.token: the secret's file is empty" in nothing.stderr


@pytest.mark.parametrize("role", ROLES)
def test_a_worker_of_a_role_becomes_healthy_with_its_own_secrets_alone(places: Places, role: str) -> None:
    metrics = f"127.0.0.1:{free_port()}"
    worker = places.service(f"worker-{role}", {"0.0.0.0:9464": metrics, "127.0.0.1:9464": metrics})
    with worker.running() as running:
        running.wait_healthy()
        shown = httpx.get(f"http://{metrics}/metrics").text
        asked = {
            labels["task_queue"]
            for labels in map(_labels, re.findall(r"^temporal_num_pollers\{(.+)\} [1-9]", shown, flags=re.MULTILINE))
        }
        base = "runbooks" if role == "orchestration" else f"runbooks-{role}"
        assert {base, f"{base}-watches"} >= asked > set(), asked
        running.stop()


def test_a_worker_that_is_to_post_to_slack_needs_its_token(places: Places, tmp_path: Path) -> None:
    metrics = f"127.0.0.1:{free_port()}"
    here = {"0.0.0.0:9464": metrics, "127.0.0.1:9464": metrics}
    posts = {"RUNBOOKS_SLACK__BACKEND": "slack", "RUNBOOKS_SLACK__TOKEN": "file:/run/secrets/slack_token"}
    without = places.service("worker-messages", here, **posts).job()
    assert without.returncode == 2
    assert "slack.token: the secret's file is empty" in without.stderr

    (tmp_path / "slack_token").write_text(TOKEN)
    given = {"/run/secrets/slack_token": str(tmp_path / "slack_token")}
    with places.service("worker-messages", {**here, **given}, **posts).running() as running:
        running.wait_healthy()
        running.stop()


def _labels(text: str) -> dict[str, str]:
    return dict(re.findall(r'(\w+)="([^"]*)"', text))
