"""A body that is larger than what is kept of one: its alerts are looked at as they come, and the worst are kept.

Alertmanager doesn't send again what was refused, so a body over the limit must not lose the one alert that counts.
Memory has a bound whatever is sent: the alerts that are kept, and one more that is being read.
"""

import heapq
import json
from http import HTTPStatus
from typing import Any

import ijson
from pydantic import ValidationError
from starlette.requests import Request

from starters.http.body import chunks, expect_json
from starters.http.problems import Problem, errors_of
from starters.sources.alertmanager import Group
from starters.sources.port import Unreadable, parsed
from starters.webhook.worst_first import Rank

_ONE = 1_048_576
"""Bytes of one alert, as JSON: what is larger says nothing that Temporal could keep."""
_READ = 8
"""Times the limit that are read at most."""
_DEEP = 32
_SLICE = 65_536
_NO_GROUP = "not a body of Alertmanager's version 4"
_ENVELOPE = ("version", "groupKey", "truncatedAlerts")


async def read_group(request: Request, limit: int, rank: Rank) -> tuple[Group, str, int]:
    """Read a post; gives its group, what was not taken of it in a sentence, and how many of its alerts that is.

    Up to `limit` bytes a body is taken whole. Of a larger one so many bytes of alerts are kept, the worst.

    Raises:
        Problem: 415, 408; 400 when the sender hung up; 422 where it isn't a group; 413 where it is too large and no
            group.

    """
    expect_json(request)
    body = bytearray()
    storm: _Storm | None = None
    try:
        async for chunk in chunks(request):
            if storm is None:
                body += chunk
                if len(body) <= limit:
                    continue
                storm = _Storm(limit, rank)
                storm.feed(bytes(body))
                body.clear()
            else:
                storm.feed(chunk)
            if storm.enough:
                break
    except Problem as problem:
        if storm is None or problem.status is not HTTPStatus.REQUEST_TIMEOUT:
            raise
    if storm is None:
        return _group(bytes(body)), "", 0
    return storm.group()


def _group(body: bytes) -> Group:
    try:
        return Group.model_validate(parsed(body))
    except Unreadable:
        errors = [{"field": "body", "message": "Invalid JSON"}]
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, _NO_GROUP, errors=errors) from None
    except ValidationError as error:
        raise _no_group(error) from None


def _no_group(error: ValidationError) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, _NO_GROUP, errors=errors_of(error))


class _Storm:
    """The worst alerts of what has come so far."""

    def __init__(self, limit: int, rank: Rank) -> None:
        self._limit = limit
        self._rank = rank
        self._read = self._size = self._seen = self._kept = 0
        self._ended = self._broken = False
        self._worst: list[tuple[int, int, int, Any]] = []
        """A heap whose first is the next to go: least severe, and of those the last that came."""
        self._envelope: dict[str, list[Any]] = {name: [] for name in _ENVELOPE}
        self._alerts = ijson.sendable_list()
        self._parsers = [
            ijson.basic_parse_coro(_Depth()),
            ijson.items_coro(self._alerts, "alerts.item", use_float=True),
            *(ijson.items_coro(_Few(values), name, use_float=True) for name, values in self._envelope.items()),
        ]

    @property
    def enough(self) -> bool:
        return self._broken or self._read > _READ * self._limit

    def feed(self, chunk: bytes) -> None:
        """Look at a part.

        Raises:
            Problem: 413, where this is no group: it would have to have an alert by now.

        """
        for start in range(0, len(chunk), _SLICE):
            part = chunk[start : start + _SLICE]
            self._read += len(part)
            self._send(part)
            for alert in self._alerts:
                self._keep(alert)
            self._alerts.clear()
            if self._broken:
                break
        if (self._broken or self._read > self._limit) and not self._seen:
            raise self._too_large()

    def _send(self, part: bytes) -> None:
        """Have every parser look as far as it comes: what came before the fault counts."""
        for parser in self._parsers:
            try:
                parser.send(part)
            except _TooDeep:
                self._broken = True
                return
            except _NOT_JSON:
                self._broken = True

    def _keep(self, alert: Any) -> None:
        self._seen += 1
        try:
            size = len(json.dumps(alert, default=str))
        except ValueError:  # an integer of thousands of digits
            size = _ONE + 1
        if size > _ONE:
            return
        heapq.heappush(self._worst, (-self._rank(alert), -self._seen, size, alert))
        self._size += size
        while self._size > self._limit:
            self._size -= heapq.heappop(self._worst)[2]

    def group(self) -> tuple[Group, str, int]:
        """Give what is kept, in the order in which it came.

        Raises:
            Problem: 413 where nothing is, 422 where it is no group of version 4.

        """
        for parser in self._parsers:
            try:
                parser.close()
            except _NOT_JSON:
                self._ended = True
        self._ended |= self._broken
        alerts = [alert for *_, alert in sorted(self._worst, key=lambda kept: -kept[1])]
        if not alerts:
            raise self._too_large()
        # What stands behind the part that was read is not known; alerts were seen, in the place of version 4.
        told = {name: values[0] for name, values in self._envelope.items() if values}
        try:
            group = Group.model_validate({"version": "4", **told, "alerts": alerts})
        except ValidationError as error:
            raise _no_group(error) from None
        left = self._seen - len(alerts)
        why = f"the body is larger than {self._limit} bytes ([webhook] max_body)"
        what = f"{left} of {self._seen} alerts, the least severe, were not taken" if left else "all alerts were taken"
        unread = "; what came behind them was not read" if self._ended else ""
        return group, f"{why}: {what}{unread}", left

    def _too_large(self) -> Problem:
        told = f"the body is larger than {self._limit} bytes, and no group of alerts"
        return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, told)


class _TooDeep(Exception):  # noqa: N818  it never leaves this module
    pass


_NOT_JSON = (ijson.JSONError, ValueError, StopIteration, SystemError)
"""What parsers raise; `SystemError` is ijson's for an integer of thousands of digits, which Python refuses to read."""


class _Depth:
    """Counts how deep a body is nested, before others look: they write down the whole way to each value."""

    def __init__(self) -> None:
        self._depth = 0

    def send(self, event: tuple[str, Any]) -> None:
        """Take what a parser finds.

        Raises:
            _TooDeep: no group of alerts is as deep.

        """
        if event[0].startswith("start_"):
            self._depth += 1
            if self._depth > _DEEP:
                raise _TooDeep
        elif event[0].startswith("end_") and event[0] != "end_of_json":
            self._depth -= 1

    def close(self) -> None:
        """Nothing is to be done."""


class _Few(list[Any]):
    """Keeps the first of what a parser finds: a body may say a name a million times."""

    def __init__(self, values: list[Any]) -> None:
        super().__init__()
        self._values = values

    def send(self, value: Any) -> None:
        """Take one."""
        if not self._values:
            self._values.append(value)

    def close(self) -> None:
        """Nothing is to be done."""
