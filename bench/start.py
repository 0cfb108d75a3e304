"""How long it takes to begin: a command to its end or to its first connection, a worker until it polls.

The floor of a command is `python -c pass`, that of a worker the SDK's own with one activity; all on the same machine,
in turns. A command is timed as its user sees it, from its start by another process: those that speak to Temporal until
they connect, against a port that accepts and says nothing; the others until they have ended. Memory is the process'
peak, as the kernel counts it. A worker is ready when Temporal lists its pollers of workflow and activity tasks.
"""

import asyncio
import base64
import json
import os
import re
import secrets
import shlex
import statistics
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import tomli_w
import typer
from rich.progress import Progress
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from audit.bundle import write
from bench.evidence_records import signed
from bench.harness import Outcome, result
from bench.servers import Servers
from sandbox.configuration import Configuration, Endpoints
from sandbox.ports import LOOPBACK, free_port
from sandbox.processes import ServerProcess
from starters.__main__ import application

_ROUNDS = 10
_RECORDS = 20
_MIB = 1024
_READY_WITHIN = 60.0
_LOOK_EVERY = 0.01
_TIMED = Path(__file__).with_name("timed.py")
_RUNBOOKS = (sys.executable, "-m", "starters")


@dataclass(frozen=True)
class _Command:
    """One command, and how far it is timed."""

    arguments: Sequence[str]
    connects: bool = False
    or_ends: bool = False

    @property
    def name(self) -> str:
        shown = " ".join(Path(one).name if one.startswith("/") else one for one in self.arguments)
        until = " → its first connection" if self.connects else ""
        return f"runbooks {shown}{f'{until}, or its end' if self.or_ends else until}"

    @property
    def options(self) -> list[str]:
        return [*(["--until-connected"] if self.connects else []), *(["--or-ended"] if self.or_ends else [])]


def _commands(bundle: Path, key: str) -> list[_Command]:
    by = ("--as", "bench")
    return [
        _Command(("--help",)),
        _Command(("catalogue",)),
        _Command(("catalogue", "--format", "json")),
        _Command(("status", "--help")),
        _Command(("audit", "verify", "--help")),
        _Command(("audit", "verify", str(bundle), "--public-key", key)),
        _Command(("routes", "check")),
        _Command(
            ("start", "p1-incident", "--yes", "--set", "title=API", "--set", "commander=bench", *by), connects=True
        ),
        _Command(("start", "rollback", "--yes", "--set", "reason=bench", *by), connects=True),
        _Command(("status", "a-run"), connects=True),
        _Command(("approve", "a-run"), connects=True),
        _Command(("note", "a-run", "a note", *by), connects=True),
        _Command(("close", "a-run", "--resolution", "r", "--root-cause", "c", *by), connects=True),
        _Command(("schedules", "apply"), connects=True),
        _Command(("audit", "search"), connects=True),
        _Command(("audit", "show", "a-run"), connects=True),
        *_others(),
    ]


def _others() -> Iterator[_Command]:
    """Every command's own example, as its help has it: until it connects to something, or has ended."""
    for command in _leaves(typer.main.get_command(application([]))):
        (example,) = re.findall(r"Example: runbooks (.+)", command.help or "")
        words = shlex.split(example)
        if words[0] != "sandbox":  # which is a process of its own
            yield _Command(words, connects=True, or_ends=True)


def _leaves(command: Any) -> Iterator[Any]:
    if not hasattr(command, "commands"):
        yield command
        return
    for one in command.commands.values():
        yield from _leaves(one)


class _Benchmark:
    key = "start"

    async def run(self, servers: Servers, *, rounds: int | None, progress: Progress) -> list[Outcome]:
        """Measure commands first, when nothing else of ours runs yet; then the worker."""
        counted = rounds or _ROUNDS
        commands = await asyncio.to_thread(_measure_commands, servers.directory / "start", counted, progress)
        return [*commands, await _measure_worker(servers, counted, progress)]


# -- commands --------------------------------------------------------------------------------------------


def _measure_commands(directory: Path, rounds: int, progress: Progress) -> list[Outcome]:
    directory.mkdir(parents=True)
    bundle, key = directory / "evidence.bundle.zip", directory / "key.pem"
    _make_bundle(bundle, key)
    port = free_port()
    environment = _environment(directory, port)
    commands = _commands(bundle, str(key))
    bar = progress.add_task("starting commands", total=(rounds + 1) * len(commands))
    outcomes = []
    for command in commands:
        ours: list[float] = []
        floor: list[float] = []
        peaks: list[float] = []
        cpu: list[float] = []
        for _ in range(rounds + 1):
            floor.append(_timed([sys.executable, "-c", "pass"], environment, port)["seconds"])
            taken = _timed([*_RUNBOOKS, *command.arguments], environment, port, *command.options)
            ours.append(taken["seconds"])
            peaks.append(taken["kib"] / _MIB)
            cpu.append(taken["cpu"])
            progress.advance(bar)
        # The first round reads from disk what the others have in memory.
        told = f"{statistics.median(cpu[1:]):.2f} s of CPU, {max(peaks):.0f} MiB at most"
        outcomes.append(Outcome(result(command.name, ours[1:], floor[1:], told)))
    return outcomes


