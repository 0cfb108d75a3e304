"""A post that is larger than what is kept: the worst alerts are taken all the same, in bounded memory."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from starters.http.problems import Problem
from starters.steering.routes import Routes
from starters.webhook.storm import _Storm
from starters.webhook.worst_first import rank, worst_first
from tests.starters.support import HEADERS, PATH

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


async def test_a_post_over_the_limit_starts_its_worst_alert(webhook: httpx.AsyncClient) -> None:
    storm = [alert(f"Disk{number}") for number in range(2000)]
    sent = body([*storm, alert("Down", "P1")], truncatedAlerts=3)
    assert len(sent) > 5 * LIMIT
    answer = await webhook.post(PATH, content=sent, headers={**HEADERS, "Content-Type": "application/json"})
    told = answer.json()
    assert answer.status_code == 202
    assert told["alerts"][-1]["outcome"] in {"started", "joined"}
    assert told["notTaken"] == 2001 - len(told["alerts"])
    assert f"{told['notTaken']} of 2001 alerts" in told["detail"]
    assert "max_body" in told["detail"]
    assert "3 alerts of this group were cut off" in told["detail"]
    metrics = (await webhook.get("/metrics")).text
    assert f'outcome="left_out"}} {float(told["notTaken"])}' in metrics


async def test_a_post_without_end_is_answered_with_what_came_first(webhook: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b'{"version": "4", "alerts": [' + json.dumps(alert("Down", "P1")).encode()
        while True:
            piece = b"," + json.dumps(alert("Disk")).encode()
            sent += len(piece)
            yield piece

    answer = await webhook.post(PATH, content=endless(), headers={**HEADERS, "Content-Type": "application/json"})
    told = answer.json()
    assert answer.status_code == 202
    assert told["alerts"][0]["outcome"] in {"started", "joined"}
    assert "was not read" in told["detail"]
    assert sent < 20 * LIMIT


@pytest.mark.parametrize(
    "sent",
    [b"[" * 200_000, b'{"version": "4", "x": "' + b"y" * 200_000, b"{" + b" " * 200_000, b"\xff" * 200_000],
    ids=["deep", "one text", "blanks", "no text"],
)
async def test_what_is_too_large_and_no_group_is_refused(webhook: httpx.AsyncClient, sent: bytes) -> None:
    answer = await webhook.post(PATH, content=sent, headers={**HEADERS, "Content-Type": "application/json"})
    assert answer.status_code == 413
    assert "100000 bytes" in answer.json()["detail"]


@pytest.mark.parametrize("odd", ["1" * 5000, "1e400", '"\\udfff"', '{"\\udfff": 1}', "NaN", '"\udcff"', "}", "null"])
async def test_what_cannot_be_read_loses_nothing_that_came_before_it(webhook: httpx.AsyncClient, odd: str) -> None:
    first, large = json.dumps(alert("Down", "P1")), json.dumps(alert("Disk", text="x" * 70_000))
    for alerts in (f"{first}, {odd}, {large}, {large}", f"{first}, {large}, {'[' * 200}, {large}"):
        sent = f'{{"version": "4", "alerts": [{alerts}]}}'.encode(errors="surrogateescape")
        answer = await webhook.post(PATH, content=sent, headers={**HEADERS, "Content-Type": "application/json"})
        assert answer.status_code == 202, answer.text
        assert answer.json()["alerts"][0]["outcome"] in {"started", "joined"}


async def test_another_version_is_refused_however_large(webhook: httpx.AsyncClient) -> None:
    sent = body([alert(f"Disk{number}") for number in range(1000)]).replace(b'"version": "4"', b'"version": "3"')
    answer = await webhook.post(PATH, content=sent, headers={**HEADERS, "Content-Type": "application/json"})
    assert answer.status_code == 422
    assert "version" in str(answer.json()["errors"])


def _pieces(sent: bytes, size: int) -> Iterator[bytes]:
    return (sent[start : start + size] for start in range(0, len(sent), size))


@settings(max_examples=60, deadline=None)
@given(
    some.lists(some.sampled_from(["P1", "critical", "P2", "warning", "P3", "info", ""]), min_size=1, max_size=60),
    some.integers(500, 20_000),
    some.integers(1, 5_000),
)
def test_what_is_kept_is_the_worst_that_fits(severities: list[str], limit: int, piece: int) -> None:
    alerts = [alert(f"A{number}", severity) for number, severity in enumerate(severities)]
    storm = _Storm(limit, rank)
    try:
        for part in _pieces(body(alerts), piece):
            storm.feed(part)
            assert storm._size <= limit
        group, told, left = storm.group()
    except Problem:
        assert len(json.dumps(alerts[0])) > limit or limit < 600
        return
    kept = [one["labels"]["alertname"] for one in group.alerts]
    assert kept == sorted(kept, key=lambda name: int(name[1:])), "in the order in which they came"
    assert left == len(alerts) - len(kept)
    assert sum(len(json.dumps(one)) for one in group.alerts) <= limit
    gone = [one for one in alerts if one["labels"]["alertname"] not in kept]
    assert all(rank(one) >= max(map(rank, group.alerts)) for one in gone)
    assert (f"{left} of {len(alerts)}" in told) == bool(left)


def test_what_a_rule_takes_is_kept_before_what_none_does() -> None:
    rules = Routes.model_validate(
        {
            "route": [
                {"procedure": "p1-incident", "match": {"alertname": "Down"}},
                {"procedure": "rollback", "match": {"alertname": "Slow"}, "severity": "P2"},
                {"procedure": "p2-incident", "match": {"severity": "warning", "team": "ours"}},
                {"procedure": "p1-incident", "match": {"severity": "P1", "team": "ours"}},
            ]
        }
    )
    down = alert("Down")
    del down["labels"]["severity"]
    alerts = [
        alert("Theirs", "P1"),
        alert("Disk", team="ours"),
        alert("Slow", "info"),
        down,
        alert("Gone", "info", team="ours"),
        {"labels": None},
        alert("Any", ""),
    ]
    named = [alerts[place].get("labels") for place in worst_first(alerts, lambda one: rank(one, rules))]
    assert [one and one["alertname"] for one in named] == ["Down", "Disk", "Slow", "Theirs", "Gone", None, "Any"]


def test_one_giant_does_not_push_the_others_out() -> None:
    storm = _Storm(2_000_000, rank)
    giant = alert("Giant", "P1", text="x" * 1_500_000)
    for part in _pieces(body([alert("Down", "P2"), giant, alert("Disk")]), 10_000):
        storm.feed(part)
    group, _, left = storm.group()
    assert [one["labels"]["alertname"] for one in group.alerts] == ["Down", "Disk"]
    assert left == 1
