from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg_pool import ConnectionPool
from temporalio.testing import ActivityEnvironment

from activities.common.effects import Change
from activities.common.errors import NotFound, Refused, Unavailable
from activities.records.activities import Records
from activities.records.alerts import AcknowledgeAlert, Alert, ResolveAlert
from activities.records.deployments import RecentDeploymentsRequest, RecordDeployment
from activities.records.incident_view import IncidentRequest
from activities.records.incidents import (
    CloseIncident,
    CreateIncident,
    MarkIncident,
    NoteIncident,
    RelapseIncident,
    SchedulePostMortem,
)
from activities.records.on_call import OnCallRequest
from tests.records_schema.fixtures import count, effect

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)


@pytest.fixture
def records(records_pool: ConnectionPool[Any]) -> Records:
    return Records(records_pool)


def create(step: str = "create", incident_id: str = "INC-1", **plan: bool) -> CreateIncident:
    return CreateIncident(
        incident_id=incident_id,
        severity="P1",
        title="API down",
        service="tensafe-server",
        commander="grace",
        opened_at=NOW,
        effect=effect(step, **plan),
    )


def acknowledge(
    step: str = "ack", fingerprint: str = "f1", incident_id: str = "INC-1", **plan: bool
) -> AcknowledgeAlert:
    alert = Alert(
        source="alertmanager",
        fingerprint=fingerprint,
        name="TensafeDown",
        starts_at=NOW,
        labels={"severity": "critical"},
        annotations={"summary": "down"},
    )
    return AcknowledgeAlert(
        alert=alert, incident_id=incident_id, service="tensafe-server", severity="P1", effect=effect(step, **plan)
    )


def resolve(step: str = "resolve", **plan: bool) -> ResolveAlert:
    return ResolveAlert(
        source="alertmanager",
        fingerprint="f1",
        starts_at=NOW,
        resolved_at=NOW + timedelta(minutes=5),
        notes="rolled back",
        effect=effect(step, **plan),
    )


def note(step: str = "note", text: str = "Root cause: v1.2.4", **plan: bool) -> NoteIncident:
    return NoteIncident(incident_id="INC-1", at=NOW, author="grace", text=text, effect=effect(step, **plan))


def mark(step: str, milestone: Any, minutes: int = 10, **plan: bool) -> MarkIncident:
    at = NOW + timedelta(minutes=minutes)
    return MarkIncident(incident_id="INC-1", milestone=milestone, at=at, effect=effect(step, **plan))


def close(step: str = "close", by: str = "grace", **plan: bool) -> CloseIncident:
    return CloseIncident(
        incident_id="INC-1",
        at=NOW + timedelta(hours=1),
        closed_by=by,
        resolution="rolled back",
        root_cause="bad image",
        effect=effect(step, **plan),
    )


def relapse(step: str = "relapse", **plan: bool) -> RelapseIncident:
    """It held from the tenth minute to the fifteenth."""
    return RelapseIncident(
        incident_id="INC-1",
        mitigated_at=NOW + timedelta(minutes=10),
        lost_at=NOW + timedelta(minutes=15),
        effect=effect(step, **plan),
    )


def post_mortem(step: str = "pm", **plan: bool) -> SchedulePostMortem:
    return SchedulePostMortem(
        incident_id="INC-1",
        scheduled_for=NOW + timedelta(days=1),
        draft_uri="file:///d.md",
        effect=effect(step, **plan),
    )


def deployment(status: Any, step: str, version: str = "v1.2.4", **plan: bool) -> RecordDeployment:
    return RecordDeployment(
        service="tensafe-server",
        version=version,
        status=status,
        at=datetime.now(UTC),
        deployer="ada",
        change_log="Fixed #123",
        effect=effect(step, **plan),
    )


# Each effect, what it needs to be there before, and the table it writes to.
EFFECTS: list[tuple[str, Any, str]] = [
    ("acknowledge_alert", acknowledge, "alerts"),
    ("resolve_alert", resolve, "alerts"),
    ("create_incident", create, "incidents"),
    ("note_incident", note, "incident_notes"),
    ("mark_incident", lambda **plan: mark("mark", "mitigated", **plan), "incidents"),
    ("relapse_incident", relapse, "incident_relapses"),
    ("close_incident", close, "incidents"),
    ("schedule_post_mortem", post_mortem, "post_mortems"),
    ("record_deployment", lambda **plan: deployment("started", "deploy", **plan), "deployments"),
]
each_effect = pytest.mark.parametrize(("method", "request_of", "table"), EFFECTS, ids=[name for name, _, _ in EFFECTS])


