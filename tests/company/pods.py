"""Alerts that name a pod."""

from datetime import UTC, datetime, timedelta

from activities.records.alerts import Alert

AT = datetime(2026, 2, 4, 3, tzinfo=UTC)


def pod(number: int, *, minutes: int = 0, status: str = "firing", name: str = "KubePodCrashLooping") -> Alert:
    return Alert(
        source="alertmanager",
        fingerprint=f"f{number}",
        name=name,
        starts_at=AT + timedelta(minutes=minutes),
        status=status,
        labels={"pod": f"tensafe-server-{number}"},
    )
