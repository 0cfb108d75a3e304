"""A P1's run is terminated: everybody hears once that nobody looks after it, and nothing is called resolved."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import psycopg
import pytest
import tomli_w
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle

from activities.common.effects import Effect
from activities.messages.chat.chat import PostMessage
from activities.messages.chat.records import RecordsChat
from activities.messages.paging.paging import PageOnCall
from activities.messages.paging.records import RecordsPager
from activities.messages.status_page.records import RecordsStatusPage
from activities.messages.status_page.status_page import UpdateStatusPage
from activities.records.activities import Records
from activities.records.incidents import CloseIncident, CreateIncident
from records_schema.pool import connect_pool
from tests.crash import worker
from tests.crash.forks import Fork
from tests.crash.harness import ended, in_time, prepared
from tests.crash.leftovers import reset, sweep
from tests.crash.people import tell, when, whenever
from tests.crash.scenario import Case, Servers
from tests.crash.scenarios.p1_incident import CLOSING, P1Scenario
from tests.plugins.patience import HANGS
from workers.clients import connect
from workers.settings import TemporalSettings
from workflows.incident_response.p1_incident import P1Incident
from workflows.platform.signing import digest
from workflows.shared.incident import NO_MORE_UPDATES, RESOLVED

KILLS = (
    "LeaveIncident/leave:before",
    *(f"LeaveIncident/{step}:after" for step in ("leave", "resolve-page", "page", "status-page", "tell")),
    *(f"EndLeftIncident/{step}:after" for step in ("resolve-page", "status-page", "end")),
)
_AT_A_TIME = 3


class LeftP1Scenario(P1Scenario):
    name = "p1-left"
    leaves: ClassVar = {}

    def policy(self, case: Case) -> dict[str, Any]:
        """Nothing is done before people say so; the public hears of it at once."""
        return {
            "incident": {
                "mitigation": "approve",
                "mitigate_within": "PT1S",
                "steady_for": "PT1S",
                "verify_timeout": "PT5M",
            },
            "status_component": case.namespace,
        }


class Left:
    """What the records have of one service."""

    def __init__(self, case: Case) -> None:
        self._case = case

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._case.servers.records) as connection:
            return connection.execute(query, {"service": self._case.namespace}).fetchall()

    @property
    def incidents(self) -> list[tuple[str, str]]:
        """Number and status, the oldest first."""
        return self._rows(
            "SELECT incident_id, status FROM runbooks.incidents WHERE service = %(service)s ORDER BY opened_at"
        )

    def pages(self, incident: str) -> list[tuple[int, str, bool]]:
        """Level, text, and whether it is open."""
        found = self._rows(
            "SELECT incident_id, level, summary, resolved_at IS NULL FROM runbooks.pages WHERE service = %(service)s "
            "ORDER BY id"
        )
        return [(level, summary, is_open) for of, level, summary, is_open in found if of == incident]

    def published(self, incident: str) -> list[tuple[str, str]]:
        """What was said of it on the public page."""
        found = self._rows(
            "SELECT incident_id, status, message FROM runbooks.status_updates WHERE component = %(service)s ORDER BY id"
        )
        return [(status, message) for of, status, message in found if of == incident]

    def notes(self, incident: str) -> list[str]:
        found = self._rows(
            "SELECT n.incident_id, n.text FROM runbooks.incident_notes n JOIN runbooks.incidents i USING (incident_id) "
            "WHERE i.service = %(service)s ORDER BY n.id"
        )
        return [text for of, text in found if of == incident and "Nobody looks after" in text]

    def told(self, incident: str) -> list[tuple[str, bool]]:
        """What the channel heard of that, and whether it stands in a thread."""
        found = self._rows("SELECT text, thread IS NOT NULL FROM runbooks.messages")
        return [(text, threaded) for text, threaded in found if f"Nobody looks after {incident}" in text]

    @property
    def shows(self) -> str:
        found = self._rows("SELECT shows::text FROM runbooks.status_page WHERE component = %(service)s")
        return str(found[0][0]) if found else ""


async def over(client: Client, *workflow_ids: str) -> None:
    for workflow_id in workflow_ids:
        await client.get_workflow_handle(workflow_id).result()


@contextlib.asynccontextmanager
async def world(scenario: P1Scenario, case: Case) -> AsyncIterator[tuple[Client, Any]]:
    client = await connect(TemporalSettings(address=case.servers.temporal))
    async with prepared(scenario, client, case) as start:
        process = worker.start(case)
        try:
            async with in_time(client, case):
                yield client, start
        finally:
            process.kill()


async def published(left: Left, number: str) -> None:
    async with asyncio.timeout(HANGS):
        while not left.published(number):
            await asyncio.sleep(0.2)


@pytest.mark.timeout(600)
def test_a_terminated_p1_is_left_and_told_of_once_and_another_one_ends_it(crash_servers: Servers) -> None:
    case = Case("p1-left", crash_servers, crash_servers.directory / "p1-left")
    left = Left(case)

    async def trial() -> None:
        async with world(LeftP1Scenario(), case) as (client, start):
            first = await start()
            await when(first, lambda status: bool(status.questions))
            ((old, status),) = left.incidents
            await published(left, old)
            assert (status, left.shows) == ("open", "major_outage")
            assert (await sweep(client, case)).incidents == [], "its run looks after it"

            await first.terminate(reason="the wrong click")
            second = await start()  # an alert that still fires does that
            await when(second, lambda status: bool(status.questions))
            found = await until_found(client, case)
            await over(client, f"leave-incident/{old}")
            for _ in range(2):
                assert (await sweep(client, case)).incidents == []
            assert len(found) == 1
            assert f"its run {case.workflow_id} was terminated at " in found[0]
            assert "the wrong click" in found[0]

            new = told_of(left, old, found)

            # A reset ends a run as a termination does; but another one goes on.
            again = await reset(client, second)
            await when(again, lambda status: bool(status.questions))
            await asyncio.sleep(11)  # past the time after which one that has ended counts as left
            assert (await sweep(client, case)).incidents == []
            assert left.incidents[-1] == (new, "open")

            await restored(again)
            await tell(again, P1Incident.close, CLOSING)
            await ended(LeftP1Scenario(), again)
            await sweep(client, case)
            await over(client, f"end-left-incident/{old}")
            assert not any(is_open for *_, is_open in left.pages(old))
            assert left.published(old)[-1] == ("Resolved", RESOLVED)
            assert left.shows == "operational"
            assert left.incidents == [(old, "cancelled"), (new, "closed")]
            await sweep(client, case)
            assert len(left.published(old)) == len(set(left.published(old))) == 3
            described = await client.get_workflow_handle(f"end-left-incident/{old}").describe()
            assert described.status is WorkflowExecutionStatus.COMPLETED

    asyncio.run(trial())


def told_of(left: Left, old: str, found: list[str]) -> str:
    """Check what everybody has heard of the old one, and that the new one isn't touched; gives its number."""
    new: str
    (_, was), (new, now) = left.incidents
    assert (was, now) == ("cancelled", "open"), "the second run's is another one"
    assert left.notes(old) == found
    assert left.pages(old)
    assert not any(is_open for *_, is_open in left.pages(old)), "the new one has paged"
    ((said, threaded),) = left.told(old)
    assert threaded
    assert "may still be down" in said
    assert f"Go on with P1 {new}, which is open" in said
    assert left.published(old)[-1] == ("Investigating", NO_MORE_UPDATES)
    assert left.shows == "major_outage"
    assert left.told(new) == []
    assert left.notes(new) == []
    return new