def _timed(command: Sequence[str], environment: Mapping[str, str], port: int, *options: str) -> dict[str, float]:
    answer = subprocess.run(
        [sys.executable, "-I", "-S", _TIMED, str(port), *options, "--", *command],
        env=dict(environment),
        cwd=environment["HOME"],
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise RuntimeError(f"{shlex.join(map(str, command))}: {answer.stderr}")
    figures: dict[str, float] = json.loads(answer.stdout)
    return figures


def _make_bundle(bundle: Path, key: Path) -> None:
    signer, records = signed(_RECORDS)
    with bundle.open("wb") as file:
        write(file, signer, records, _RECORDS)
    key.write_text(base64.b64encode(signer.public_key).decode(), encoding="ascii")


def _environment(directory: Path, port: int) -> dict[str, str]:
    """Give an environment with the sandbox's settings, in which every server is at `timed.py`'s port."""
    at = f"{LOOPBACK}:{port}"
    configuration = _configured(
        directory, temporal=at, records=f"postgresql://nobody@{at}/nothing", others=f"http://{at}"
    )
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return {
        **kept,
        "HOME": str(directory),
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "RUNBOOKS_CONFIG": str(configuration.file),
    }


def _configured(directory: Path, *, temporal: str, records: str, others: str = f"http://{LOOPBACK}:1") -> Configuration:
    """Write settings; of the cluster and the rest nothing is asked before a first step."""
    configuration = Configuration(directory)
    kubeconfig = directory / "kubeconfig"
    configuration.write(
        Endpoints(
            temporal_address=temporal,
            temporal_ui=others,
            records_url=records,
            kubeconfig=kubeconfig,
            prometheus_url=others,
            alertmanager_url=others,
            aws_url=others,
            webhook_port=free_port(),
            health_url=others,
        )
    )
    kubeconfig.write_text(json.dumps(_kubeconfig(others.replace("http:", "https:"))), encoding="utf-8")
    settings = tomllib.loads(configuration.file.read_text(encoding="utf-8"))
    del settings["worker"]  # as production works by default, not as the sandbox does
    configuration.file.write_text(tomli_w.dumps(settings), encoding="utf-8")
    return configuration


def _kubeconfig(server: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "bench",
        "clusters": [{"name": "bench", "cluster": {"server": server}}],
        "users": [{"name": "bench", "user": {"token": "none"}}],
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
    }


# -- the worker ------------------------------------------------------------------------------------------


async def _measure_worker(servers: Servers, rounds: int, progress: Progress) -> Outcome:
    temporal = servers.temporal
    configuration = _configured(servers.directory / "start-worker", temporal=temporal.address, records=servers.records)
    client = await Client.connect(temporal.address)
    bar = progress.add_task("starting workers", total=rounds + 1)
    ours: list[float] = []
    floor: list[float] = []
    used: list[float] = []
    for _ in range(rounds + 1):
        queues = [f"bench-start-{secrets.token_hex(4)}" for _ in range(2)]
        env = {"RUNBOOKS_CONFIG": str(configuration.file), "RUNBOOKS_TEMPORAL__TASK_QUEUE": queues[0]}
        started = partial(servers.python, "start-worker", "workers", env=env)
        ours.append(await _ready(client, queues[0], started, used))
        bare = partial(servers.python, "bare-worker", "bench.bare_worker", temporal.address, queues[1])
        floor.append(await _ready(client, queues[1], bare, []))
        progress.advance(bar)
    told = f"{statistics.median(used[1:]):.2f} s of CPU until then"
    return Outcome(result("a worker's start → Temporal sees it poll", ours[1:], floor[1:], told))


async def _ready(client: Client, queue: str, start: Callable[[], ServerProcess], used: list[float]) -> float:
    """Start a worker, and give the seconds until both its pollers are listed; `used` gets what it took of the CPU."""
    began = time.perf_counter()
    worker = start()
    try:
        for kind in (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY):
            request = DescribeTaskQueueRequest(
                namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind
            )
            while not (await client.workflow_service.describe_task_queue(request)).pollers:
                if time.perf_counter() - began > _READY_WITHIN:
                    raise RuntimeError(f"no worker on {queue}: {worker.log.read_text(encoding='utf-8')}")
                await asyncio.sleep(_LOOK_EVERY)
        seconds = time.perf_counter() - began
        times = psutil.Process(worker.pid).cpu_times()
        used.append(times.user + times.system)
        return seconds
    finally:
        worker.stop()


BENCHMARK = _Benchmark()
