"""Which open incidents nobody looks after, and what the records say of them then."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest
from psycopg_pool import ConnectionPool
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.catalogue.security import SecurityPolicy
from activities.catalogue.service import Service
from activities.common.effects import Effect
from activities.common.errors import Unavailable
from activities.holds.left_incidents import IncidentsLeft, Leave, LeftIncident, LookForLeftIncidents
from activities.records.activities import Records
from activities.records.incidents import CLOSED_UNWELL, CloseIncident, CreateIncident, MarkIncident, RaiseIncident
from activities.records.left_incidents import LEFT, LeftInRecords
from activities.records.security import OpenSecurityIncident, SecurityIncidents

NOW = datetime.now(UTC)
SERVICE = Service(
    namespace="n",
    deployment="api",
    selector="app=api",
    health_url="http://x",
    security=SecurityPolicy(channel="#security", on_call="security"),
)


def of(run: str, step: str, chain: str = "first") -> Effect:
    return Effect(key=f"{run}/{chain}/{step}", workflow_id=run, run_id=f"{chain}-run", actor="ada")


def opened(
    pool: ConnectionPool[Any], number: str, run: str, *, severity: Any = "P1", minutes: int = 0, chain: str = "first"
) -> None:
    Records(pool).create_incident(
        CreateIncident(
            incident_id=number,
            severity=severity,
            title="API down",
            service="api",
            commander="grace",
            opened_at=NOW + timedelta(minutes=minutes),
            effect=of(run, f"create-{number}", chain),
        )
    )


def closed(pool: ConnectionPool[Any], number: str, resolution: str = "Rolled back") -> None:
    close = CloseIncident(
        incident_id=number, at=NOW, closed_by="g", resolution=resolution, root_cause="c", effect=of("x", number)
    )
    Records(pool).close_incident(close)


class Temporal:
    """Answers what runs there are, by their names; the rest of a client is of no use here."""

    def __init__(self) -> None:
        self.status: dict[str, WorkflowExecutionStatus] = {}
        self.closed_at = NOW - timedelta(hours=1)
        self.chain = "first"
        self.carried: set[str] = set()
        self.away = False

    def get_workflow_handle(self, run: str, run_id: str | None = None) -> Any:
        async def describe() -> Any:
            if self.away:
                raise RPCError("nobody answers", RPCStatusCode.UNAVAILABLE, b"")
            if run not in self.status:
                raise RPCError("no such run", RPCStatusCode.NOT_FOUND, b"")
            status = self.status[run]
            if run_id is not None:
                status = WorkflowExecutionStatus.TERMINATED
            first = "first" if run_id is not None else self.chain
            raw = SimpleNamespace(workflow_execution_info=SimpleNamespace(first_run_id=first))
            at = None if status is WorkflowExecutionStatus.RUNNING else self.closed_at
            return SimpleNamespace(id=run, run_id=run_id, status=status, close_time=at, raw_description=raw)

        async def events(**_: Any) -> AsyncIterator[HistoryEvent]:
            event = HistoryEvent()
            if self.status[run] is WorkflowExecutionStatus.FAILED:
                event.workflow_execution_failed_event_attributes.failure.message = "no such service"
            else:
                event.workflow_execution_terminated_event_attributes.identity = "ada@ui"
                event.workflow_execution_terminated_event_attributes.reason = "<!channel> wrong click"
            yield event

        return SimpleNamespace(describe=describe, fetch_history_events=events)

    async def count_workflows(self, query: str) -> Any:
        return SimpleNamespace(count=sum(f'"{number}"' in query for number in self.carried))


@pytest.fixture
def temporal(monkeypatch: pytest.MonkeyPatch) -> Temporal:
    made = Temporal()
    monkeypatch.setattr("activities.holds.left_incidents.activity.client", lambda: cast("Client", made))
    return made


@pytest.fixture
def looking(records_pool: ConnectionPool[Any]) -> IncidentsLeft:
    return IncidentsLeft(LeftInRecords(records_pool), {"api": SERVICE})


async def found(looking: IncidentsLeft) -> dict[str, LeftIncident]:
    return {left.entry.incident_id: left for left in (await looking.look(LookForLeftIncidents())).items}


@pytest.mark.parametrize(
    ("status", "left"),
    [
        (WorkflowExecutionStatus.RUNNING, False),
        (WorkflowExecutionStatus.TERMINATED, True),
        (WorkflowExecutionStatus.FAILED, True),
        (WorkflowExecutionStatus.TIMED_OUT, True),
        (WorkflowExecutionStatus.CANCELED, True),
        (WorkflowExecutionStatus.COMPLETED, True),
        (None, True),
    ],
)
async def test_an_incident_is_left_when_its_run_has_ended(
    looking: IncidentsLeft,
    records_pool: ConnectionPool[Any],
    temporal: Temporal,
    status: WorkflowExecutionStatus | None,
    *,
    left: bool,
) -> None:
    opened(records_pool, "INC-1", "p1/api")
    temporal.status = {"p1/api": status} if status else {}
    assert bool(await found(looking)) is left


@pytest.mark.parametrize(
    ("status", "ago", "left"),
    [
        (WorkflowExecutionStatus.TERMINATED, timedelta(seconds=2), False),
        (WorkflowExecutionStatus.TERMINATED, timedelta(seconds=30), True),
        (WorkflowExecutionStatus.COMPLETED, timedelta(minutes=5), False),  # it has handed its incident on
        (WorkflowExecutionStatus.COMPLETED, timedelta(minutes=15), True),
    ],
)
async def test_who_goes_on_with_it_has_time_to_show_that(
    looking: IncidentsLeft,
    records_pool: ConnectionPool[Any],
    temporal: Temporal,
    status: WorkflowExecutionStatus,
    ago: timedelta,
    *,
    left: bool,
) -> None:
    opened(records_pool, "INC-1", "p1/api")
    temporal.status, temporal.closed_at = {"p1/api": status}, datetime.now(UTC) - ago
    assert bool(await found(looking)) is left


@pytest.mark.parametrize(("ago", "lately"), [(timedelta(hours=20), True), (timedelta(days=3), False)])
@pytest.mark.parametrize("known", [True, False])
async def test_it_is_said_whether_that_was_lately(
    looking: IncidentsLeft,
    records_pool: ConnectionPool[Any],
    temporal: Temporal,
    ago: timedelta,
    *,
    lately: bool,
    known: bool,
) -> None:
    opened(records_pool, "INC-1", "p1/api", minutes=-int(ago.total_seconds() // 60) if not known else -100_000)
    temporal.status = {"p1/api": WorkflowExecutionStatus.TERMINATED} if known else {}
    temporal.closed_at = NOW - ago
    assert (await found(looking))["INC-1"].lately is lately


async def test_another_run_of_the_same_id_does_not_look_after_it(
    looking: IncidentsLeft, records_pool: ConnectionPool[Any], temporal: Temporal
) -> None:
    opened(records_pool, "INC-old", "p1/api")
    opened(records_pool, "INC-new", "p1/api", minutes=5, chain="second")
    temporal.status, temporal.chain = {"p1/api": WorkflowExecutionStatus.RUNNING}, "second"
    (left,) = (await found(looking)).values()
    assert left.entry.incident_id == "INC-old"
    assert left.how.endswith("by ada@ui: <!channel> wrong click")


async def test_what_another_run_has_taken_over_is_left_to_it(
    looking: IncidentsLeft, records_pool: ConnectionPool[Any], temporal: Temporal
) -> None:
    opened(records_pool, "INC-1", "p2/api", severity="P2")
    temporal.status = {"p2/api": WorkflowExecutionStatus.TERMINATED, "p1/api": WorkflowExecutionStatus.RUNNING}
    temporal.carried = {"INC-1"}
    assert await found(looking) == {}
    temporal.carried = set()
    left = (await found(looking))["INC-1"]
    raised = RaiseIncident(incident_id="INC-1", severity="P1", effect=of("p1/api", "raise", "first"))
    Records(records_pool).raise_incident(raised)
    assert await found(looking) == {}, "the records say so by now"
    change = await looking.leave(Leave(left=left, at=NOW, effect=of("sweep", "leave")))
    assert (change.after, change.applied) == ("p1/api looks after it", False)


@pytest.mark.usefixtures("records_pool")
async def test_while_temporal_is_away_nothing_is_said_of_any(
    looking: IncidentsLeft, records_pool: ConnectionPool[Any], temporal: Temporal
) -> None:
    opened(records_pool, "INC-1", "p1/api")
    (left,) = (await found(looking)).values()
    temporal.away = True
    with pytest.raises(Unavailable):
        await found(looking)
    with pytest.raises(Unavailable):
        await looking.leave(Leave(left=left, at=NOW, effect=of("sweep", "leave")))


async def test_the_records_say_that_it_was_left_and_not_that_it_is_resolved(
    looking: IncidentsLeft,
    records_pool: ConnectionPool[Any],
    records_sql: psycopg.Connection[Any],
    temporal: Temporal,
) -> None:
    opened(records_pool, "INC-1", "p1/api")
    temporal.status = {"p1/api": WorkflowExecutionStatus.FAILED}
    (left,) = (await found(looking)).values()
    assert left.because.startswith("Nobody looks after INC-1 any more: its run p1/api failed at ")
    assert left.because.endswith(" UTC: no such service.")
    asked = Leave(left=left, at=NOW, effect=of("sweep", "leave"))
    change = await looking.leave(asked)
    assert (change.before, change.after, change.applied) == ("open", LEFT, True)
    again = await looking.leave(asked)
    assert (again.after, again.applied) == (LEFT, False)
    another = await looking.leave(asked.model_copy(update={"effect": of("sweep", "leave", "another")}))
    assert (another.after, another.applied) == ("cancelled", False)
    assert records_sql.execute(
        "SELECT status, closed_at, closed_by, resolution, cancelled_at FROM runbooks.incidents"
    ).fetchall() == [("cancelled", None, "", "", NOW)]
    assert records_sql.execute("SELECT author, text FROM runbooks.incident_notes").fetchall() == [
        ("runbook", left.because)
    ]


async def test_a_run_that_runs_again_keeps_its_incident(
    looking: IncidentsLeft, records_pool: ConnectionPool[Any], temporal: Temporal
) -> None:
    opened(records_pool, "INC-1", "p1/api")
    temporal.status = {"p1/api": WorkflowExecutionStatus.TERMINATED}
    (left,) = (await found(looking)).values()
    temporal.status = {"p1/api": WorkflowExecutionStatus.RUNNING}  # somebody has reset it
    change = await looking.leave(Leave(left=left, at=NOW, effect=of("sweep", "leave")))
    assert (change.after, change.applied) == ("left to its run", False)


async def test_it_is_ended_when_a_later_one_that_is_as_severe_is_closed_well(
    looking: IncidentsLeft, records_pool: ConnectionPool[Any], temporal: Temporal
) -> None:
    opened(records_pool, "INC-early", "early", minutes=-5)
    opened(records_pool, "INC-1", "p1/api")
    temporal.status = {"early": WorkflowExecutionStatus.RUNNING}
    (left,) = (await found(looking)).values()
    await looking.leave(Leave(left=left, at=NOW, effect=of("sweep", "leave")))

    async def behind() -> list[str]:
        return [one.entry.incident_id for one in (await looking.look(LookForLeftIncidents())).behind]

    closed(records_pool, "INC-early")
    opened(records_pool, "INC-2", "p2/api", severity="P2", minutes=5)
    closed(records_pool, "INC-2")
    opened(records_pool, "INC-3", "p1/api", minutes=10, chain="second")
    closed(records_pool, "INC-3", f"Gave up ({CLOSED_UNWELL}: HTTP 503)")
    assert await behind() == []
    opened(records_pool, "INC-4", "p1/api", minutes=15, chain="third")
    closed(records_pool, "INC-4")
    assert await behind() == ["INC-1"]


async def test_what_a_run_or_a_person_has_cancelled_itself_is_none(
    looking: IncidentsLeft, records_pool: ConnectionPool[Any], temporal: Temporal
) -> None:
    del temporal
    opened(records_pool, "INC-1", "p1/api")
    cancelled = MarkIncident(incident_id="INC-1", milestone="cancelled", at=NOW, effect=of("p1/api", "cancelled"))
    Records(records_pool).mark_incident(cancelled)
    opened(records_pool, "INC-2", "p1/api", minutes=5)
    closed(records_pool, "INC-2")
    look = await looking.look(LookForLeftIncidents())
    assert (look.items, look.behind, look.open) == ([], [], 0)


async def test_a_security_incident_is_ended_without_a_word_of_what_it_is_about(
    looking: IncidentsLeft,
    records_pool: ConnectionPool[Any],
    records_sql: psycopg.Connection[Any],
    temporal: Temporal,
) -> None:
    temporal.status = {"sec": WorkflowExecutionStatus.TERMINATED}
    opening = OpenSecurityIncident(
        incident_id="SEC-1",
        service="api",
        severity="critical",
        type="potential-breach",
        findings="a stranger's shell",
        nodes=[],
        pods=[],
        aware_at=NOW,
        opened_at=NOW,
        effect=of("sec", "open"),
    )
    SecurityIncidents(records_pool).open(opening)
    left = (await found(looking))["SEC-1"]
    assert (left.channel, left.rotation, left.entry.severity) == ("#security", "security", "P1")
    assert left.anew == "runbooks start security-incident --set service=api"
    assert "shell" not in left.model_dump_json()
    asked = Leave(left=left, at=NOW, effect=of("sweep", "leave"))
    assert (await looking.leave(asked)).after == LEFT
    ((outcome,),) = records_sql.execute("SELECT outcome FROM runbooks.security_incidents").fetchall()
    assert outcome == left.because
    assert await found(looking) == {}