async def until_found(client: Client, case: Case) -> list[str]:
    """Sweep, two at once, until one has found something; gives all that was found."""
    async with asyncio.timeout(HANGS):
        while True:
            found = [
                text
                for result in await asyncio.gather(sweep(client, case), sweep(client, case))
                for text in result.incidents
            ]
            if found:
                return found
            await asyncio.sleep(0.5)


async def restored(handle: WorkflowHandle[Any, Any]) -> None:
    """Have it rolled back, until it can be closed."""
    answering = asyncio.create_task(whenever(handle, "rollback", role="commander"))
    try:
        await when(handle, lambda status: status.waiting_for == "close")
    finally:
        answering.cancel()


# -- a worker is killed at it ----------------------------------------------------------------------------------


@pytest.mark.timeout(600)
def test_whoever_is_killed_at_it_each_effect_is_there_once(crash_servers: Servers) -> None:
    async def trial() -> list[str]:
        room = asyncio.Semaphore(_AT_A_TIME)
        verdicts = await asyncio.gather(*(_killed(crash_servers, kill, room) for kill in KILLS))
        return [verdict for verdict in verdicts if verdict]

    assert asyncio.run(trial()) == []


async def _killed(servers: Servers, kill: str, room: asyncio.Semaphore) -> str:
    """Have an incident left, and ended when a later one is closed; gives what is wrong then."""
    name = "left-" + re.sub("[^a-z]+", "-", kill.lower())
    case = Case(name, servers, servers.directory / name)
    async with room:
        case.directory.mkdir()
        case.config.write_text(tomli_w.dumps(_settings(case)), encoding="utf-8")
        client = await connect(TemporalSettings(address=servers.temporal))
        dying = worker.start(case, kill)
        after = asyncio.create_task(_after(case, dying))
        try:
            async with in_time(client, case):
                left = Left(case)
                number = await asyncio.to_thread(_opened, case, "left", datetime.now(UTC) - timedelta(hours=1))
                await sweep(client, case)
                await over(client, f"leave-incident/{number}")
                await asyncio.to_thread(_closed, case, "later")
                await sweep(client, case)
                await over(client, f"end-left-incident/{number}")
        finally:
            after.cancel()
            await asyncio.gather(after, return_exceptions=True)
            dying.kill()
    found = {
        "killed": case.mark.exists(),
        "incidents": left.incidents[0][1],
        "notes": len(left.notes(number)),
        "told": [threaded for _, threaded in left.told(number)],
        "pages": [(level, is_open) for level, _, is_open in left.pages(number)],
        "published": [status for status, _ in left.published(number)],
    }
    wanted = {
        "killed": True,
        "incidents": "cancelled",
        "notes": 1,
        "told": [True],
        "pages": [(1, False), (1, False)],
        "published": ["Identified", "Identified", "Resolved"],
    }
    return "" if found == wanted else f"{kill}: {found}"