def prepare(records: Records, method: str) -> None:
    """Do what must be there before an effect."""
    if method in {"note_incident", "mark_incident", "relapse_incident", "close_incident", "schedule_post_mortem"}:
        records.create_incident(create("before"))
    if method == "resolve_alert":
        records.acknowledge_alert(acknowledge("before"))


def everything(sql: psycopg.Connection[Any]) -> list[Any]:
    tables = ["alerts", "incidents", "incident_relapses", "incident_notes", "post_mortems", "deployments", "audit_log"]
    return [sql.execute(f"SELECT * FROM runbooks.{table} ORDER BY 1").fetchall() for table in tables]


@each_effect
def test_done_twice_is_done_once(
    records: Records, records_sql: psycopg.Connection[Any], method: str, request_of: Any, table: str
) -> None:
    prepare(records, method)
    lines = count(records_sql, "audit_log")
    first: Change = getattr(records, method)(request_of())
    assert first.applied
    assert count(records_sql, "audit_log") == lines + 1
    after_first = everything(records_sql)
    second: Change = getattr(records, method)(request_of())
    assert not second.applied
    assert second.model_copy(update={"applied": True}) == first
    assert everything(records_sql) == after_first
    assert count(records_sql, table) == 1


@each_effect
def test_eight_attempts_at_once_are_one(
    records: Records, records_sql: psycopg.Connection[Any], method: str, request_of: Any, table: str
) -> None:
    prepare(records, method)
    lines = count(records_sql, "audit_log")
    with ThreadPoolExecutor(8) as threads:
        changes = list(threads.map(lambda _: getattr(records, method)(request_of()), range(8)))
    assert sorted(change.applied for change in changes) == [False] * 7 + [True]
    assert len({str(change) for change in changes}) == 1
    assert count(records_sql, table) == 1
    assert count(records_sql, "audit_log") == lines + 1


@each_effect
def test_a_plan_leaves_nothing_and_says_the_same(
    records: Records, records_sql: psycopg.Connection[Any], method: str, request_of: Any, table: str
) -> None:
    prepare(records, method)
    before = everything(records_sql)
    planned: Change = getattr(records, method)(request_of(dry_run=True))
    assert not planned.applied
    assert everything(records_sql) == before
    done: Change = getattr(records, method)(request_of())
    assert planned.model_copy(update={"applied": True}) == done


@each_effect
def test_a_plan_works_where_what_came_before_was_only_planned(
    records: Records, records_sql: psycopg.Connection[Any], method: str, request_of: Any, table: str
) -> None:
    change = getattr(records, method)(request_of(dry_run=True))
    assert not change.applied
    assert change.after
    assert not any(everything(records_sql))


@each_effect
def test_it_runs_as_an_activity(records: Records, method: str, request_of: Any, table: str) -> None:
    prepare(records, method)
    assert ActivityEnvironment().run(getattr(records, method), request_of()).applied


def test_the_audit_log_has_who_what_and_when(records: Records, records_sql: psycopg.Connection[Any]) -> None:
    records.create_incident(create())
    records.close_incident(close())
    rows = records_sql.execute(
        """
        SELECT actor, workflow_id, run_id, effect_key, action, target, before, after, note,
               at > now() - interval '1 min'
        FROM runbooks.audit_log ORDER BY id
        """
    ).fetchall()
    run = ("ada", "wf-1", "run-1")
    assert rows == [
        (*run, "wf-1/run-1/create", "incident.create", "incident/INC-1", "", "open (P1, grace)", "", True),
        (*run, "wf-1/run-1/close", "incident.close", "incident/INC-1", "open", "closed", "rolled back", True),
    ]


def test_several_alerts_join_one_incident(records: Records) -> None:
    records.create_incident(create())
    for number in range(3):
        change = records.acknowledge_alert(acknowledge(f"ack-{number}", f"f{number}"))
        assert change.applied
        assert str(change) == "alert/TensafeDown: acknowledged for INC-1"
    incident = records.incident(IncidentRequest(incident_id="INC-1"))
    assert [alert.fingerprint for alert in incident.alerts] == ["f0", "f1", "f2"]


def test_twenty_firings_at_once_by_different_runs_are_one_alert(
    records: Records, records_sql: psycopg.Connection[Any]
) -> None:
    def attempt(number: int) -> Change:
        while True:
            try:
                return records.acknowledge_alert(acknowledge(f"ack-{number}"))
            except Unavailable:
                continue  # as Temporal would

    with ThreadPoolExecutor(8) as threads:
        changes = list(threads.map(attempt, range(20)))
    assert [change.applied for change in changes].count(True) == 1
    assert count(records_sql, "alerts") == count(records_sql, "audit_log") == 1


