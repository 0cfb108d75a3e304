"""A filter is written as Temporal's visibility understands it; what it can't tell is left to the stories."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from audit.store_filter import Filter
from starters.past.visibility import query_of

OURS = 'WorkflowType != "ArchiveRuns" AND WorkflowType != "SweepHolds" AND WorkflowType != "LookForWorkers"'


def asked(**wanted: Any) -> str:
    """Give what is asked beside that it is no run of ours."""
    query = query_of(Filter(**wanted))
    assert query.startswith(OURS)
    return query.removeprefix(OURS).removeprefix(" AND ")


def test_nothing_wanted_is_every_procedure() -> None:
    assert asked() == ""


def test_what_is_wanted_is_asked_for_together() -> None:
    assert asked(procedure="P1Incident", service="web") == 'WorkflowType = "P1Incident" AND RunbookService = "web"'


@pytest.mark.parametrize("odd", ['we"b', "we'b", "we`b", "we\\b"])
def test_what_can_not_be_quoted_is_left_to_the_stories(odd: str) -> None:
    assert asked(service=odd) == ""


def test_a_status_is_said_as_temporal_spells_it() -> None:
    assert asked(status="failed") == 'ExecutionStatus = "Failed"'


def test_times_are_in_utc_and_the_end_is_not_in_it() -> None:
    since = datetime(2026, 11, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    told = asked(since=since, until=datetime(2026, 12, 1, tzinfo=UTC))
    assert told == 'StartTime >= "2026-11-01T00:00:00.000000Z" AND StartTime < "2026-12-01T00:00:00.000000Z"'
