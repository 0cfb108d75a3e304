"""Starts a procedure for a person, and waits for its result where they want to."""

from collections.abc import Sequence

from temporalio.client import WorkflowFailureError

from starters.cli import inputs
from starters.cli.configured import load_settings
from starters.cli.people import console
from starters.steering import runs
from starters.steering.errors import Refused, WrongInput
from starters.steering.finding import find
from starters.steering.identity import Person
from starters.steering.inputs import check_service
from starters.steering.session import Session, open_session
from starters.steering.starting import begin
from workers.registry import Procedure, procedure


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
        SteeringError: it is not started, or it did not complete.

    """
    wanted = _procedure(name)
    defaults = {"requested_by": f"{speaker.who} ({speaker.role})"} | ({"dry_run": True} if dry_run else {})
    request = inputs.request(wanted, text, [*fields, *(["dry_run=true"] if dry_run else [])], **defaults)
    check_service(request, load_settings())
    session = await open_session(load_settings())
    begun = await begin(session, wanted, request, by=speaker, origin="the command line", workflow_id=workflow_id)
    console.print(f"workflow ID  {begun.workflow_id}", markup=False, soft_wrap=True)
    console.print(f"run ID       {begun.run_id}", markup=False, soft_wrap=True)
    console.print(f"Temporal UI  {begun.link}", markup=False, soft_wrap=True)
    if wait:
        await _result(session, begun.reference)


async def _result(session: Session, reference: str) -> None:
    run = await find(session, reference)
    if console.is_terminal:
        from starters.cli.watching import watch  # noqa: PLC0415  Markdown and tables, which a script never sees

        await watch(session, run, console)
    try:
        result = await run.handle.result()
    except WorkflowFailureError as error:
        raise Refused(f"the run did not complete: {runs.reason(error)}") from None
    console.print_json(data=result)


def _procedure(name: str) -> Procedure:
    try:
        return procedure(name)
    except KeyError as error:
        raise WrongInput(str(error.args[0])) from None