def test_an_alert_goes_over_to_another_incident(records: Records) -> None:
    records.acknowledge_alert(acknowledge("one"))
    change = records.acknowledge_alert(acknowledge("two", incident_id="INC-2"))
    assert str(change) == "alert/TensafeDown: acknowledged for INC-1 → acknowledged for INC-2"
    again = records.acknowledge_alert(acknowledge("three", incident_id="INC-2"))
    assert (again.applied, again.note) == (False, "already")


def test_an_alert_is_resolved_once(records: Records, records_sql: psycopg.Connection[Any]) -> None:
    records.acknowledge_alert(acknowledge())
    assert records.resolve_alert(resolve("one")).applied
    second = records.resolve_alert(resolve("two"))
    assert (second.applied, second.note) == (False, "since 2026-03-01 03:05:00Z")
    row = records_sql.execute("SELECT status, resolved_at, notes FROM runbooks.alerts").fetchone()
    assert row == ("resolved", NOW + timedelta(minutes=5), "rolled back")


def test_an_incident_opened_by_another_run_stays_as_it_is(records: Records) -> None:
    records.create_incident(create("one"))
    second = records.create_incident(create("two").model_copy(update={"commander": "mallory"}))
    assert not second.applied
    assert str(second) == "incident/INC-1: open (P1, grace) (opened already by wf-1)"


def test_a_milestone_counts_the_first_time(records: Records) -> None:
    records.create_incident(create())
    first = records.mark_incident(mark("one", "mitigated", 10))
    assert str(first) == "incident/INC-1: open → mitigated at 2026-03-01 03:10:00Z"
    second = records.mark_incident(mark("two", "mitigated", 20))
    assert not second.applied
    assert second.after == "mitigated at 2026-03-01 03:10:00Z"
    incident = records.incident(IncidentRequest(incident_id="INC-1"))
    assert incident.mitigated_at == NOW + timedelta(minutes=10)


@pytest.mark.parametrize("late", [False, True])
def test_what_was_reached_is_lost_by_a_relapse_and_both_times_are_kept(records: Records, *, late: bool) -> None:
    """Told late, after an outage of the records, it doesn't come back either."""
    records.create_incident(create())
    marks = [mark("one", "mitigated", 10), mark("two", "stable", 11)]
    told = [*(lambda one=one: records.mark_incident(one) for one in marks), lambda: records.relapse_incident(relapse())]
    for tell in reversed(told) if late else told:
        tell()
    read = IncidentRequest(incident_id="INC-1")
    lost = records.incident(read)
    assert (lost.status, lost.mitigated_at, lost.stable_at) == ("open", None, None)
    assert [(one.mitigated_at, one.lost_at) for one in lost.relapses] == [
        (NOW + timedelta(minutes=10), NOW + timedelta(minutes=15))
    ]
    records.mark_incident(mark("again", "mitigated", 20))
    again = records.incident(read)
    assert (again.status, again.mitigated_at) == ("mitigated", NOW + timedelta(minutes=20))


def test_a_relapse_of_what_is_closed_opens_nothing(records: Records) -> None:
    records.create_incident(create())
    records.close_incident(close())
    records.relapse_incident(relapse())
    assert records.incident(IncidentRequest(incident_id="INC-1")).status == "closed"


ORDER = ["open", "mitigated", "stable", "cancelled", "closed"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(["acknowledged", "mitigated", "stable", "close"]), st.integers())
def test_the_status_moves_on_in_whatever_order_news_arrives(records: Records, news: list[str], salt: int) -> None:
    incident_id = f"INC-{abs(hash((tuple(news), salt)))}"
    records.create_incident(create(f"{incident_id}/create", incident_id))
    seen = ["open"]
    for step in news:
        key = f"{incident_id}/{step}"
        if step == "close":
            records.close_incident(close(key).model_copy(update={"incident_id": incident_id}))
        else:
            records.mark_incident(mark(key, step).model_copy(update={"incident_id": incident_id}))
        seen.append(records.incident(IncidentRequest(incident_id=incident_id)).status)
    assert seen == sorted(seen, key=ORDER.index)
    assert seen[-1] == "closed"
    incident = records.incident(IncidentRequest(incident_id=incident_id))
    assert None not in (incident.acknowledged_at, incident.mitigated_at, incident.stable_at, incident.closed_at)


def test_a_closed_incident_keeps_its_resolution(records: Records) -> None:
    records.create_incident(create())
    assert records.close_incident(close("one")).applied
    second = records.close_incident(close("two", by="mallory"))
    assert not second.applied
    assert second.note == "closed already by grace at 2026-03-01 04:00:00Z"
    assert records.incident(IncidentRequest(incident_id="INC-1")).closed_by == "grace"


