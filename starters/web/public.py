"""The public status page: what components show, what is being looked into, what is planned, what was, and a feed.

It reads our own page's records (`[statuspage] backend = "records"`) and nothing else: public words that runs and people
have published, no incident's number, no name, no address of ours. Many may read it at once, so it is made anew only
every ten seconds, a cache may keep it, and while the records don't answer the last one is shown with its age.
"""

import asyncio
import hashlib
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from importlib.resources import files
from itertools import groupby
from typing import Any
from xml.etree import ElementTree as ET

import psycopg
import structlog
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from activities.messages.status_page.status_page import COMPONENT_STATES, worst
from audit.render.clean import clean
from starters.web.place import ENVIRONMENT
from workers.settings import Settings

_KEPT_FOR = 10.0
_HISTORY = timedelta(days=90)
_MOST = 500
_FEED_ENTRIES = 50
_CACHE = "public, max-age=15, stale-while-revalidate=60, stale-if-error=86400"
_NAMESPACE = uuid.UUID("8d2f6f5e-6f7b-4a53-9d6e-2a8f5f6f0b11")
"""Of the feed's IDs: an entry has always the same, and none tells the incident's number."""

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_WORDS = {
    "operational": "Operational",
    "under_maintenance": "Under maintenance",
    "degraded_performance": "Degraded performance",
    "partial_outage": "Partial outage",
    "major_outage": "Major outage",
}
assert set(_WORDS) == set(COMPONENT_STATES)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Said:
    """One thing that was published."""

    status: str
    message: str
    at: datetime


@dataclass(frozen=True)
class Event:
    """An incident or a maintenance, with all that was published of it, the newest first."""

    key: str
    kind: str
    title: str
    component: str
    said: tuple[Said, ...]
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    @property
    def status(self) -> str:
        """Where it stands."""
        return self.said[0].status

    @property
    def over(self) -> bool:
        """Whether it is."""
        return self.status in {"Resolved", "Completed"}

    @property
    def began(self) -> datetime:
        """When it was first told, or begins."""
        return self.starts_at or self.said[-1].at


@dataclass(frozen=True)
class Component:
    """What a component shows."""

    name: str
    shows: str
    words: str
    message: str
    since: datetime | None


@dataclass(frozen=True)
class Told:
    """The whole page."""

    components: tuple[Component, ...]
    events: tuple[Event, ...]
    at: datetime
    days: int = field(default=_HISTORY.days)

    @property
    def overall(self) -> str:
        """The worst that any component shows."""
        return worst("operational", *(one.shows for one in self.components))

    @property
    def open(self) -> list[Event]:
        """What is being looked into."""
        return [one for one in self.events if one.kind == "incident" and not one.over]

    @property
    def windows(self) -> list[Event]:
        """What is under way or planned, the next first."""
        found = [one for one in self.events if one.kind == "maintenance" and not one.over]
        return sorted(found, key=lambda one: one.began)

    @property
    def past(self) -> list[tuple[str, list[Event]]]:
        """What was, by its day in UTC, the newest first."""
        over = sorted((one for one in self.events if one.over), key=lambda one: one.began, reverse=True)
        return [
            (day, [*found]) for day, found in groupby(over, key=lambda one: f"{one.began.astimezone(UTC):%Y-%m-%d}")
        ]


class _Page:
    def __init__(self, pool: "ConnectionPool[Any]", settings: Settings) -> None:
        self._pool = pool
        self._names = sorted({service.status_component for service in settings.services.values()})
        self.product = next((one.customers.product or name for name, one in settings.services.items()), "Services")
        self._turn = asyncio.Lock()
        self._told: Told | None = None
        self._read_at = -_KEPT_FOR

    async def told(self) -> tuple[Told | None, bool]:
        """Give what is told, and whether it is as of now."""
        async with self._turn:
            fresh = time.monotonic() - self._read_at < _KEPT_FOR
            if not fresh:
                try:
                    self._told = await asyncio.to_thread(self._read)
                    fresh = True
                except (psycopg.Error, PoolTimeout) as error:
                    _log.warning("the status page can't be read", why=type(error).__name__)
                    self._read_at = time.monotonic() - _KEPT_FOR / 2  # not at every request
                    return self._told, False
                self._read_at = time.monotonic()
            return self._told, fresh and self._told is not None and datetime.now(UTC) - self._told.at < 2 * _HALF_MINUTE

    def _read(self) -> Told:
        with self._pool.connection() as connection, connection.cursor(row_factory=dict_row) as rows:
            shown = {row["component"]: row for row in rows.execute(_COMPONENTS).fetchall()}
            since = datetime.now(UTC) - _HISTORY
            incidents = rows.execute(_INCIDENTS, {"since": since, "most": _MOST}).fetchall()
            windows = rows.execute(_WINDOWS, {"since": since, "most": _MOST}).fetchall()
        names = dict.fromkeys([*self._names, *sorted(shown)])
        return Told(
            components=tuple(_component(name, shown.get(name)) for name in names),
            events=(*_events("incident", incidents), *_events("maintenance", windows)),
            at=datetime.now(UTC),
        )


