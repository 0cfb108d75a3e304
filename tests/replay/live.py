"""`make replay-live`: do the runs of a namespace, as they are now, replay on this tree's code?

The recorded histories show the ways that somebody thought of; this shows the runs that an upgrade will meet. Only
histories are read, and nothing is sent: run it from the new release's tree, before its workers are started. Settings
are those of the `runbooks` command (RUNBOOKS_CONFIG, RUNBOOKS_TEMPORAL__ADDRESS, TEMPORAL_*, the payload keys).
"""

import asyncio
import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Sequence

from temporalio.client import Client, WorkflowExecution, WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Replayer

from workers.clients import connect
from workers.codec import codec
from workers.converter import data_converter
from workers.interceptors import RunbookInterceptor
from workers.registry import PROCEDURES, SYSTEM
from workers.runner import runner
from workers.settings import Settings, SettingsError, load

KINDS: dict[str, type] = {kind.workflow.__name__: kind.workflow for kind in PROCEDURES}
KINDS |= {kind.workflow.__name__: kind.workflow for kind in SYSTEM}
_OPEN = 'ExecutionStatus = "Running"'


async def replayed(client: Client, settings: Settings, query: str, limit: int | None = None) -> dict[str, str]:
    """Replay what a query finds on the settings' task queue; gives why not, for each run that doesn't replay.

    Raises:
        RPCError: Temporal refuses the query.

    """
    replayer = Replayer(
        workflows=list(KINDS.values()),
        data_converter=data_converter(codec(settings.temporal.payload_keys)),
        interceptors=[RunbookInterceptor()],
        workflow_runner=runner(sandbox=settings.worker.workflow_sandbox),
    )
    told: Counter[str] = Counter()
    broken: dict[str, str] = {}
    where = f'TaskQueue = "{settings.temporal.task_queue}"' + (f" AND ({query})" if query else "")
    async for run in client.list_workflows(where, limit=limit):
        if run.workflow_type not in KINDS:
            broken[f"{run.id}@{run.run_id}"] = f"this tree has no {run.workflow_type}"
            continue
        if (history := await _history(client, run)) is None:
            continue
        result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
        told[run.workflow_type] += 1
        if result.replay_failure is not None:
            broken[f"{run.id}@{run.run_id}"] = str(result.replay_failure)
    for kind, number in sorted(told.items()):
        sys.stdout.write(f"{number:6} of {kind}\n")
    return broken


async def _history(client: Client, run: WorkflowExecution) -> WorkflowHistory | None:
    """Read a run's history; None where its retention has ended meanwhile."""
    try:
        history = await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    # The replayer takes this for the run's own ID; of one that somebody has reset it is that of the run before.
    history.events[0].workflow_execution_started_event_attributes.original_execution_run_id = run.run_id
    return history


async def _main(query: str, limit: int | None) -> int:
    settings = load()
    client = await connect(settings.temporal)
    broken = await replayed(client, settings, query, limit)
    for run, why in broken.items():
        sys.stdout.write(f"{run}: {why}\n")
    sys.stdout.write(f"{len(broken)} of these runs would be stuck on this code\n" if broken else "all of them replay\n")
    return 1 if broken else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay; 1 where a run doesn't, 2 where settings are wrong or Temporal doesn't answer."""
    parser = ArgumentParser(prog="make replay-live", description=__doc__)
    parser.add_argument("--query", default=_OPEN, help="which runs, in Temporal's language; default: %(default)s")
    parser.add_argument("--limit", type=int, help="no more runs than this; the newest come first")
    options = parser.parse_args(arguments)
    try:
        return asyncio.run(_main(options.query, options.limit))
    except (SettingsError, RuntimeError, RPCError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
