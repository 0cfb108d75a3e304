"""Alerts to the webhook, and what becomes of them."""

from datetime import UTC, datetime

import httpx

PATH = "/webhooks/alertmanager"


def alert(fingerprint: str, starts_at: datetime | None = None, **labels: str) -> dict[str, object]:
    return {
        "version": "4",
        "groupKey": "{}",
        "alerts": [
            {
                "status": "firing",
                "fingerprint": fingerprint,
                "startsAt": (starts_at or datetime.now(UTC)).isoformat(),
                "labels": {"alertname": "ByHand", "severity": "P1", "service": "tensafe-server", **labels},
                "annotations": {"summary": "posted by a test"},
            }
        ],
    }


def outcome(answer: httpx.Response) -> str:
    assert answer.status_code == 202, answer.text
    return str(answer.json()["alerts"][0]["outcome"])
