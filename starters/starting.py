"""Starts a procedure for a person, and waits for its result where they want to."""

from collections.abc import Sequence
from datetime import timedelta

from temporalio.client import WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from starters import inputs, runs
from starters.catalogue import new_workflow_id
from starters.configured import load_settings
from starters.people import Exit, Stop, console
from starters.session import Session, open_session
from starters.speaker import Person
from workers.registry import Procedure, procedure

_ACCEPTED_WITHIN = timedelta(seconds=10)


async def start(
    name: str,
    speaker: Person,
    *,
    text: str | None,
    fields: Sequence[str],
    dry_run: bool,
    wait: bool,
    workflow_id: str | None,
) -> None:
    """Start it, and say where it runs.

    Raises:
        Stop: it is not started, or it did not complete.

    """
    wanted = _procedure(name)
    defaults = {"requested_by": f"{speaker.who} ({speaker.role})"} | ({"dry_run": True} if dry_run else {})
    request = inputs.request(wanted, text, [*fields, *(["dry_run=true"] if dry_run else [])], **defaults)
    inputs.check_service(request, load_settings())
    session = await open_session()
    workflow_id = workflow_id or new_workflow_id(wanted)
    try:
        handle = await session.client.start_workflow(
            wanted.workflow_type,
            request,
            id=workflow_id,
            task_queue=session.settings.temporal.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            static_summary=wanted.title,
            static_details=f"Started from the command line by {speaker.who} ({speaker.role}).",
            rpc_timeout=_ACCEPTED_WITHIN,
        )
    except WorkflowAlreadyStartedError as error:
        link = session.link(workflow_id, error.run_id or "")
        raise Stop(Exit.REFUSED, f"{workflow_id} runs already: {link}") from None
    run_id = handle.result_run_id or ""
    console.print(f"workflow ID  {workflow_id}", markup=False, soft_wrap=True)
    console.print(f"run ID       {run_id}", markup=False, soft_wrap=True)
    console.print(f"Temporal UI  {session.link(workflow_id, run_id)}", markup=False, soft_wrap=True)
    if wait:
        await _result(session, f"{workflow_id}@{run_id}")


async def _result(session: Session, reference: str) -> None:
    run = await runs.find(session, reference)
    if console.is_terminal:
        from starters.watching import watch  # noqa: PLC0415  Markdown and tables, which a script never sees

        await watch(session, run, console)
    try:
        result = await run.handle.result()
    except WorkflowFailureError as error:
        raise Stop(Exit.REFUSED, f"the run did not complete: {runs.reason(error)}") from None
    console.print_json(data=result)


def _procedure(name: str) -> Procedure:
    try:
        return procedure(name)
    except KeyError as error:
        raise Stop(Exit.USAGE, str(error.args[0])) from None
