"""A post that is larger than what is kept: the worst alerts are taken all the same, in bounded memory."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.starters.support import HEADERS, PATH
from tests.starters.webhook.posts import LIMIT, alert, body


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
