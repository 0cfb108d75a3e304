"""The public status page: from what runs have published, and nothing else."""

from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest
from psycopg_pool import ConnectionPool
from pydantic import SecretStr

from activities.messages.status_page.records import RecordsStatusPage
from activities.messages.status_page.status_page import UpdateMaintenance, UpdateStatusPage
from records_schema.pool import connect_pool
from starters.web import public
from tests.records_schema.fixtures import effect
from tests.workflows.worlds.world import World
from workers.settings import RecordsSettings, Settings

ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture
def settings() -> Settings:
    return Settings(
        services={"tensafe-server": World().service},
        records=RecordsSettings(url=SecretStr("postgresql://x@127.0.0.1:1/x")),
    )


@pytest.fixture(autouse=True)
def made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public, "_KEPT_FOR", 0.0)


def asking(pool: ConnectionPool[Any], settings: Settings) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(public.application(pool, settings)), base_url="http://status"
    )


def published(pool: ConnectionPool[Any], incident: str, status: Any, step: str, message: str = "We are on it.") -> None:
    RecordsStatusPage(pool).update(
        UpdateStatusPage(
            component="api",
            incident_id=incident,
            title="Trouble with <TenSafe>",
            status=status,
            message=message,
            effect=effect(step),
        )
    )


async def test_what_was_published_is_shown_and_no_more(records_pool: ConnectionPool[Any], settings: Settings) -> None:
    async with asking(records_pool, settings) as http:
        assert "All systems operational" in (await http.get("/")).text
        published(records_pool, "INC-4711", "Investigating", "1")
        page = (await http.get("/")).text
        assert "Major outage" in page
        assert "Trouble with &lt;TenSafe&gt;" in page
        for inner in ("INC-4711", "wf-1", "run-1", "ada", "tensafe-server"):
            assert inner not in page, inner
            assert inner not in (await http.get("/feed.atom")).text, inner
        published(records_pool, "INC-4711", "Resolved", "2", "It works again.")
        page = (await http.get("/")).text
        assert "All systems operational" in page
        assert page.index("The last 90 days") < page.index("It works again.")


async def test_a_maintenance_is_announced_and_ends(records_pool: ConnectionPool[Any], settings: Settings) -> None:
    begins = datetime.now(UTC) + timedelta(hours=1)

    def say(status: Any, step: str) -> None:
        RecordsStatusPage(records_pool).maintenance(
            UpdateMaintenance(
                component="api",
                window_id="MW-1",
                title="Database upgrade",
                status=status,
                message="Short breaks.",
                starts_at=begins,
                ends_at=begins + timedelta(hours=1),
                effect=effect(step),
            )
        )

    async with asking(records_pool, settings) as http:
        say("Scheduled", "1")
        page = (await http.get("/")).text
        assert "All systems operational" in page
        assert page.index("Maintenance</h2>") < page.index("Database upgrade")
        say("In progress", "2")
        assert "Under maintenance" in (await http.get("/")).text
        say("Completed", "3")
        assert "All systems operational" in (await http.get("/")).text


async def test_a_cache_may_keep_it_and_readers_ask_whether_it_changed(
    records_pool: ConnectionPool[Any],
    settings: Settings,
) -> None:
    async with asking(records_pool, settings) as http:
        published(records_pool, "INC-1", "Investigating", "1")
        first = await http.get("/feed.atom")
        assert "public" in first.headers["cache-control"]
        assert "set-cookie" not in first.headers
        again = await http.get("/feed.atom", headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        published(records_pool, "INC-1", "Identified", "2")
        later = await http.get("/feed.atom", headers={"If-None-Match": first.headers["etag"]})
        assert later.status_code == 200
        entries = ET.fromstring(later.text).findall(f"{ATOM}entry")
        assert [one.findtext(f"{ATOM}title") for one in entries] == [
            "Identified: Trouble with <TenSafe>",
            "Investigating: Trouble with <TenSafe>",
        ]
        assert len({one.findtext(f"{ATOM}id") for one in entries}) == 2
        assert ET.fromstring(first.text).find(f"{ATOM}entry/{ATOM}id").text == entries[1].findtext(f"{ATOM}id")  # type: ignore[union-attr]


async def test_a_person_s_word_is_shown_without_their_name(
    records_pool: ConnectionPool[Any], settings: Settings
) -> None:
    with records_pool.connection() as connection:
        connection.execute(
            "INSERT INTO runbooks.status_by_hand (component, shows, message, who) "
            "VALUES ('web', 'partial_outage', 'Sign-in fails.', 'grace@corp.example')"
        )
    async with asking(records_pool, settings) as http:
        page = (await http.get("/")).text
    assert "Sign-in fails." in page
    assert "Partial outage" in page
    assert "grace" not in page


async def test_while_the_records_are_away_the_last_one_is_shown_with_its_age(
    records_url: str,
    settings: Settings,
    create_database: Any,
    records_template: str,
) -> None:
    with connect_pool(records_url, max_size=1) as pool:
        async with asking(pool, settings) as http:
            assert (await http.get("/")).status_code == 200
            pool.close()
            page = await http.get("/")
            assert page.status_code == 200
            assert "newer news can" in page.text
    with connect_pool("postgresql://nobody@127.0.0.1:1/nothing", max_size=1) as nowhere:
        async with asking(nowhere, settings) as http:
            page = await http.get("/")
            assert (page.status_code, page.headers["cache-control"]) == (503, "no-store")
            assert (await http.get("/feed.atom")).status_code == 503
