"""What is looked at: Now, a run, the runbook, search, the record and the month's report."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any

from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route
from temporalio.client import WorkflowExecution, WorkflowExecutionStatus
from temporalio.service import RPCError

from starters.steering import runs
from starters.steering.finding import find
from starters.steering.inputs import OF_RUNS
from starters.steering.listing import Listed, Wanted, executions, may, row_of
from starters.steering.wording import Word, words_of
from starters.web import forms
from starters.web.archive import Archive
from starters.web.board import Board, Snapshot
from starters.web.durations import Durations, Past
from starters.web.guarding import DOCUMENT_POLICY
from starters.web.live import Hub, Parts, Seen, event, see, together
from starters.web.place import Part, Place, not_there, part
from starters.web.visitor import Visitor
from workers.registry import PROCEDURES, Procedure
from workers.registry import procedure as procedure_of
from workflows.platform.search_attributes import INCIDENT

SIGNED = ("who", "role", "issued_at", "nonce", "signature")
"""What the page fills in itself: who speaks is who has signed in."""

_FOUND = 1000
_SHOWN = 200
"""So many of them at first: to write a thousand rows takes longer than to find them."""

_FIRST = 20
"""Rows of each group that a page begins with; it asks for all of them when it is there."""

_FRESH = timedelta(seconds=10)
"""So old may be what stands on Now, which is looked at every two seconds, to be searched."""

_ENDED_KEPT = 5000
"""Rows of ended runs that aren't read again."""

