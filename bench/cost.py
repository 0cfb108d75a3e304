"""What a run costs: events and bytes in Temporal, and the CPU that a worker needs to take it up by replaying it.

Each procedure's longest recorded run is replayed as production does it, without the workflow sandbox, and with it. The
floor is the SDK's own: a run of as many events that only calls activities one after the other, of nothing but the SDK's
defaults. It is process CPU, so that what else the machine does counts little.
"""

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import count

from rich.progress import Progress
from temporalio import workflow
from temporalio.api.common.v1 import ActivityType, Payload, Payloads, WorkflowType
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from bench.harness import Outcome, result
from bench.servers import Servers
from tests.replay.cost import Cost, read, recorded
from workers.converter import DATA_CONVERTER
from workers.interceptors import RunbookInterceptor
from workers.registry import PROCEDURES, Procedure
from workers.runner import runner

_ROUNDS = 9
_WARMUP = 2
_ACTIVITY = "nothing"
_EVENTS_A_STEP = 6


@workflow.defn
class Plain:
    """The floor: one activity after the other."""

    @workflow.run
    async def run(self, steps: int) -> None:
        for _ in range(steps):
            await workflow.execute_activity(_ACTIVITY, "", start_to_close_timeout=timedelta(seconds=10))


def _plain_history(events: int) -> WorkflowHistory:
    """Write the history of a `Plain` run of about that many events."""
    steps = events // _EVENTS_A_STEP
    numbers, history = count(1), list[HistoryEvent]()

    def happened(name: str) -> HistoryEvent:
        event = HistoryEvent(event_id=next(numbers), event_type=EventType.Value(f"EVENT_TYPE_{name}"))
        event.event_time.FromSeconds(1_700_000_000 + event.event_id)
        history.append(event)
        return event

    def task() -> None:
        scheduled = happened("WORKFLOW_TASK_SCHEDULED")
        scheduled.workflow_task_scheduled_event_attributes.task_queue.name = "plain"
        started = happened("WORKFLOW_TASK_STARTED")
        started.workflow_task_started_event_attributes.scheduled_event_id = scheduled.event_id
        completed = happened("WORKFLOW_TASK_COMPLETED").workflow_task_completed_event_attributes
        completed.scheduled_event_id, completed.started_event_id = scheduled.event_id, started.event_id

    begun = happened("WORKFLOW_EXECUTION_STARTED").workflow_execution_started_event_attributes
    begun.workflow_type.CopyFrom(WorkflowType(name=Plain.__name__))
    begun.task_queue.CopyFrom(TaskQueue(name="plain"))
    begun.input.CopyFrom(_payloads(str(steps)))
    begun.original_execution_run_id = begun.first_execution_run_id = "plain"
    task()
    for number in range(1, steps + 1):
        scheduled = happened("ACTIVITY_TASK_SCHEDULED")
        asked = scheduled.activity_task_scheduled_event_attributes
        asked.activity_id = str(number)
        asked.activity_type.CopyFrom(ActivityType(name=_ACTIVITY))
        asked.input.CopyFrom(_payloads('""'))
        started = happened("ACTIVITY_TASK_STARTED")
        started.activity_task_started_event_attributes.scheduled_event_id = scheduled.event_id
        done = happened("ACTIVITY_TASK_COMPLETED").activity_task_completed_event_attributes
        done.scheduled_event_id, done.started_event_id = scheduled.event_id, started.event_id
        done.result.CopyFrom(_payloads('""'))
        task()
    happened("WORKFLOW_EXECUTION_COMPLETED").workflow_execution_completed_event_attributes.SetInParent()
    return WorkflowHistory("plain", history)


def _payloads(json: str) -> Payloads:
    return Payloads(payloads=[Payload(metadata={"encoding": b"json/plain"}, data=json.encode())])


async def _cpu(replayer: Replayer, history: WorkflowHistory) -> float:
    """Replay; gives the CPU seconds that it took."""

    async def histories() -> AsyncIterator[WorkflowHistory]:
        yield history

    began = time.process_time()
    async with replayer.workflow_replay_iterator(histories()) as results:
        async for replayed in results:
            if replayed.replay_failure is not None:
                raise replayed.replay_failure
        return time.process_time() - began


def _ours(procedure: Procedure, *, sandbox: bool) -> Replayer:
    return Replayer(
        workflows=[procedure.workflow],
        data_converter=DATA_CONVERTER,
        interceptors=[RunbookInterceptor()],
        workflow_runner=runner(sandbox=sandbox),
    )


async def _measure(procedure: Procedure, runs: dict[str, Cost], rounds: int) -> Outcome:
    name = max(runs, key=lambda run: runs[run].events)
    history, length = read(name), runs[name].events
    plain = Replayer(workflows=[Plain], workflow_runner=UnsandboxedWorkflowRunner())
    sides = {
        "plain": (plain, _plain_history(length)),
        "ours": (_ours(procedure, sandbox=False), history),
        "sandboxed": (_ours(procedure, sandbox=True), history),
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(_WARMUP + rounds):
        for side, (replayer, replayed) in sides.items():
            seconds[side].append(await _cpu(replayer, replayed))
    ours, sandboxed, floor = (seconds[side][_WARMUP:] for side in ("ours", "sandboxed", "plain"))
    checked = result("", sandboxed, floor)
    events, size = (_range([getattr(run, kind) for run in runs.values()]) for kind in ("events", "bytes"))
    many = f"{len(runs)} recorded run{'' if len(runs) == 1 else 's'}"
    return Outcome(
        result(
            f"CPU of a replay: {name}",
            ours,
            floor,
            f"{length:,} events; in the sandbox {checked.ours:,.1f} ms (p95 {checked.ours_p95:,.1f} ms), "
            f"{checked.ratio:.2f} × the floor",
            f"{many} of {procedure.section}: {events} events, {size} bytes",
        )
    )


def _range(numbers: list[int]) -> str:
    least, most = min(numbers), max(numbers)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


class _Benchmark:
    key = "cost"

    async def run(self, servers: Servers, *, rounds: int | None, progress: Progress) -> list[Outcome]:
        del servers
        costs = recorded()
        bar = progress.add_task("cost of a run", total=len(PROCEDURES))
        outcomes = []
        for procedure in PROCEDURES:
            runs = {name: cost for name, cost in costs.items() if name.partition("-")[0] == procedure.name}
            outcomes.append(await _measure(procedure, runs, rounds or _ROUNDS))
            progress.advance(bar)
        return outcomes


BENCHMARK = _Benchmark()
