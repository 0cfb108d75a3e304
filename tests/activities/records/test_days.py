"""What the records have of a day, and the figures by SQL files that may be another's."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from psycopg_pool import ConnectionPool

from activities.records.activities import Records
from activities.records.days import KeepReport, ReportsRequest
from tests.records_schema.fixtures import effect

NOW = datetime(2026, 11, 30, 17, tzinfo=UTC)


@pytest.fixture
def records(records_pool: ConnectionPool[Any]) -> Records:
    return Records(records_pool)


def test_the_first_report_of_a_day_stays(records: Records) -> None:
    def keep(step: str, errors: float) -> KeepReport:
        return KeepReport(
            service="s",
            day=NOW.date(),
            time_zone="Europe/Berlin",
            made_at=NOW,
            handoff="# s",
            effect=effect(step),
            figures={"errors": errors, "mrr": None},
        )

    assert records.keep_report(keep("first", 1)).applied
    assert records.keep_report(keep("first", 1)).note == ""
    second = records.keep_report(keep("second", 2))
    assert (second.applied, "wf-1 has kept one" in second.note) == (False, True)
    days = [NOW.date(), date(2026, 11, 29)]
    found = records.reports(ReportsRequest(service="s", days=days))
    assert found.of(days[1]) is None
    first = found.of(days[0])
    assert first is not None
    assert first.figures == {"errors": 1.0, "mrr": None}
