"""An incident is read whole, and any text comes back as it was."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activities.common.errors import NotFound
from activities.records.activities import Records
from activities.records.incident_view import IncidentRequest
from tests.activities.records.told import acknowledge, create, note, post_mortem


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


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=200), st.integers())
def test_any_text_comes_back_as_it_was(records: Records, text: str, salt: int) -> None:
    records.create_incident(create(f"c-{salt}"))
    key = f"{salt}-{hash(text)}"
    records.note_incident(note(key, text))
    notes = records.incident(IncidentRequest(incident_id="INC-1")).notes
    assert text in [kept.text for kept in notes]
