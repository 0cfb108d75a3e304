"""Runs procedures once undisturbed and once for every kill, and compares what they leave behind."""

import asyncio
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import tomli_w
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle

from tests.crash import worker
from tests.crash.case_queue import Moved, Queue
from tests.crash.durations import UNDISTURBED, Durations
from tests.crash.room import CEILING
from tests.crash.scenario import Case, EndState, Scenario, Servers
from tests.how_far import how_far_all
from workers.clients import connect
from workers.registry import procedure
from workers.settings import TemporalSettings

RUN_LIMIT = timedelta(minutes=8)
_LOG_LINES = 30


@dataclass
class Verdict:
    """What one kill did."""

    scenario: str
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
        told = [f"{self.scenario} {self.kill}", *wrong, *([] if self.killed else ["never killed"])]
        return "; ".join(told)


Chosen = Callable[[Scenario, str], bool]
"""Whether to make a kill, for example `StandardDeployment/helm-upgrade:before`."""


@dataclass
class Outcome:
    """What became of a scenario: its verdicts, or why its undisturbed run is no measure for any."""

    verdicts: list[Verdict] = field(default_factory=list)
    error: Exception | None = None

    def checked(self) -> list[Verdict]:
        """Give the verdicts.

        Raises:
            Exception: what was wrong with the undisturbed run.

        """
        if self.error is not None:
            raise self.error
        return self.verdicts


async def crash_all(
    scenarios: Sequence[Scenario],
    servers: Servers,
    *,
    chosen: Chosen = lambda _scenario, _kill: True,
    told: Callable[[Verdict], None] = lambda _: None,
    moved: Moved = lambda _: None,
) -> dict[str, Outcome]:
    """Kill before and after every effect of every scenario, and during those that run a program.

    PostgreSQL's servers are killed where the scenario says so. All cases stand in one queue; the kills of a scenario
    come into it when its undisturbed run has ended, in whose history the effects are found. `told` hears each verdict.
    """
    client = await connect(TemporalSettings(address=servers.temporal))
    # Setting a world up waits in a thread, and there are more of them at a time than asyncio would give.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(CEILING * 2, thread_name_prefix="world"))
    durations = Durations.load()
    queue = Queue(durations, moved)
    outcomes = {scenario.name: Outcome() for scenario in scenarios}

    async def undisturbed(scenario: Scenario) -> None:
        try:
            expected, effects = await _measure(scenario, client, _case(scenario, servers, UNDISTURBED))
        except Exception as error:  # noqa: BLE001  the other scenarios go on
            outcomes[scenario.name].error = error
            return
        kills = [kill for kill in _kills(scenario, effects) if chosen(scenario, kill)]
        verdicts = outcomes[scenario.name].verdicts = [Verdict(scenario.name, kill, killed=False) for kill in kills]
        for number, verdict in enumerate(verdicts):
            case = _case(scenario, servers, str(number))
            queue.add(scenario, verdict.kill, partial(one, scenario, case, verdict, expected))

    async def one(scenario: Scenario, case: Case, verdict: Verdict, expected: EndState) -> None:
        await _judge(scenario, client, case, verdict, expected)
        told(verdict)

    for scenario in scenarios:
        foreseen = [kill for kill in durations.kills(scenario) if chosen(scenario, kill)]
        queue.add(scenario, UNDISTURBED, partial(undisturbed, scenario), foreseen=foreseen)
    try:
        await queue.work()
    finally:
        durations.save()
    return outcomes


async def crash(
    scenario: Scenario, servers: Servers, *, chosen: Chosen = lambda _scenario, _kill: True
) -> list[Verdict]:
    """Kill at the effects of one scenario.

    Raises:
        AssertionError: the undisturbed run already doesn't leave what it must.

    """
    return (await crash_all([scenario], servers, chosen=chosen))[scenario.name].checked()


async def _measure(scenario: Scenario, client: Client, case: Case) -> tuple[EndState, list[str]]:
    """Run undisturbed; gives what that leaves, and the effects in the order in which they were begun."""
    expected = await _run(scenario, client, case, kill=None)
    missed = {name: count for name, count in scenario.leaves.items() if expected.counts[name] != count}
    assert not missed, f"{scenario.name}, undisturbed, does not leave {missed} but {dict(expected.counts)}"
    assert not expected.paused, f"{scenario.name}, undisturbed, leaves {expected.paused}"
    effects = [effect async for effect in _effects(client, client.get_workflow_handle(case.workflow_id))]
    return expected, list(dict.fromkeys(effects))


def _case(scenario: Scenario, servers: Servers, name: str) -> Case:
    full = f"{scenario.name}-{name}"
    return Case(full, servers, servers.directory / full)


