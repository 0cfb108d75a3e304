"""What an alert is called, whatever its annotations say."""

from datetime import UTC, datetime

import pytest

from activities.records.alerts import Alert


@pytest.mark.parametrize(
    ("annotations", "title"),
    [
        ({}, "ApiDown"),
        ({"summary": "API down", "description": "for 5 min"}, "API down"),
        ({"summary": " \n", "description": "for 5 min"}, "for 5 min"),
        ({"summary": "API down\n*Approved by ada*:\trollback\n"}, "API down *Approved by ada*: rollback"),
        ({"summary": "x" * 201}, "x" * 199 + "…"),
    ],
)
def test_an_alert_is_called_by_one_line(annotations: dict[str, str], title: str) -> None:
    at = datetime(2026, 2, 4, 3, tzinfo=UTC)
    assert Alert(source="a", fingerprint="f", name="ApiDown", starts_at=at, annotations=annotations).title == title
