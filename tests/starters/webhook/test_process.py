"""The webhook as a process of its own: killed, stopped, without Temporal."""

import asyncio
import os
import signal
import socket
import time
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from temporalio.client import Client

from sandbox import probes
from sandbox.processes import ServerProcess
from sandbox.temporal import Temporal as TemporalServer
from tests.starters.support import (
    HEADERS,
    PATH,
    RUN,
    alert,
    body,
    fresh,
    no_incident,
    process,
    serving,
    settings_file,
    settings_for,
    waiting_for,
    working,
)
from tests.workflows.worlds.world import World
from workflows.platform.search_attributes import SEARCH_ATTRIBUTES

pytestmark = pytest.mark.servers

HUNG = 60
"""Seconds; a sender is told after five at most, which `bench` measures."""


class Running:
    """A webhook process and its address."""

    def __init__(self, server: ServerProcess, config: Path) -> None:
        self.server = server
        self.port = tomllib.loads(config.read_text())["webhook"]["port"]
        self.url = f"http://127.0.0.1:{self.port}"

    def post(self, *alerts: object) -> httpx.Response:
        return httpx.post(f"{self.url}{PATH}", json=body(*alerts), headers=HEADERS, timeout=30)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as entered:
        yield entered


def started(stack: ExitStack, folder: Path, config: Path, module: str = "starters.webhook") -> Running:
    server = process(folder / module, config, module)
    server.start()
    stack.callback(server.stop)
    running = Running(server, config)
    server.wait_ready(probes.http(f"{running.url}/healthz"))
    return running


async def test_killed_between_accept_and_answer_the_retry_makes_no_second_run(
    temporal_address: str, tmp_path: Path, stack: ExitStack, client: Client
) -> None:
    name, queue, world = fresh(), f"q-{uuid4()}", World()
    config = settings_file(tmp_path, temporal_address, queue, world)
    await no_incident(temporal_address)
    dying = started(stack, tmp_path, config, "tests.starters.webhook.dying_webhook")
    with pytest.raises(httpx.TransportError):
        dying.post(alert(name))
    accepted = await client.get_workflow_handle(RUN).describe()

    webhook = started(stack, tmp_path, config)
    retried = webhook.post(alert(name))
    assert retried.status_code == 202
    assert retried.json()["alerts"][0] == {
        "outcome": "joined",
        "workflow_id": RUN,
        "run_id": accepted.run_id,
        "detail": "",
    }

    async with working(temporal_address, queue, world) as connected:
        await waiting_for(connected, RUN, "close")
        await client.get_workflow_handle(RUN).execute_update(
            "close", {"who": "ada", "role": "commander", "resolution": "r", "root_cause": "c"}
        )
        await client.get_workflow_handle(RUN).result()
    assert webhook.post(alert(name)).json()["alerts"][0]["outcome"] == "already_handled"
    assert len(world.done("records.create_incident")) == 1


