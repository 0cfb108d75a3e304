"""Meetings with a customer are on working days, at the time that settings name, by the service's clock."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tests.workflows.worlds.world import World
from workflows.customer_operations.day_0 import meeting_day

SERVICE = World().service


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (datetime(2026, 2, 6, 12, tzinfo=UTC), "2026-02-06"),
        (datetime(2026, 2, 6, 23, 30, tzinfo=UTC), "2026-02-09"),
        (datetime(2026, 2, 7, 12, tzinfo=UTC), "2026-02-09"),
        (datetime(2026, 2, 8, 12, tzinfo=UTC), "2026-02-09"),
        (datetime(2026, 2, 8, 23, 30, tzinfo=UTC), "2026-02-09"),
    ],
)
def test_a_meeting_is_on_that_day_or_on_monday(at: datetime, expected: str) -> None:
    found = meeting_day(SERVICE, at)
    assert f"{found:%Y-%m-%d}" == expected
    assert found.time() == SERVICE.customers.onboarding.meeting_at
    assert found.tzinfo == ZoneInfo("Europe/Berlin")