def test_a_post_mortem_is_scheduled_once(records: Records) -> None:
    records.create_incident(create())
    assert records.schedule_post_mortem(post_mortem("one")).after == "scheduled for 2026-03-02 03:00Z"
    second = post_mortem("two").model_copy(update={"scheduled_for": NOW + timedelta(days=9)})
    change = records.schedule_post_mortem(second)
    assert (change.applied, change.after, change.note) == (False, "scheduled for 2026-03-02 03:00Z", "already")


@pytest.mark.parametrize("method", ["note_incident", "mark_incident", "close_incident", "schedule_post_mortem"])
def test_what_comes_before_its_incident_is_tried_again(records: Records, method: str) -> None:
    request_of = next(request_of for name, request_of, _ in EFFECTS if name == method)
    with pytest.raises(Unavailable, match="INC-1 is not in the records yet"):
        getattr(records, method)(request_of())
    records.create_incident(create())
    assert getattr(records, method)(request_of()).applied


def test_an_alert_resolved_before_it_is_recorded_is_tried_again(records: Records) -> None:
    with pytest.raises(Unavailable, match="not in the records yet"):
        records.resolve_alert(resolve())


def test_an_incident_is_read_whole(records: Records) -> None:
    records.acknowledge_alert(acknowledge())
    records.create_incident(create())
    records.note_incident(note())
    records.schedule_post_mortem(post_mortem())
    incident = records.incident(IncidentRequest(incident_id="INC-1"))
    assert str(incident) == "INC-1 P1 open: API down"
    assert [n.text for n in incident.notes] == ["Root cause: v1.2.4"]
    assert incident.post_mortem is not None
    assert [entry.action for entry in incident.audit] == [
        "alert.acknowledge",
        "incident.create",
        "incident.note",
        "post_mortem.schedule",
    ]
    assert incident.opened_at.utcoffset() == timedelta(0)
    with pytest.raises(NotFound, match="INC-9"):
        records.incident(IncidentRequest(incident_id="INC-9"))


def test_a_deployment_moves_on(records: Records, records_sql: psycopg.Connection[Any]) -> None:
    records.record_deployment(deployment("started", "s"))
    done = records.record_deployment(deployment("complete", "c"))
    assert str(done) == "deployment/tensafe-server@v1.2.4: started → complete"
    back = records.record_deployment(deployment("rolled_back", "r").model_copy(update={"reason": "errors at 5%"}))
    assert str(back) == "deployment/tensafe-server@v1.2.4: complete → rolled_back (errors at 5%)"
    assert count(records_sql, "deployments") == 1


def test_a_version_may_be_deployed_again(records: Records, records_sql: psycopg.Connection[Any]) -> None:
    for number in range(2):
        records.record_deployment(deployment("started", f"s{number}"))
        records.record_deployment(deployment("complete", f"c{number}"))
    assert count(records_sql, "deployments") == 2


def test_a_rollback_of_what_nobody_recorded_is_recorded(records: Records) -> None:
    change = records.record_deployment(deployment("rolled_back", "r"))
    assert change.applied
    recent = records.recent_deployments(RecentDeploymentsRequest(service="tensafe-server", since=timedelta(hours=1)))
    assert [(item.version, item.status) for item in recent.items] == [("v1.2.4", "rolled_back")]


def test_recent_deployments_are_this_service_s_newest_first(records: Records) -> None:
    old = deployment("started", "old", "v1.2.2").model_copy(update={"at": datetime.now(UTC) - timedelta(hours=5)})
    records.record_deployment(old)
    for version in ("v1.2.3", "v1.2.4"):
        records.record_deployment(deployment("started", version, version))
    other = deployment("started", "other").model_copy(update={"service": "other"})
    records.record_deployment(other)
    ask = RecentDeploymentsRequest(service="tensafe-server", since=timedelta(hours=1))
    recent = records.recent_deployments(ask)
    assert [item.version for item in recent.items] == ["v1.2.4", "v1.2.3"]
    assert str(recent) == "2 recorded, latest v1.2.4 (started) by ada"
    assert len(records.recent_deployments(ask.model_copy(update={"limit": 1})).items) == 1
    nothing = records.recent_deployments(RecentDeploymentsRequest(service="none", since=timedelta(hours=1)))
    assert str(nothing) == "no recorded deployments"


