"""`python -m tests.replay.record [NAME …]`: record the histories that the replay test reads, all or those named.

Record anew only when a procedure is meant to take new steps and no run of the old ones is open any more; otherwise
guard the change with `workflow.patched`.
"""

import asyncio
import re
import sys
from pathlib import Path

from temporalio.client import WorkflowFailureError

from tests.replay.company import STACK
from tests.replay.every_case import every_case
from tests.servers import start_environment
from workers.registry import procedure
from workers.settings import Temporal
from workers.worker import build

HISTORIES = Path(__file__).parents[1] / "histories"


def _without_paths(history: str) -> str:
    """Leave the stack traces of failures out: they have this machine's paths, and nothing reads them."""
    return re.sub(r'"stackTrace": "(?:[^"\\]|\\.)*"', '"stackTrace": ""', history)


async def record(names: list[str]) -> None:
    cases = every_case()
    for name in names or list(cases):
        case = cases[name]
        async with await start_environment() as environment:
            world = case.world()
            case.prepare(world)
            async with build(environment.client, Temporal(task_queue=name), world.activities()):
                handle = await environment.client.start_workflow(
                    procedure(name.partition("-")[0]).workflow_type, case.request, id=name, task_queue=name
                )
                await case.steer(handle, world)
                try:
                    await handle.result()
                except WorkflowFailureError:
                    assert case.cancelled
                history = await handle.fetch_history()
        (HISTORIES / f"{name}.json").write_text(_without_paths(history.to_json()), encoding="utf-8")
        print(f"{name}: {len(history.events)} events")


if __name__ == "__main__":
    with STACK:
        asyncio.run(record(sys.argv[1:]))
