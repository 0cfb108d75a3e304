"""`runbooks start`: begin a procedure."""

from datetime import timedelta
from typing import Annotated

import typer
from temporalio.client import WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from starters import inputs, runs
from starters.catalogue import new_workflow_id
from starters.gateway import person
from starters.options import Role, Who
from starters.people import Exit, Stop, command, console
from starters.session import Session, load_settings, open_session
from starters.watching import watch
from workers.registry import Procedure, procedure

_ACCEPTED_WITHIN = timedelta(seconds=10)


@command
async def start(
    name: Annotated[str, typer.Argument(metavar="PROCEDURE", help="See `runbooks catalogue`.")],
    *,
    text: Annotated[str | None, typer.Option("--input", help="JSON, @file, or - for stdin.")] = None,
    fields: Annotated[list[str] | None, typer.Option("--set", help="field=value over it; any number.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Plan only: everything but the effects.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Show it live, then print its result.")] = False,
    workflow_id: Annotated[str | None, typer.Option("--id", help="Workflow ID, instead of a new one.")] = None,
    who: Who = None,
    role: Role = None,
) -> None:
    """Start a procedure."""
    wanted = _procedure(name)
    speaker = person(who, role)
    defaults = {"requested_by": f"{speaker.who} ({speaker.role})"} | ({"dry_run": True} if dry_run else {})
    request = inputs.request(wanted, text, [*(fields or []), *(["dry_run=true"] if dry_run else [])], **defaults)
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
