"""`runbooks cancel`: stop a run."""

from typing import Annotated

import typer

from starters.cli.options import Json, Reference, Role, Who
from starters.cli.people import Exit, Stop, command
from starters.cli.speaker import person


@command
async def cancel(
    reference: Reference,
    *,
    reason: Annotated[str, typer.Option(help="For the history.")] = "",
    as_json: Json = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """Ask a run to stop: it puts back what it has paused, and ends as cancelled.

    Example: runbooks cancel 1a2b3c
    """
    from audit.text import shown
    from starters.cli.configured import load_settings
    from starters.cli.facts import result
    from starters.steering.finding import find
    from starters.steering.session import open_session

    session = await open_session(load_settings())
    run = await find(session, reference)
    if not run.running:
        raise Stop(Exit.OVER, f"{run.workflow_id} is {run.state} already")
    speaker = person(who, role)
    await run.handle.cancel(reason=f"{speaker.who} ({speaker.role}){f': {shown(reason)}' if reason else ''}")
    result(
        f"{run.workflow_id} has been asked to stop: `runbooks status` shows it",
        as_json=as_json,
        workflow_id=run.workflow_id,
        run_id=run.description.run_id,
        who=speaker.who,
        role=speaker.role,
    )
