"""Recorded histories, and what stands in them."""

import base64
import json
from pathlib import Path
from typing import Any

from audit.payloads import Decoder
from audit.reading import read
from audit.story import Story

HISTORIES = sorted((Path(__file__).parents[1] / "histories").glob("*.json"))


def load(name: str) -> dict[str, Any]:
    history: dict[str, Any] = json.loads((HISTORIES[0].parent / f"{name}.json").read_text(encoding="utf-8"))
    return history


def story_of(history: Any, run_id: str = "the-run") -> Story:
    return read(history, namespace="default", workflow_id="the-workflow", run_id=run_id, decoder=Decoder())


def payload(value: Any) -> dict[str, Any]:
    return {
        "metadata": {"encoding": base64.b64encode(b"json/plain").decode()},
        "data": base64.b64encode(json.dumps(value).encode()).decode(),
    }


def plain(held: dict[str, Any]) -> Any:
    return json.loads(base64.b64decode(held["data"]))


def of_type(history: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Attributes of all events of a type, found without the code under test."""
    found = [event for event in history["events"] if event["eventType"] == f"EVENT_TYPE_{kind}"]
    return [{**next(v for k, v in event.items() if k.endswith("EventAttributes")), **event} for event in found]


def event_like(like: dict[str, Any], number: str, kind: str, attributes: dict[str, Any]) -> dict[str, Any]:
    first, *rest = kind.lower().split("_")
    field = f"{first}{''.join(map(str.capitalize, rest))}EventAttributes"
    return {"eventId": number, "eventTime": like["eventTime"], "eventType": f"EVENT_TYPE_{kind}", field: attributes}
