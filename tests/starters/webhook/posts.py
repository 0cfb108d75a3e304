"""Posts of many alerts."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

LIMIT = 100_000
"""Bytes, of the fixture's webhook."""


def alert(name: str, severity: str = "warning", **more: str) -> dict[str, Any]:
    labels = {"alertname": name, "severity": severity, "namespace": "tensafe", "service": "tensafe-server", **more}
    started = "2026-03-01T10:00:00Z"
    return {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": "x" * 200},
        "startsAt": started,
        "fingerprint": uuid4().hex[:16],
    }


def body(alerts: list[dict[str, Any]], **more: Any) -> bytes:
    return json.dumps({"version": "4", "groupKey": f"g-{uuid4()}", "alerts": alerts, **more}).encode()


def pieces(sent: bytes, size: int) -> Iterator[bytes]:
    return (sent[start : start + size] for start in range(0, len(sent), size))
