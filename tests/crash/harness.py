"""Runs a procedure once undisturbed and once for every kill, and compares what they leave behind."""

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import tomli_w
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle

from tests.crash.scenario import Case, EndState, Scenario, Servers
from workers.clients import connect
from workers.registry import procedure
from workers.settings import Temporal

RUN_LIMIT = timedelta(minutes=3)


@dataclass
class Verdict:
    """What one kill did."""

    kill: str
    killed: bool
    duplicates: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    paused: list[str] = field(default_factory=list)
    error: str = ""

    @property
    def clean(self) -> bool:
        return self.killed and not (self.duplicates or self.lost or self.paused or self.error)

    def __str__(self) -> str:
        found = {"twice": self.duplicates, "lost": self.lost, "paused": self.paused, "error": [self.error]}
        wrong = [f"{name}: {', '.join(values)}" for name, values in found.items() if any(values)]
        return "; ".join([self.kill, *wrong, *([] if self.killed else ["never killed"])])


async def crash(scenario: Scenario, servers: Servers, *, parallel: int = 3, only: str = "",
                told: Callable[[Verdict], None] = lambda _: None) -> list[Verdict]:  # fmt: skip
    """Kill at every effect (or those whose name has `only` in it), before and after; `told` hears each verdict."""
    client = await connect(Temporal(address=servers.temporal))
    undisturbed = Case("undisturbed", servers, servers.directory / "undisturbed")
    expected, history = await _run(scenario, client, undisturbed, kill=None)
    kills = [f"{step}:{when}" for step in await _effects(history) for when in ("before", "after")]
    kills = [kill for kill in kills if only in kill]
    room = asyncio.Semaphore(parallel)

    async def one(number: int, kill: str) -> Verdict:
        async with room:
            case = Case(f"{number}", servers, servers.directory / f"{number}-{kill.replace(':', '-')}")
            verdict = await _judge(scenario, client, case, kill, expected)
        told(verdict)
        return verdict

    return list(await asyncio.gather(*(one(number, kill) for number, kill in enumerate(kills))))


async def _judge(scenario: Scenario, client: Client, case: Case, kill: str, expected: EndState) -> Verdict:
    try:
        found, _ = await _run(scenario, client, case, kill=kill)
    except Exception as error:  # noqa: BLE001  a verdict on one kill must not end the others
        return Verdict(kill, killed=_mark(case).exists(), error=f"{type(error).__name__}: {error}")
    names = expected.counts.keys() | found.counts.keys()
    more = [n for n in sorted(names) if found.counts.get(n, 0) > expected.counts.get(n, 0)]
    less = [n for n in sorted(names) if found.counts.get(n, 0) < expected.counts.get(n, 0)]
    return Verdict(kill, killed=_mark(case).exists(), duplicates=more, lost=less, paused=found.paused)


async def _run(
    scenario: Scenario, client: Client, case: Case, *, kill: str | None
) -> tuple[EndState, WorkflowHandle[Any, Any]]:
    case.directory.mkdir(parents=True)
    config = case.directory / "runbooks.toml"
    config.write_text(tomli_w.dumps(await scenario.prepare(case)), encoding="utf-8")
    entry = procedure(scenario.procedure)
    worker = asyncio.create_task(_keep_worker(case, config, kill))
    try:
        handle = await client.start_workflow(
            entry.workflow_type, scenario.request(case), id=case.workflow_id, task_queue=case.task_queue
        )
        async with asyncio.timeout(RUN_LIMIT.total_seconds()):
            await scenario.steer(handle)
            await handle.result()
        state = await scenario.end_state(case)
        status = (await handle.describe()).status
        if status is not WorkflowExecutionStatus.COMPLETED:
            state.paused.append(f"run is {status}")
    finally:
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        await scenario.clean(case)
    return state, handle


async def _keep_worker(case: Case, config: Path, kill: str | None) -> None:
    """Keep one worker alive: the first is to be killed, the next takes over, as a supervisor would do."""
    environment = {**os.environ, "RUNBOOKS_CONFIG": str(config)}
    if kill is not None:
        environment |= {"RUNBOOKS_CRASH_AT": kill, "RUNBOOKS_CRASH_MARK": str(_mark(case))}
    with (case.directory / "worker.log").open("ab") as log:
        while True:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.crash.worker", env=environment, stderr=log, stdout=log
            )
            try:
                await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()


def _mark(case: Case) -> Path:
    return case.directory / "killed"


async def _effects(handle: WorkflowHandle[Any, Any]) -> list[str]:
    """Find every effect of a run in its history, by the last part of its key."""
    steps = []
    async for event in handle.fetch_history_events():
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            payloads = event.activity_task_scheduled_event_attributes.input.payloads
            (body,) = await handle._client.data_converter.decode(payloads)
            if isinstance(body, dict) and "effect" in body:
                steps.append(body["effect"]["key"].rpartition("/")[2])
    return steps
