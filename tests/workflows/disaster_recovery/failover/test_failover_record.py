"""A failover is told to all; its incident is closed only where the service is well."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from workflows.disaster_recovery.failover import failover_record
from workflows.disaster_recovery.failover.failover_record import document

SINCE = datetime(2026, 2, 4, 3, tzinfo=UTC)
TAKEOVER: Any = SimpleNamespace(
    promoted=SimpleNamespace(server="db2", timeline=7, note="by hand"),
    primary="db1",
    following={"db3": "follows"},
    candidate=SimpleNamespace(loss="Nothing is lost"),
)


class Incident:
    """Keeps what is done to an incident, in order."""

    def __init__(self) -> None:
        self.done: list[tuple[str, Any]] = []
        self.run = SimpleNamespace(timeline=SimpleNamespace(markdown=lambda: "timeline"))

    def __getattr__(self, name: str) -> Any:
        async def do(*what: Any) -> None:
            self.done.append((name, what))

        return do

    def names(self) -> list[str]:
        return [name for name, _ in self.done]


@pytest.fixture
def incident(monkeypatch: pytest.MonkeyPatch) -> Incident:
    made = Incident()

    async def review(kept: Any, *_: Any) -> None:
        await kept.reviewed()

    monkeypatch.setattr(failover_record, "schedule_post_mortem", review)
    return made


async def record(incident: Incident, *, since: datetime | None, healthy: bool) -> None:
    await document(cast("Any", incident), TAKEOVER, silent_since=since, healthy=healthy)


async def test_a_healthy_service_closes_its_incident(incident: Incident) -> None:
    await record(incident, since=SINCE, healthy=True)
    assert incident.names()[-3:] == ["reached", "close", "reviewed"]
    _, (_, text, cause) = incident.done[-2]
    assert text == (
        "Database failover executed: db2 is the primary on timeline 7, db1 is fenced, db3 follows. "
        "Nothing is lost. by hand"
    )
    assert cause == "db1 did not answer from 2026-02-04 03:00:00 UTC on; why is to be found out"


async def test_where_nobody_knows_since_when_none_is_named(incident: Incident) -> None:
    await record(incident, since=None, healthy=True)
    assert incident.done[-2][1][2] == "db1 did not answer; why is to be found out"


async def test_a_service_that_is_not_well_stays_peoples(incident: Incident) -> None:
    await record(incident, since=SINCE, healthy=False)
    assert incident.names()[-1] == "escalate"
    assert not {"close", "reviewed"} & set(incident.names())
