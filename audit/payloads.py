"""Payloads of a history as JSON: `{"metadata": {"encoding": …}, "data": …}`, all in base64."""

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any

from temporalio.api.common.v1 import Payload

from audit.errors import Unreadable

DecodeOne = Callable[[Payload], Payload]
"""Undoes the codec for one payload; gives what isn't encoded as it is, and raises what it likes for what it can't."""


_DEEPEST = 100


class Decoder:
    """Reads payloads, and counts those it could not read."""

    def __init__(self, codec: DecodeOne | None = None) -> None:
        self._codec = codec
        self.unreadable = 0

    def decode(self, payload: dict[str, Any]) -> Any:
        """Give what a payload says; None where it says nothing.

        Raises:
            Unreadable: it is encrypted and there is no key, was redacted, or is damaged.

        """
        try:
            return _value(*self._plain(payload))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
            raise Unreadable(type(error).__name__) from None

    def read(self, payload: Any) -> Any:
        """Give what a payload says; None, counted, where that can't be told."""
        if not isinstance(payload, dict):
            return None
        try:
            return self.decode(payload)
        except Unreadable:
            self.unreadable += 1
            return None

    def _plain(self, payload: dict[str, Any]) -> tuple[str, bytes]:
        if "commitment" in payload:
            raise Unreadable("redacted")
        metadata = {
            str(name): base64.b64decode(value, validate=True) for name, value in payload.get("metadata", {}).items()
        }
        data = base64.b64decode(payload.get("data", ""), validate=True)
        if self._codec is not None:
            try:
                decoded = self._codec(Payload(metadata=metadata, data=data))
            except Exception as error:  # noqa: BLE001  whatever the codec says, it can't be read
                raise Unreadable(str(error)) from None
            metadata, data = dict(decoded.metadata), decoded.data
        return metadata["encoding"].decode(), data


def _value(encoding: str, data: bytes) -> Any:
    match encoding:
        case "json/plain" | "json/protobuf":
            return _sound(json.loads(data))
        case "binary/null":
            return None
        case "binary/plain":
            return data.decode(errors="replace")
        case _:
            raise Unreadable(f"encoding {encoding}")


def _sound(value: Any) -> Any:
    """Give JSON back that can be written again: JavaScript's half characters can't, nor can bottomless nesting."""
    waiting = [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        if depth > _DEEPEST:
            raise Unreadable("nested too deeply")
        if isinstance(item, str):
            item.encode()
        elif isinstance(item, dict):
            waiting += [(part, depth + 1) for pair in item.items() for part in pair]
        elif isinstance(item, list):
            waiting += [(part, depth + 1) for part in item]
    return value