async def _after(case: Case, dying: Fork) -> None:
    await dying.ended()
    process = worker.start(case)
    try:
        await process.ended()
    finally:
        process.kill()


def _settings(case: Case) -> dict[str, Any]:
    return {
        "temporal": {"address": case.servers.temporal, "task_queue": case.task_queue},
        "worker": {"workflow_sandbox": True, "dead_worker_keeps_runs": "PT3S", "heartbeat_throttle": "PT0.5S"},
        "records": {"url": case.servers.records, "pool_size": 4},
        "kubernetes": {"kubeconfig": str(case.servers.kubeconfig)},
        "observability": {"log_format": "console"},
        "services": {
            case.namespace: {
                "namespace": case.namespace,
                "deployment": "api",
                "selector": "app=api",
                "health_url": "http://127.0.0.1:1/health",
                "status_component": case.namespace,
            }
        },
    }


def _opened(case: Case, part: str, at: datetime) -> str:
    """Write what a run has written that Temporal doesn't know any more."""
    number = f"INC-{at:%Y%m%d-%H%M%S}-{digest([case.name, part])[:6]}"

    def effect(step: str) -> Effect:
        return Effect(key=f"{number}-run/first/{step}", workflow_id=f"{number}-run", run_id="first", actor="ada")

    with connect_pool(case.servers.records) as pool:
        Records(pool).create_incident(
            CreateIncident(
                incident_id=number,
                severity="P1",
                title="API down",
                service=case.namespace,
                commander="ada",
                opened_at=at,
                effect=effect("create-incident"),
            )
        )
        RecordsChat(pool).post(PostMessage(channel="#incidents", text="API down", effect=effect("post-opened")))
        page = PageOnCall(
            incident_id=number,
            service=case.namespace,
            severity="P1",
            rotation="primary",
            summary="API down",
            effect=effect("page-level-1"),
        )
        RecordsPager(pool).page(page)
        public = UpdateStatusPage(
            component=case.namespace,
            incident_id=number,
            title="API: service disruption",
            status="Identified",
            message="Issue identified",
            effect=effect("status-page-identified"),
        )
        RecordsStatusPage(pool).update(public)
    return number


def _closed(case: Case, part: str) -> None:
    """Write that a later incident of the service was opened and closed."""
    number = _opened(case, part, datetime.now(UTC))
    with connect_pool(case.servers.records) as pool:
        close = CloseIncident(
            incident_id=number,
            at=datetime.now(UTC),
            closed_by="ada",
            resolution="Rolled back",
            root_cause="v1.2.4",
            effect=Effect(key=f"{number}-run/first/close", workflow_id=f"{number}-run", run_id="first", actor="ada"),
        )
        Records(pool).close_incident(close)
