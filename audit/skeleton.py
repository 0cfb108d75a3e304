"""A history without what people may have written into it, and back.

In the skeleton each payload's `data` has become a `commitment`: the SHA-256 of a random salt and the bytes as Temporal
had them, encrypted where they were. The salt keeps anybody from finding out by trial what an erased body said.

What Temporal keeps outside of payloads stays in the skeleton and can't be erased: IDs, times, and the messages of
failures, unless the payload codec encodes those too.
"""

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from audit.records import Body
from audit.signatures import canonical

SALT_BYTES = 16
_HEX = frozenset("0123456789abcdef")
_HEX_DIGITS = 64


def commit(data: bytes) -> tuple[str, Body]:
    """Commit to bytes."""
    salt = os.urandom(SALT_BYTES)
    body = Body(salt=base64.b64encode(salt).decode(), data=base64.b64encode(data).decode())
    return hashlib.sha256(salt + data).hexdigest(), body


def fits(commitment: str, body: Body) -> bool:
    """Tell whether a body is what was committed to, to the last bit of its encoding."""
    salt, data = strict(body.salt), strict(body.data)
    if salt is None or data is None or len(salt) != SALT_BYTES:
        return False
    return hashlib.sha256(salt + data).hexdigest() == commitment


def strict(text: str) -> bytes | None:
    """Decode base64 that is written in its one canonical way; None where it isn't."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode() == text else None


def take_apart(history: dict[str, Any]) -> tuple[bytes, dict[str, Body]]:
    """Split a history (as `json.loads(WorkflowHistory.to_json())`) into its skeleton and its payloads' bodies."""
    bodies: dict[str, Body] = {}

    def walk(value: Any) -> Any:
        if isinstance(value, list):
            return [walk(item) for item in value]
        if not isinstance(value, dict):
            return value
        data = _data_of(value)
        if data is None:
            return {name: walk(item) for name, item in value.items()}
        commitment, body = commit(data)
        bodies[commitment] = body
        rest = {name: item for name, item in value.items() if name != "data"}
        return {**rest, "commitment": commitment}

    return canonical(walk(history)), bodies


def restore(skeleton: bytes, bodies: Mapping[str, Body]) -> dict[str, Any]:
    """Put a history together again; a payload whose body is erased keeps its `commitment` and has no `data`."""

    def walk(value: Any) -> Any:
        if isinstance(value, list):
            return [walk(item) for item in value]
        if not isinstance(value, dict):
            return value
        commitment = _commitment_of(value)
        body = bodies.get(commitment) if commitment else None
        if body is not None:
            rest = {name: item for name, item in value.items() if name != "commitment"}
            return {**rest, "data": body.data}
        return {name: walk(item) for name, item in value.items()}

    restored: dict[str, Any] = walk(json.loads(skeleton))
    return restored


def commitments(skeleton: bytes) -> set[str]:
    """Name everything that a skeleton commits to."""
    return {commitment for _, commitment in committed(json.loads(skeleton))}


def committed(value: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Give each payload of a decoded skeleton that is a commitment, in order."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(reversed(item))
        elif isinstance(item, dict):
            commitment = _commitment_of(item)
            if commitment is not None:
                yield item, commitment
            else:
                waiting.extend(reversed(item.values()))


def _data_of(value: dict[str, Any]) -> bytes | None:
    """Give a payload's bytes; None where a message is no payload, or one without data (encoding `binary/null`)."""
    data = value.get("data")
    if not isinstance(data, str) or not isinstance(value.get("metadata"), dict) or "commitment" in value:
        return None
    return strict(data)


def _commitment_of(value: dict[str, Any]) -> str | None:
    commitment = value.get("commitment")
    if not isinstance(commitment, str) or not isinstance(value.get("metadata"), dict) or "data" in value:
        return None
    return commitment if len(commitment) == _HEX_DIGITS and _HEX.issuperset(commitment) else None