_HALF_MINUTE = timedelta(seconds=30)
_COMPONENTS = "SELECT component, shows::text AS shows, message, since FROM runbooks.status_page"
_INCIDENTS = """
SELECT u.incident_id AS key, u.component, u.title, u.status, u.message, u.at, NULL::timestamptz AS starts_at,
       NULL::timestamptz AS ends_at
FROM runbooks.status_updates AS u
JOIN (
    SELECT DISTINCT ON (incident_id, component) incident_id, component, status, at
    FROM runbooks.status_updates ORDER BY incident_id, component, id DESC
) AS latest USING (incident_id, component)
WHERE latest.status <> 'Resolved' OR latest.at >= %(since)s
ORDER BY latest.at DESC, u.incident_id, u.component, u.id DESC LIMIT %(most)s
"""
_WINDOWS = """
SELECT n.window_id AS key, n.component, n.title, n.status, n.message, n.at, n.starts_at, n.ends_at
FROM runbooks.maintenance_notices AS n
JOIN (
    SELECT DISTINCT ON (window_id, component) window_id, component, status, at
    FROM runbooks.maintenance_notices ORDER BY window_id, component, id DESC
) AS latest USING (window_id, component)
WHERE latest.status <> 'Completed' OR latest.at >= %(since)s
ORDER BY latest.at DESC, n.window_id, n.component, n.id DESC LIMIT %(most)s
"""


def _component(name: str, row: dict[str, Any] | None) -> Component:
    if row is None:
        return Component(name, "operational", _WORDS["operational"], "", None)
    told = row["shows"] != "operational"
    return Component(
        name, row["shows"], _WORDS[row["shows"]], row["message"] if told else "", row["since"] if told else None
    )


def _events(kind: str, rows: list[dict[str, Any]]) -> list[Event]:
    found = []
    for (key, component), some in groupby(rows, key=lambda row: (row["key"], row["component"])):
        said = [*some]
        newest = said[0]
        found.append(
            Event(
                key=str(uuid.uuid5(_NAMESPACE, f"{kind} {key} {component}")),
                kind=kind,
                title=newest["title"],
                component=component,
                starts_at=newest["starts_at"],
                ends_at=newest["ends_at"],
                said=tuple(Said(row["status"], row["message"], row["at"]) for row in said),
            )
        )
    return found


def application(pool: "ConnectionPool[Any]", settings: Settings) -> Starlette:
    """Put the public page together; `runbooks status-page` serves it alone, the operators' page beside its own."""
    page = _Page(pool, settings)

    async def html(request: Request) -> Response:
        told, fresh = await page.told()
        if told is None:
            body = ENVIRONMENT.get_template("public.html.j2").render(told=None, fresh=False, product=page.product)
            return Response(
                body, HTTPStatus.SERVICE_UNAVAILABLE, {**_HEADERS, "Cache-Control": "no-store"}, "text/html"
            )
        body = ENVIRONMENT.get_template("public.html.j2").render(told=told, fresh=fresh, product=page.product)
        return _cached(request, body, "text/html")

    async def atom(request: Request) -> Response:
        told, _ = await page.told()
        if told is None:
            return PlainTextResponse(
                "not now: try again in a minute", HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "60"}
            )
        address = str(request.url.replace(query="")).removesuffix("feed.atom")
        return _cached(request, feed(told, page.product, address), "application/atom+xml")

    return Starlette(
        routes=[
            Route("/", html),
            Route("/feed.atom", atom),
            Route("/healthz", lambda _: PlainTextResponse("ok")),
            *(Route(f"/{name}", _file(name, kind)) for name, kind in _FILES.items()),
        ]
    )


_FILES = {"page.css": "text/css", "times.js": "text/javascript"}


def _file(name: str, kind: str) -> Any:
    content = files("starters.web").joinpath("static", name).read_text(encoding="utf-8")

    async def serve(_: Request) -> Response:
        return Response(content, HTTPStatus.OK, {**_HEADERS, "Cache-Control": "public, max-age=3600"}, kind)

    return serve


def _cached(request: Request, body: str, kind: str) -> Response:
    mark = f'"{hashlib.sha256(body.encode()).hexdigest()[:20]}"'
    headers = {**_HEADERS, "Cache-Control": _CACHE, "ETag": mark}
    if mark in request.headers.get("if-none-match", ""):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(body, HTTPStatus.OK, headers, kind)


def feed(told: Told, product: str, address: str) -> str:
    """Write the Atom feed (RFC 4287): an entry for each thing that was published, the newest first."""
    ET.register_namespace("", "http://www.w3.org/2005/Atom")
    root = ET.Element("{http://www.w3.org/2005/Atom}feed")
    entries = sorted(
        ((event, said) for event in told.events for said in event.said), key=lambda one: one[1].at, reverse=True
    )[:_FEED_ENTRIES]
    _add(root, "id", f"urn:uuid:{uuid.uuid5(_NAMESPACE, address)}")
    _add(root, "title", f"{product} status")
    _add(root, "updated", _iso(entries[0][1].at if entries else told.at))
    _add(root, "link", "", href=address, rel="alternate")
    _add(root, "link", "", href=f"{address}feed.atom", rel="self")
    _add(_add(root, "author", ""), "name", f"{product} operations")
    for event, said in entries:
        entry = _add(root, "entry", "")
        _add(entry, "id", f"urn:uuid:{uuid.uuid5(_NAMESPACE, f'{event.key} {said.status} {said.at.isoformat()}')}")
        _add(entry, "title", f"{said.status}: {event.title}")
        _add(entry, "updated", _iso(said.at))
        _add(entry, "link", "", href=f"{address}#{event.key}", rel="alternate")
        _add(entry, "content", said.message, type="text")
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode")


def _add(parent: ET.Element, name: str, text: str, **attributes: str) -> ET.Element:
    one = ET.SubElement(parent, f"{{http://www.w3.org/2005/Atom}}{name}", attributes)
    one.text = clean(text) or None
    return one


def _iso(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