def _kills(scenario: Scenario, effects: Sequence[str]) -> Iterator[str]:
    for effect in effects:
        yield f"{effect}:before"
        if effect in scenario.programs:
            yield f"{effect}:during"
        yield f"{effect}:after"
        for server in scenario.databases.get(effect, ()):
            yield from (f"{effect}:{when}@{server}" for when in ("before", "during", "after"))


async def _judge(scenario: Scenario, client: Client, case: Case, verdict: Verdict, expected: EndState) -> None:
    try:
        found = await _run(scenario, client, case, kill=verdict.kill)
    except Exception as error:  # noqa: BLE001  a verdict on one kill must not end the others
        verdict.error = _told(error)
    else:
        verdict.duplicates = _that_matter(scenario, verdict.kill, found.counts - expected.counts)
        verdict.lost = _that_matter(scenario, verdict.kill, expected.counts - found.counts)
        verdict.paused = found.paused
    verdict.killed = case.mark.exists()


def _told(error: Exception) -> str:
    """Say what went wrong and where of ours: some errors have no words."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames if "site-packages" not in frame.filename]
    return f"{type(error).__name__}: {error} ({' '.join(ours[-4:])})"


def _that_matter(scenario: Scenario, kill: str, counts: Counter[str]) -> list[str]:
    return sorted(name for name in counts if scenario.matters(kill, name))


async def _run(scenario: Scenario, client: Client, case: Case, *, kill: str | None) -> EndState:
    async with prepared(scenario, client, case) as start:
        workers = asyncio.create_task(_keep_worker(case, kill))
        try:
            handle = await start()
            async with in_time(client, case):
                await scenario.steer(handle)
                await ended(scenario, handle, kill)
            return await scenario.end_state(case)
        finally:
            workers.cancel()
            await asyncio.gather(workers, return_exceptions=True)


@asynccontextmanager
async def in_time(client: Client, case: Case, limit: timedelta = RUN_LIMIT) -> AsyncIterator[None]:
    """Bound what a run and its people do; where it takes longer, say how far all runs of the case have come.

    Raises:
        AssertionError: it did, with the end of the workers' log.

    """
    try:
        async with asyncio.timeout(limit.total_seconds()):
            yield
    except TimeoutError as error:
        log = case.log.read_text(errors="replace").splitlines()[-_LOG_LINES:] if case.log.exists() else []
        told = [str(error) or f"not over in {limit}", await how_far_all(client, case.task_queue)]
        raise AssertionError("\n".join([*told, "the workers' log ends:", *log])) from error


@asynccontextmanager
async def with_worker(client: Client, case: Case) -> AsyncIterator[None]:
    """Let one worker work meanwhile, in time, and kill it then."""
    process = worker.start(case)
    try:
        async with in_time(client, case):
            yield
    finally:
        process.kill()


@asynccontextmanager
async def prepared(scenario: Scenario, client: Client, case: Case) -> AsyncIterator[Callable[[], Any]]:
    """Set the case's world up, and give what starts its run."""
    case.directory.mkdir(parents=True)
    try:
        case.config.write_text(tomli_w.dumps(await scenario.prepare(case)), encoding="utf-8")
        workflow_type = procedure(scenario.procedure).workflow_type
        yield lambda: client.start_workflow(
            workflow_type, scenario.request(case), id=case.workflow_id, task_queue=case.task_queue
        )
    finally:
        await scenario.clean(case)


async def ended(scenario: Scenario, handle: WorkflowHandle[Any, Any], kill: str | None = None) -> None:
    """Wait for the run's end.

    Raises:
        AssertionError: it is none that the scenario expects of a run that is killed there.

    """
    why: BaseException | None = None
    try:
        await handle.result()
    except WorkflowFailureError as failure:
        why = failure.cause
    status = (await handle.describe()).status
    assert status in scenario.ends(kill), f"the run is {status and status.name}: {why}"


async def _keep_worker(case: Case, kill: str | None) -> None:
    """Keep one worker alive: the first is to be killed, the next takes over, as a supervisor would do."""
    while True:
        process = worker.start(case, kill)
        try:
            await process.ended()
        finally:
            process.kill()


async def _effects(client: Client, handle: WorkflowHandle[Any, Any]) -> AsyncIterator[str]:
    """Find every effect of a run and of the runs it started, in their histories, as `Workflow/step`."""
    workflow_type = ""
    async for event in handle.fetch_history_events():
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
            workflow_type = event.workflow_execution_started_event_attributes.workflow_type.name
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            payloads = event.activity_task_scheduled_event_attributes.input.payloads
            (body,) = await client.data_converter.decode(payloads)
            if isinstance(body, dict) and "effect" in body:
                yield f"{workflow_type}/{body['effect']['key'].rpartition('/')[2]}"
        elif event.event_type == EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
            child = event.child_workflow_execution_started_event_attributes.workflow_execution
            async for effect in _effects(client, client.get_workflow_handle(child.workflow_id, run_id=child.run_id)):
                yield effect
