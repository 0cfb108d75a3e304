from datetime import UTC, datetime, timedelta

import pytest

from workflows.incident_response.severity import SEVERITIES, Impact, classify, impact_of, respond_by

TUESDAY = datetime(2026, 2, 3, 22, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("impact", "severity"),
    [
        (Impact(down=True), "P1"),
        (Impact(data_loss=True, users_affected=False), "P1"),
        (Impact(error_rate=0.051), "P2"),
        (Impact(error_rate=0.05), "P3"),
        (Impact(latency=timedelta(seconds=2.1)), "P2"),
        (Impact(latency=timedelta(seconds=2)), "P3"),
        (Impact(), "P3"),
        (Impact(users_affected=False), "P4"),
    ],
)
def test_impact_is_classified_as_in_the_runbook(impact: Impact, severity: str) -> None:
    assert classify(impact) == severity


@pytest.mark.parametrize(
    ("labels", "severity"),
    [
        ({"impact": "down"}, "P1"),
        ({"impact": "data-loss"}, "P1"),
        ({"impact": "none"}, "P4"),
        ({"error_rate": "0.2"}, "P2"),
        ({"error_rate": "0.01", "latency": "2.5"}, "P2"),
        ({"error_rate": "lots", "latency": "0.3"}, "P3"),
        ({"latency": "nan"}, None),
        ({"alertname": "x"}, None),
    ],
)
def test_an_alerts_labels_are_classified_by_impact(labels: dict[str, str], severity: str | None) -> None:
    impact = impact_of(labels)
    assert (classify(impact) if impact else None) == severity


def test_response_times_are_the_runbooks() -> None:
    minutes = {s: c.response_within and c.response_within.total_seconds() / 60 for s, c in SEVERITIES.items()}
    assert minutes == {"P1": 15, "P2": 60, "P3": 240, "P4": None}
    assert respond_by("P1", TUESDAY, "UTC") == TUESDAY + timedelta(minutes=15)


@pytest.mark.parametrize(
    ("reported", "zone", "due"),
    [
        (TUESDAY, "UTC", datetime(2026, 2, 4, 17, tzinfo=UTC)),
        # Already Wednesday in Berlin, so Thursday is the next business day there.
        (TUESDAY + timedelta(hours=1), "Europe/Berlin", datetime(2026, 2, 5, 16, tzinfo=UTC)),
        (datetime(2026, 2, 6, 12, tzinfo=UTC), "UTC", datetime(2026, 2, 9, 17, tzinfo=UTC)),
        (datetime(2026, 2, 7, 12, tzinfo=UTC), "UTC", datetime(2026, 2, 9, 17, tzinfo=UTC)),
    ],
)
def test_p4_is_due_on_the_next_business_day_of_the_service(reported: datetime, zone: str, due: datetime) -> None:
    assert respond_by("P4", reported, zone) == due