_RECENT = 20
_WITHIN = 8.0
_STILL_HERE = 15.0
_STREAM = {"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
_SMALLER = [Middleware(GZipMiddleware, minimum_size=4096, compresslevel=1)]
"""A thousand runs are 400 KB, and 20 so; a phone gets them whenever one of them has gone on. No secret is in it."""
_FIRST_WORDS = ("close", "extend", "resume", "take-over", "hand-back")
"""What is said most often stands first."""


@dataclass(frozen=True)
class Groups:
    """What is open, in the order in which somebody at 03:00 needs it."""

    mine: list[Listed]
    incidents: list[Listed]
    others: list[Listed]
    held: list[tuple[Listed, str, datetime]]
    rest: list[Listed]


def grouped(now: Snapshot, visitor: Visitor) -> Groups:
    """Sort what is open for one visitor; each run stands in one place, holds beside it."""
    mine, incidents, others, rest = [], [], [], []
    for row in now.rows:
        if row.waiting_for and set(row.roles) & set(visitor.roles):
            mine.append(row)
        elif row.incident and row.severity in {"P1", "P2"}:
            incidents.append(row)
        elif row.waiting_for:
            others.append(row)
        else:
            rest.append(row)
    last = datetime.max.replace(tzinfo=UTC)
    for rows in (mine, incidents, others):
        rows.sort(key=lambda row: (row.severity or "P9", row.waiting_until or row.clock_due_at or last))
    held = [
        (row, lease.name, lease.until)
        for row in now.rows
        if (status := now.statuses.get(row.run_id)) is not None
        for lease in status.leases
    ]
    return Groups(mine, incidents, others, sorted(held, key=lambda one: one[2]), rest)


def incidents(now: Snapshot) -> list[Listed]:
    """Give the open incidents: of each the run that began first, the worst on top."""
    found: dict[str, Listed] = {}
    for row in sorted(now.rows, key=lambda row: row.started_at):
        if row.incident and row.severity in {"P1", "P2"} and not row.dry_run:
            found.setdefault(row.incident, row)
    return sorted(found.values(), key=lambda row: (row.severity, row.started_at))


class Pages:
    """The routes."""

    def __init__(self, place: Place, board: Board, archive: Archive) -> None:
        self._place, self._board, self._archive = place, board, archive
        self.hub = Hub(place.session, self._parts)
        self._durations = Durations(place.session)
        self._listed_at = -1
        self._listings: dict[tuple[str | int | None, ...], str] = {}
        self._ended: dict[str, Listed] = {}
        self._incidents_at = -1
        self._open_incidents: list[Listed] = []
        self._own: dict[str, str] = {}
        """Run ID → its incident, of what is open."""

    def routes(self) -> list[Route]:
        """Give them."""
        return [
            Route("/", self._now),
            Route("/now", self._open, middleware=_SMALLER),
            Route("/live/now", self._now_live),
            Route("/live/session", self._session),
            Route("/run", self._run),
            Route("/live/run", self._run_live),
            Route("/pictures", self._pictures),
            Route("/picture.svg", self._picture),
            Route("/record", self._record),
            Route("/runbook", self._runbook),
            Route("/runbook/{command}", self._procedure),
            Route("/past", self._past_rows),
            Route("/search", self._search),
            Route("/archive", self._archived),
            Route("/report", self._report),
        ]

    # -- Now ------------------------------------------------------------------------------------------------

    async def _now(self, request: Request) -> Response:
        visitor = self._place.visitor(request)
        now = await self._board.latest()
        waits = len(grouped(now, visitor).mine)
        listed = self._listing(now, visitor, first=_FIRST)
        records = _of_records(now)
        return self._place.shown(request, "now.html.j2", visitor, waits=waits, open=listed, records=records)

    def _listing(self, now: Snapshot, visitor: Visitor, *, first: int | None = None) -> str:
        """Make the list once for all who have the same roles; `first`: so many of each group."""
        if now.number != self._listed_at:
            self._listed_at, self._listings = now.number, {}
        key = (first, *sorted(visitor.roles))
        if key not in self._listings:
            self._listings[key] = part("_open.html.j2", board=now, groups=grouped(now, visitor), first=first).html
        return self._listings[key]

    async def _open(self, request: Request) -> Response:
        visitor = self._place.visitor(request)
        now = await self._board.latest()
        return HTMLResponse(self._listing(now, visitor))

    async def _now_live(self, request: Request) -> Response:
        visitor = self._place.visitor(request)

        async def events() -> AsyncIterator[str]:
            now = self._board.now
            yield event("records", _of_records(now))
            while datetime.now(UTC) < visitor.until:
                try:
                    async with asyncio.timeout(_STILL_HERE):
                        now = await self._board.after(now.number)
                    yield f"event: open\ndata: {now.number}\n\n"
                    yield event("records", _of_records(now))
                except TimeoutError:
                    yield ": still here\n\n"

        return StreamingResponse(events(), headers=_STREAM)

    async def _session(self, request: Request) -> Response:
        """Tell a page that has lost what is live whether its session has ended."""
        self._place.visitor(request)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    # -- a run ----------------------------------------------------------------------------------------------

    async def _find(self, request: Request) -> runs.Run:
        workflow_id, run_id = request.query_params.get("id", ""), request.query_params.get("run", "")
        async with asyncio.timeout(_WITHIN):
            found = await runs.describe(self._place.session, workflow_id, run_id or None) if workflow_id else None
            if found is None and workflow_id and not run_id:
                return await find(self._place.session, workflow_id)
        if found is None:
            not_there(f"Temporal has no run {workflow_id or 'without a name'} (any more). The archive may have it.")
        return found

    async def _run(self, request: Request) -> Response:
        visitor = self._place.visitor(request)
        run = await self._find(request)
        seen, past = await asyncio.gather(see(run), self._typical(run))
        return self._place.shown(
            request,
            "run.html.j2",
            visitor,
            run=run,
            seen=seen,
            parts={**self._parts(seen), "incidents": self._incidents(run)},
            past=past,
            procedure=_known(run.description.workflow_type),
        )

    async def _typical(self, run: runs.Run) -> Past | None:
        procedure = _known(run.description.workflow_type)
        try:
            return await self._durations.of(procedure) if procedure else None
        except (RPCError, RuntimeError, TimeoutError):
            return None

    def _parts(self, seen: Seen) -> Parts:
        status, run = seen.status, seen.run
        procedure = _known(run.description.workflow_type)
        words = _words(procedure, status.waiting_for) if procedure and status and run.running else []
        values: dict[str, Any] = {
            "seen": seen,
            "status": status,
            "run": run,
            "words": words,
            "fields": _word_fields,
            "roles": may(self._place.session.settings, status) if status else [],
        }
        return {
            name: part(f"_{name}.html.j2", **values)
            for name in ("trouble", "state", "questions", "clocks", "words", "timeline")
        }

    def _incidents(self, run: runs.Run) -> Part:
        """Tell of the open incidents that this run isn't about; Now knows them."""
        now = self._board.now
        if now.number != self._incidents_at:
            self._incidents_at, self._open_incidents = now.number, incidents(now)
            self._own = {row.run_id: row.incident for row in now.rows}
        run_id = run.description.run_id
        own = self._own.get(run_id) or run.description.typed_search_attributes.get(INCIDENT)
        others = [row for row in self._open_incidents if row.run_id != run_id and row.incident != own]
        return part("_incidents.html.j2", incidents=others)

    async def _run_live(self, request: Request) -> Response:
        visitor = self._place.visitor(request)
        run = await self._find(request)

        async def of_others() -> AsyncIterator[str]:
            shown = ""
            while True:
                number = self._board.now.number
                told = self._incidents(run)
                yield event("incidents", told) if told.mark != shown else ": still here\n\n"
                shown = told.mark
                with suppress(TimeoutError):
                    async with asyncio.timeout(_STILL_HERE):
                        await self._board.after(number)

        async def events() -> AsyncIterator[str]:
            # One connection for both: a browser opens six to a server. A run that is over has nothing more to say.
            both = [of_others(), self.hub.events(run)] if run.running else [of_others()]
            try:
                async with asyncio.timeout((visitor.until - datetime.now(UTC)).total_seconds()):
                    async for told in together(*both):
                        yield told
            except TimeoutError:
                return  # the session has ended: the page asks to sign in again

        return StreamingResponse(events(), headers=_STREAM)

    async def _pictures(self, request: Request) -> Response:
        self._place.visitor(request)
        run = await self._find(request)
        drawn = await self._archive.chart(run)
        return HTMLResponse(part("_pictures.html.j2", run=run, parts=range(len(drawn.parts)), says=drawn.says).html)

    async def _picture(self, request: Request) -> Response:
        self._place.visitor(request)
        drawn = await self._archive.chart(await self._find(request))
        number = request.query_params.get("part", "0")
        if number not in map(str, range(len(drawn.parts))):
            not_there("the picture has no such part")
        return Response(
            drawn.parts[int(number)],
            media_type="image/svg+xml",
            headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
        )

    async def _record(self, request: Request) -> Response:
        visitor = self._place.visitor(request)
        return _document(await self._archive.record(visitor.who, _reference(request)))

    # -- the runbook ----------------------------------------------------------------------------------------

    async def _runbook(self, request: Request) -> Response:
        visitor = self._place.visitor(request)
        return self._place.shown(request, "runbook.html.j2", visitor, procedures=PROCEDURES, lines=lines())

    async def _past_rows(self, request: Request) -> Response:
        """Say of one procedure how its past runs went; each row asks, so that the page itself waits for none."""
        self._place.visitor(request)
        try:
            past = await self._durations.of(_procedure(request.query_params.get("of", "")))
        except (RPCError, RuntimeError, TimeoutError):
            past = None
        return HTMLResponse(part("_past.html.j2", past=past).html)

    async def _procedure(self, request: Request) -> Response:
        visitor = self._place.visitor(request)
        procedure = _procedure(request.path_params["command"])
        try:
            past = await self._durations.of(procedure)
            async with asyncio.timeout(_WITHIN):
                recent = await self._listed(Wanted(procedure=procedure, limit=_RECENT))
        except (RPCError, RuntimeError, TimeoutError):
            past, recent = None, None
        return self._place.shown(
            request,
            "procedure.html.j2",
            visitor,
            procedure=procedure,
            lines=lines()[procedure.section],
            past=past,
            recent=recent,
            does=(procedure.workflow.__doc__ or "").strip(),
            trouble="",
            fields=start_fields(procedure, {}, self._place.session.settings.services),
        )

    # -- what has been --------------------------------------------------------------------------------------

    async def _search(self, request: Request) -> Response:
        visitor = self._place.visitor(request)
        asked = {
            name: request.query_params.get(name, "").strip()[:200] for name in ("q", "service", "procedure", "state")
        }
        trouble, rows = "", []
        try:
            async with asyncio.timeout(_WITHIN):
                rows = await self._matching(asked)
        except (RPCError, RuntimeError, TimeoutError):
            trouble = "Temporal does not answer: only the archive can be searched"
        shown = len(rows) if request.query_params.get("all") else _SHOWN
        values: dict[str, Any] = {"rows": rows, "shown": shown, "asked": asked, "trouble": trouble, "most": _FOUND}
        if request.headers.get("hx-target") == "found":
            return HTMLResponse(part("_found.html.j2", **values).html)
        return self._place.shown(request, "search.html.j2", visitor, procedures=PROCEDURES, **values)

    async def _matching(self, asked: dict[str, str]) -> list[Listed]:
        """Give what is open, then what has ended, each the newest first."""
        wanted = Wanted(
            service=asked["service"],
            procedure=_procedure(asked["procedure"]) if asked["procedure"] else None,
            limit=_FOUND,
        )
        rows = [] if asked["state"] == "ended" else await self._open_ones(wanted)
        if asked["state"] != "open":
            rows += await self._listed(wanted, running=False)
        text = asked["q"].casefold()
        found = [row for row in rows if not text or any(text in part_.casefold() for part_ in _searched(row))]
        return found[:_FOUND]

    async def _open_ones(self, wanted: Wanted) -> list[Listed]:
        """Give open runs: as they stand on Now, unless that is old."""
        now = self._board.now
        if not now.trouble and now.at is not None and datetime.now(UTC) - now.at < _FRESH and not now.cut:
            command = wanted.procedure.command if wanted.procedure else ""
            fitting = (
                row for row in now.rows if wanted.service in {"", row.service} and command in {"", row.procedure}
            )
            return sorted(fitting, key=lambda row: row.started_at, reverse=True)
        return await self._listed(wanted, running=True)

    async def _listed(self, wanted: Wanted, *, running: bool | None = None) -> list[Listed]:
        found: list[Listed] = []
        async for one in executions(self._place.session, wanted, running=running):
            if len(found) >= wanted.limit:
                break
            found.append(self._ended.get(one.run_id) or await self._row(one))
        return found

    async def _row(self, one: WorkflowExecution) -> Listed:
        row = (await row_of(self._place.session, one, None)).model_copy(update={"answers": True})  # nobody has asked it
        if one.status is not WorkflowExecutionStatus.RUNNING:  # so it stays as it is
            if len(self._ended) >= _ENDED_KEPT:
                self._ended.clear()
            self._ended[one.run_id] = row
        return row

    async def _archived(self, request: Request) -> Response:
        visitor = self._place.visitor(request)
        asked = _asked(request, "q", "service", "procedure")
        stories, trouble = await self._archive.search(
            visitor.who,
            asked["q"],
            service=asked["service"],
            procedure=_procedure(asked["procedure"]).workflow_type if asked["procedure"] else "",
        )
        return HTMLResponse(part("_archived.html.j2", stories=stories, trouble=trouble, asked=any(asked.values())).html)

    async def _report(self, request: Request) -> Response:
        visitor = self._place.visitor(request)
        month = request.query_params.get("month", "") or f"{datetime.now(UTC):%Y-%m}"
        return _document(await self._archive.report(visitor.who, month, request.query_params.get("zone", "") or "UTC"))


def _of_records(now: Snapshot) -> Part:
    """Say what can't be known while the records are away."""
    return part("_records.html.j2", board=now)


def _asked(request: Request, *names: str) -> dict[str, str]:
    return {name: request.query_params.get(name, "").strip()[:200] for name in names}


def _reference(request: Request) -> str:
    workflow_id, run_id = request.query_params.get("id", ""), request.query_params.get("run", "")
    return f"{workflow_id}@{run_id}" if run_id else workflow_id


def _document(page: str) -> Response:
    return HTMLResponse(page, headers={"Content-Security-Policy": DOCUMENT_POLICY})


def _searched(row: Listed) -> tuple[str, ...]:
    return (row.name, row.workflow_id, row.run_id, row.title, row.service, row.incident, row.outcome, row.started_by)


def _known(workflow_type: str) -> Procedure | None:
    try:
        return procedure_of(workflow_type)
    except KeyError:
        return None


def _procedure(name: str) -> Procedure:
    found = _known(name)
    if found is None:
        not_there("the runbook has no such procedure")
    return found


def _words(procedure: Procedure, waiting_for: str) -> list[Word]:
    words = words_of(procedure)
    first = [waiting_for, *_FIRST_WORDS]
    return sorted(words.values(), key=lambda word: first.index(word.update) if word.update in first else len(first))


@cache
def _word_fields(word: Word) -> list[forms.Field]:
    return forms.fields(word.kind, leave_out=SIGNED)


FILLED_IN = ("requested_by", "dry_run", "alert")
"""Of a procedure's request: what the page says itself, or only the webhook can."""


def left_out(procedure: Procedure) -> tuple[str, ...]:
    """Name the fields of a request that people don't fill in: those, and what a run hands on to itself."""
    own = {name for name, info in procedure.request.model_fields.items() if name in OF_RUNS}
    return (*FILLED_IN, *sorted(own))


def start_fields(procedure: Procedure, given: dict[str, str], services: Any) -> list[forms.Field]:
    """Give the fields of a start form; the service is chosen from those there are."""
    found = forms.fields(procedure.request, leave_out=left_out(procedure), given=given)
    names = tuple(sorted(services))
    return [
        forms.Field(
            **{**vars(one), "kind": "choice", "choices": names, "default": names[0] if len(names) == 1 else one.default}
        )
        if one.name == "service" and names
        else one
        for one in found
    ]


@cache
def lines() -> dict[str, list[dict[str, Any]]]:
    """Give the runbook's page, line by line, by section: `python -m docs` writes it from the code."""
    text = files("starters.web").joinpath("runbook.json").read_text(encoding="utf-8")
    found: dict[str, list[dict[str, Any]]] = json.loads(text)
    return found