def test_it_ends_cleanly_when_told_to_and_says_nothing_secret(
    temporal_address: str, tmp_path: Path, stack: ExitStack
) -> None:
    config = settings_file(tmp_path, temporal_address, f"q-{uuid4()}", World())
    webhook = started(stack, tmp_path, config)
    marked = alert(fresh(), note="a-label-for-nobodys-log")
    assert webhook.post(marked).status_code == 202
    assert webhook.post({**marked, "startsAt": "a-value-for-nobodys-log"}).status_code == 422
    assert httpx.post(f"{webhook.url}{PATH}", headers={"Authorization": "Bearer hunter2"}).status_code == 401
    webhook.server.ask_to_stop()
    webhook.server.stop()
    log = webhook.server.log.read_text()
    assert '"event": "webhook stopped"' in log
    assert '"event": "alerts taken"' in log
    for secret in (HEADERS["Authorization"].split()[1], "hunter2", "nobodys-log", "Traceback"):
        assert secret not in log
    assert all(line.startswith("{") for line in log.splitlines()), log


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_without_end_is_refused_on_the_wire(
    temporal_address: str, tmp_path: Path, stack: ExitStack, *, chunked: bool
) -> None:
    config = settings_file(tmp_path, temporal_address, "q", World(), webhook={"max_body": 10_000})
    webhook = started(stack, tmp_path, config)
    length = "Transfer-Encoding: chunked" if chunked else "Content-Length: 1000000000"
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: {HEADERS['Authorization']}\r\n"
        f"Content-Type: application/json\r\n{length}\r\n\r\n"
    )
    piece = b" " * 1000
    piece = b"3e8\r\n" + piece + b"\r\n" if chunked else piece
    sent = 0
    with socket.create_connection(("127.0.0.1", webhook.port), timeout=120) as connection:
        connection.sendall(head.encode())
        connection.setblocking(False)
        deadline = time.monotonic() + 120
        answer = b""
        while b"\r\n\r\n" not in answer and time.monotonic() < deadline:
            with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                sent += connection.send(piece)
            try:
                answer += connection.recv(65536)
            except BlockingIOError:
                time.sleep(0.001)
    assert answer.startswith(b"HTTP/1.1 413"), answer
    assert sent < 10_000_000
    assert httpx.get(f"{webhook.url}/healthz").status_code == 200


def test_wrong_settings_end_it_with_a_sentence(temporal_address: str, tmp_path: Path) -> None:
    config = settings_file(tmp_path, temporal_address, "q", World(), webhook={"bearer_tokens": []})
    server = process(tmp_path / "bare", config, "starters.webhook")
    server.start()
    deadline = time.monotonic() + 240
    while "bearer_tokens" not in server.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "the webhook has no credentials" in server.log.read_text()
    assert "Traceback" not in server.log.read_text()
    server.stop()


def test_it_teaches_a_new_temporal_its_search_attributes(tmp_path: Path, stack: ExitStack) -> None:
    temporal = TemporalServer(tmp_path / "temporal")
    temporal.start()
    stack.callback(temporal.remove)
    temporal.wait_ready()
    webhook = started(stack, tmp_path, settings_file(tmp_path, temporal.address, "q", World()))
    name = fresh()
    deadline = time.monotonic() + 240
    while (response := webhook.post(alert(name))).status_code == 503 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert [one["outcome"] for one in response.json()["alerts"]] == ["started"]


async def test_while_temporal_is_away_the_sender_is_told_to_try_again(tmp_path: Path) -> None:
    temporal = TemporalServer(tmp_path / "temporal", SEARCH_ATTRIBUTES)
    first, second, third = fresh(), fresh(), fresh()
    try:
        async with serving(settings_for(temporal.address, "q", tmp_path, World())) as http:

            async def post(name: str) -> tuple[int, float]:
                began = time.monotonic()
                response = await http.post(PATH, json=body(alert(name)))
                return response.status_code, time.monotonic() - began

            # Not there yet.
            status, seconds = await post(first)
            assert (status, seconds < HUNG) == (503, True)
            assert (await http.get("/readyz")).status_code == 503
            assert (await http.get("/healthz")).status_code == 200

            temporal.start()
            temporal.wait_ready()
            assert (await post(first))[0] == 202
            assert (await http.get("/readyz")).status_code == 200

            # There, but it doesn't answer.
            pid = temporal.processes[0].pid or 0
            os.kill(pid, signal.SIGSTOP)
            await asyncio.to_thread(
                os.waitid, os.P_PID, pid, os.WSTOPPED
            )  # all of its threads; until then one may answer
            status, seconds = await post(second)
            os.kill(pid, signal.SIGCONT)
            assert (status, seconds < HUNG) == (503, True)

            # Gone, and back.
            temporal.stop()
            status, seconds = await post(third)
            assert (status, seconds < HUNG) == (503, True)
            temporal.restart()
            assert (await post(third))[0] == 202
            assert (await post(second))[0] == 202
            assert (await http.post(PATH, json=body(alert(first)))).json()["alerts"][0]["outcome"] == "joined"
    finally:
        temporal.stop()
