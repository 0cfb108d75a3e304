"""`runbooks note`: add a remark to a run."""

from typing import Annotated

import typer
from pydantic import ValidationError

from starters import runs
from starters.gateway import person
from starters.options import Reference, Role, Who
from starters.people import Exit, Stop, command, console
from starters.session import open_session
from starters.words import send
from workers.settings import explain
from workflows.shared.runbook import Note


@command
async def note(
    reference: Reference,
    text: Annotated[str, typer.Argument(metavar="TEXT")],
    who: Who = None,
    role: Role = None,
) -> None:
    """Add a remark to a run's timeline and records."""
    speaker = person(who, role)
    try:
        word = Note(who=speaker.who, role=speaker.role, text=text)
    except ValidationError as error:
        raise Stop(Exit.USAGE, explain(error)) from None
    session = await open_session()
    run = await runs.find(session, reference)
    console.print(await send(session, run, "note", word, str), markup=False)
