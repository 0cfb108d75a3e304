"""What has been: pictures and records of runs, the archive, the month's report. Who reads is written down first."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from audit.live import fetch
from audit.payloads import Decoder
from audit.render import report as reporting
from audit.render import show
from audit.render.chart import BAND, INK, LINE, Chart, chart
from audit.report import Month
from audit.store import Store
from audit.store_connection import StoreError
from audit.store_filter import Filter
from audit.story import Story
from audit.text import shown
from records_schema.server import DatabaseError
from starters.past.family import family_of
from starters.past.reporting import count_month
from starters.past.room import Room
from starters.past.searching import Search
from starters.steering.errors import NoSuchRun, Unreachable, WrongInput
from starters.steering.runs import Run
from starters.steering.session import Session
from workers.codec import decrypting

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

_LATEST = 50
_KEPT = 64
_INK, _LINE, _BAND = "#e8ebf0", "#39404c", "#20252d"
"""What the chart's colours are in the dark."""
_log = structlog.get_logger(__name__)


def _for_both(svg: str) -> str:
    """Give a chart the colours of the page around it, in the light and in the dark."""
    light = f"--ink: {INK}; --line: {LINE}; --band: {BAND}"
    dark = f"--ink: {_INK}; --line: {_LINE}; --band: {_BAND}"
    style = f"<style>:root {{ {light} }} @media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}</style>"
    for colour, name in ((INK, "var(--ink)"), (LINE, "var(--line)"), (BAND, "var(--band)")):
        svg = svg.replace(colour, name)
    head, end, rest = svg.partition(">")
    while end and not head.rstrip().endswith("/") and "<svg" not in head:
        more, end, rest = rest.partition(">")
        head = f"{head}>{more}"
    return f"{head}>{style}{rest}"


class RecordsAway(Unreachable):
    """The records don't answer; Temporal may."""


class Archive:
    """Reads the archive with the page's own connection to the records."""

    def __init__(self, session: Session, pool: "ConnectionPool[Any]") -> None:
        self._session, self._pool = session, pool
        codec = decrypting(session.settings.temporal.payload_keys)
        self._decoder = Decoder(codec)
        self._codec = codec
        self._charts: dict[tuple[str, int], Chart] = {}
        self._drawing = asyncio.Lock()

    async def chart(self, run: Run) -> Chart:
        """Draw a run's timeline; what was drawn is kept until the run goes on."""
        key = (run.description.run_id, run.description.history_length)
        async with self._drawing:  # one at a time: it takes a core for half a second
            if key not in self._charts:
                story = (await fetch(self._session.client, run.workflow_id, run.description.run_id)).story(
                    self._decoder
                )
                drawn = await asyncio.to_thread(chart, story, datetime.now(UTC))
                parts = tuple(_for_both(part) for part in drawn.parts)
                self._charts = {**dict([*self._charts.items()][-_KEPT:]), key: Chart(parts, drawn.says)}
            return self._charts[key]

    async def record(self, who: str, reference: str) -> str:
        """Give a run's record, with all that belongs to it, as one page.

        Raises:
            NoSuchRun: neither Temporal nor the archive has it.
            RecordsAway: Temporal hasn't, and the archive can't be read.

        """
        async with self._room(who, "show", reference) as room:
            try:
                family = await family_of(room, reference)
            except NoSuchRun:
                if room.store is not None:
                    raise
                raise RecordsAway(
                    f"Temporal has no run {shown(reference)!r} (any more), and the records don't answer: "
                    "whether the archive has it is not known now"
                ) from None
        return await asyncio.to_thread(show.html, family, datetime.now(UTC))

    async def report(self, who: str, month: str, zone: str) -> str:
        """Count a month, as one page.

        Raises:
            WrongInput: there is no such month or zone.
            RecordsAway: the archive can't be read: what Temporal still has is no month.

        """
        try:
            asked = Month.of(month, zone)
        except ValueError as error:
            raise WrongInput(str(error)) from None
        async with self._room(who, "report", asked.name) as room:
            if room.store is None:
                raise RecordsAway("The records don't answer: without the archive a month can't be counted")
            counted = await count_month(room.search, room.settings, asked)
        return await asyncio.to_thread(reporting.html, counted)

    async def search(self, who: str, text: str, *, service: str, procedure: str) -> tuple[list[Story], str]:
        """Find what the archive has, the newest first; and what is wrong where it can't be read."""
        wanted = Filter(service=service, procedure=procedure)
        either = [wanted.model_copy(update={"incident": text}), wanted.model_copy(update={"workflow_id": text})]
        try:
            store = await asyncio.to_thread(self._store, who, "search", f"{text} {service} {procedure}".strip())
            search = Search(None, store, self._decoder)
            found: list[Story] = []
            for one in either if text else [wanted]:
                found += [each.story async for each in search.latest(one, _LATEST - len(found))]
        except (StoreError, DatabaseError):
            return [], "The archive can't be read now: the records don't answer"
        return found, ""

    def _store(self, who: str, action: str, what: str) -> Store:
        store = Store(self._pool, codec=self._codec)
        store.accessed(who, action, what)
        return store

    @asynccontextmanager
    async def _room(self, who: str, action: str, what: str) -> AsyncIterator[Room]:
        store: Store | None = None
        try:
            store = await asyncio.to_thread(self._store, who, action, what)
        except (StoreError, DatabaseError) as error:
            _log.warning("only what Temporal still has is read", why=str(error))
        try:
            yield Room(self._session.settings, self._session.client, store, self._decoder)
        except StoreError as error:
            raise RecordsAway(str(error)) from None
