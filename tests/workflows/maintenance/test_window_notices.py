"""Each end of a window is told in its own offset."""

from datetime import datetime

import pytest

from workflows.maintenance.window_notices import span


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "zone", "says"),
    [
        (
            "2026-03-29T00:30:00Z",
            "2026-03-29T02:00:00Z",
            "Europe/Berlin",
            "2026-03-29 01:30 CET to 04:00 CEST (2026-03-29 00:30 to 02:00 UTC)",
        ),
        (
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:30:00Z",
            "Europe/Berlin",
            "2026-10-25 02:30 CEST to 02:30 CET (2026-10-25 00:30 to 01:30 UTC)",
        ),
        ("2026-02-05T02:00:00Z", "2026-02-05T04:00:00Z", "UTC", "2026-02-05 02:00 to 04:00 UTC"),
        ("2026-02-05T22:00:00Z", "2026-02-06T02:00:00Z", "UTC", "2026-02-05 22:00 to 2026-02-06 02:00 UTC"),
        (
            "2026-02-05T22:30:00Z",
            "2026-02-05T23:30:00Z",
            "Europe/Berlin",
            "2026-02-05 23:30 to 2026-02-06 00:30 CET (2026-02-05 22:30 to 23:30 UTC)",
        ),
    ],
)
def test_each_end_is_told_in_its_own_offset(starts_at: str, ends_at: str, zone: str, says: str) -> None:
    assert span(datetime.fromisoformat(starts_at), datetime.fromisoformat(ends_at), zone) == says
