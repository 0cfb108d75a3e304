"""An incident moves on and never back, whatever the order in which news arrive."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activities.records.activities import Records
from activities.records.incident_view import IncidentRequest
from tests.activities.records.told import NOW, close, create, mark, post_mortem, relapse


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
