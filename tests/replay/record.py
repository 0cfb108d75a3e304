"""`python -m tests.replay.record [NAME …]`: record the histories that the replay test reads, those named or the new.

One that is there is recorded anew only with `--because "…"`, a line of docs/upgrading.md, when no run from before can
be open any more; otherwise guard the change with `workflow.patched`. `tests/replay/guard.py` keeps the reasons.
"""

import asyncio
import re
import sys
from argparse import ArgumentParser

from temporalio.client import WorkflowFailureError

from tests.replay.company import STACK
from tests.replay.every_case import every_case
from tests.replay.guard import FIRST, HISTORIES, note_recorded, refusal
from tests.servers import start_environment
from workers.registry import procedure
from workers.settings import TemporalSettings
from workers.worker import build


def _without_paths(history: str) -> str:
    """Leave the stack traces of failures out: they have this machine's paths, and nothing reads them."""
    return re.sub(r'"stackTrace": "(?:[^"\\]|\\.)*"', '"stackTrace": ""', history)


async def record(names: list[str], because: str) -> None:
    cases = every_case()
    for name in names or [name for name in cases if not (HISTORIES / f"{name}.json").exists()]:
        if refused := refusal(name, because):
            sys.exit(refused)
        case = cases[name]
        async with await start_environment() as environment:
            world = case.world()
            case.prepare(world)
            async with build(environment.client, TemporalSettings(task_queue=name), world.activities()):
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
        note_recorded(name, because or FIRST)
        print(f"{name}: {len(history.events)} events")


if __name__ == "__main__":
    parser = ArgumentParser(prog="python -m tests.replay.record", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--because", default="", help="why one that is there is recorded anew")
    given = parser.parse_args()
    with STACK:
        asyncio.run(record(given.names, given.because))
