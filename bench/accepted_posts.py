"""Accepted posts a second in a storm, each of an alert of its own; the floor is as many bare `start_workflow`.

Both have as many in flight, and start on a task queue that nobody works on. Posts are signed as Grafana signs them, go
over connections that stay open, and count when the 202 is there, which says that Temporal has the run. The time is that
of one, with all of them side by side: the inverse of how many a second.
"""

import asyncio
import hashlib
import hmac
import json
import secrets
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import closing

from rich.progress import Progress
from temporalio.client import Client

from bench.harness import Outcome, result
from bench.production import Production, Service, alert
from bench.servers import Servers
from sandbox.ports import LOOPBACK, free_port

_SERVICE = "tensafe-server"
_SOURCE = "grafana"
_SECRET = "a-secret-of-benchmarks"
_IN_FLIGHT = 32
_A_ROUND = 300
_ROUNDS = 6
_WARMUP = 2


class _Sender:
    """One connection of a sender, which stays open: as little as a client can be, since it shares the machine."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self) -> None:
        """Post an alert that has never fired, and wait for the 202."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(LOOPBACK, self._port)
        reader, writer = self._streams
        body = json.dumps({**json.loads(alert(_SERVICE)), "version": "1"}).encode()
        signature = hmac.new(_SECRET.encode(), body, hashlib.sha256).hexdigest()
        head = (
            f"POST /webhooks/{_SOURCE} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            f"X-Grafana-Alerting-Signature: {signature}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        while True:
            writer.write(head.encode() + body)
            answered = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(answered.partition("content-length:")[2].partition("\r\n")[0])
            said = await reader.readexactly(length)
            status = answered.split()[1]
            if status == "202":
                return
            if status != "503":  # a machine that is busy otherwise; Grafana tries again as well
                raise RuntimeError(f"the webhook answered {answered} {said.decode()}")

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


async def _storm(ways: list[Callable[[], Awaitable[object]]]) -> tuple[float, list[float]]:
    """Have all ways work through a round together; gives its seconds, and those of each one."""
    left = iter(range(_A_ROUND))
    each: list[float] = []

    async def work(way: Callable[[], Awaitable[object]]) -> None:
        for _ in left:
            began = time.perf_counter()
            await way()
            each.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(work(way) for way in ways))
    return time.perf_counter() - began, each


class _Benchmark:
    key = "accepted-posts"

    async def run(self, servers: Servers, *, rounds: int | None, progress: Progress) -> list[Outcome]:
        """Measure rounds of both in turns."""
        nowhere = f"http://{LOOPBACK}:{free_port()}"
        production = Production(
            servers,
            "posts",
            {_SERVICE: Service("tensafe", f"{nowhere}/health")},
            kubeconfig=servers.directory / "no-kubeconfig",
            prometheus_url=nowhere,
            policies={"alerts_by": "alert"},
            sources={_SOURCE: {"kind": "grafana", "secrets": [_SECRET], "rate": 100_000}},
        )
        counted = (rounds or _ROUNDS) + _WARMUP
        bar = progress.add_task("posts in a storm", total=counted)
        client = await Client.connect(servers.temporal.address)

        async def bare() -> None:
            await client.start_workflow("Bare", id=f"bare-{secrets.token_hex(8)}", task_queue=production.task_queue)

        ours: list[tuple[float, list[float]]] = []
        floor: list[tuple[float, list[float]]] = []
        with closing(production.start_webhook()):
            for number in range(counted):
                senders = [_Sender(production.port) for _ in range(_IN_FLIGHT)]
                sides = [([sender.post for sender in senders], ours), ([bare] * _IN_FLIGHT, floor)]
                for ways, measured in sides if number % 2 == 0 else reversed(sides):
                    measured.append(await _storm([*ways]))
                for sender in senders:
                    sender.close()
                progress.advance(bar)
        return [_outcome(ours[_WARMUP:], floor[_WARMUP:])]


def _outcome(ours: list[tuple[float, list[float]]], floor: list[tuple[float, list[float]]]) -> Outcome:
    per = [[seconds / _A_ROUND for seconds, _ in side] for side in (ours, floor)]
    a_second = [1 / statistics.median(one) for one in per]
    p99 = [statistics.quantiles([one for _, each in side for one in each], n=100)[-1] * 1000 for side in (ours, floor)]
    told = (
        f"{a_second[0]:.0f} posts a second beside {a_second[1]:.0f} starts, {a_second[0] / a_second[1]:.2f} times; "
        f"p99 {p99[0]:.0f} ms beside {p99[1]:.0f} ms, with {_IN_FLIGHT} in flight"
    )
    return Outcome(result("a post of a storm → accepted", *per, told))


BENCHMARK = _Benchmark()
