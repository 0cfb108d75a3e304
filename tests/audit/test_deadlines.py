"""Where deadlines stand, by what runs say of them now and said before."""

from datetime import UTC, datetime

import pytest

from audit.deadlines import stood

AT = datetime(2026, 2, 4, 3, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["Mitigated: deadline of 03:15:00 UTC missed", "Mitigated: deadline of 03:15:00 missed"]
)
def test_a_deadline_that_was_missed_is_read_with_its_zone_and_without(text: str) -> None:
    assert stood([(AT, text)])["Mitigated"].missed_at == AT