@pytest.fixture
def rotation(records_sql: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    records_sql.execute("INSERT INTO runbooks.on_call_rotations VALUES ('primary', 'team@tensafe.io')")
    records_sql.execute(
        "INSERT INTO runbooks.on_call_contacts (name, email) "
        "VALUES ('ada', 'ada@tensafe.io'), ('bob', 'bob@tensafe.io')"
    )
    shift(records_sql, 1, "ada", "[2026-03-01 00:00Z, 2026-03-01 08:00Z)")
    shift(records_sql, 1, "bob", "[2026-03-01 08:00Z, 2026-03-01 16:00Z)")
    shift(records_sql, 2, "bob", "[2026-03-01 00:00Z, 2026-03-01 08:00Z)")
    return records_sql


def shift(sql: psycopg.Connection[Any], level: int, contact: str, during: str) -> None:
    sql.execute(
        "INSERT INTO runbooks.on_call_shifts (rotation, level, contact, during) VALUES ('primary', %s, %s, %s)",
        (level, contact, during),
    )


@pytest.mark.usefixtures("rotation")
@pytest.mark.parametrize(
    ("rotation_name", "hour", "level", "expected"),
    [
        ("primary", 3, 1, ("ada", "ada@tensafe.io")),
        ("primary", 8, 1, ("bob", "bob@tensafe.io")),  # a shift's end belongs to the next
        ("primary", 3, 2, ("bob", "bob@tensafe.io")),
        ("primary", 20, 1, ("primary", "team@tensafe.io")),
        ("primary", 3, 3, ("primary", "team@tensafe.io")),
        ("database", 3, 1, ("database", "")),
    ],
)
def test_who_is_on_duty(records: Records, rotation_name: str, hour: int, level: int, expected: tuple[str, str]) -> None:
    at = datetime(2026, 3, 1, hour, tzinfo=UTC)
    duty = records.on_call(OnCallRequest(rotation=rotation_name, at=at, level=level))
    assert (duty.name, duty.email, duty.level) == (*expected, level)


def test_shifts_of_a_level_cannot_overlap(rotation: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.ExclusionViolation, match="one_person_a_level_at_a_time"):
        shift(rotation, 1, "bob", "[2026-03-01 07:59Z, 2026-03-01 09:00Z)")
    with pytest.raises(psycopg.errors.CheckViolation, match="shift_has_a_beginning_and_an_end"):
        shift(rotation, 1, "bob", "[2026-04-01 00:00Z,)")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE runbooks.audit_log SET actor = 'mallory'",
        "UPDATE runbooks.audit_log SET actor = 'mallory' WHERE false",
        "DELETE FROM runbooks.audit_log",
        "TRUNCATE runbooks.audit_log",
        "TRUNCATE runbooks.audit_log CASCADE",
        "SET session_replication_role = replica; DELETE FROM runbooks.audit_log",
        """
        INSERT INTO runbooks.audit_log (actor, workflow_id, run_id, effect_key, action, target, before, after, note)
        VALUES ('m', 'w', 'r', 'wf-1/run-1/create', 'a', 't', 'b', 'a', 'n')
        ON CONFLICT (effect_key) DO UPDATE SET actor = 'mallory'
        """,
        "MERGE INTO runbooks.audit_log USING (SELECT 1) one ON true WHEN MATCHED THEN DELETE",
    ],
)
def test_the_audit_log_only_grows(records: Records, records_sql: psycopg.Connection[Any], statement: str) -> None:
    """The tests' role owns the table, and is a superuser."""
    records.create_incident(create())
    before = everything(records_sql)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        records_sql.execute(statement)
    assert everything(records_sql) == before


def test_a_broken_rule_is_named_without_the_data(records: Records) -> None:
    with pytest.raises(Refused) as caught:
        records.acknowledge_alert(acknowledge(fingerprint=""))
    assert caught.value.message == "the records refuse it: alert fingerprint is not empty"
    assert caught.value.__cause__ is None
    assert caught.value.non_retryable
    with pytest.raises(Refused) as caught:
        records.create_incident(create().model_copy(update={"title": "hunter2\0"}))
    assert "hunter2" not in str(caught.value)


def test_a_failed_effect_leaves_nothing(records: Records, records_sql: psycopg.Connection[Any]) -> None:
    with pytest.raises(Refused):
        records.create_incident(create().model_copy(update={"severity": "P9"}))
    assert not any(everything(records_sql))
    assert records.create_incident(create()).applied


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=200), st.integers())
def test_any_text_comes_back_as_it_was(records: Records, text: str, salt: int) -> None:
    records.create_incident(create(f"c-{salt}"))
    key = f"{salt}-{hash(text)}"
    records.note_incident(note(key, text))
    notes = records.incident(IncidentRequest(incident_id="INC-1")).notes
    assert text in [kept.text for kept in notes]
