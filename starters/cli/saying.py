"""Says a person's word, typed on the command line, to a run."""

from typing import Any

from pydantic import ValidationError

from starters.cli.configured import load_settings
from starters.cli.facts import result
from starters.cli.speaker import person
from starters.steering.errors import WrongInput
from starters.steering.finding import find
from starters.steering.session import open_session
from starters.steering.words import send
from workers.settings import explain
from workflows.platform.signing import SignedWord


async def say(
    reference: str, who: str | None, role: str | None, kind: type[SignedWord], *, as_json: bool, **fields: Any
) -> None:
    """Make a word of what was typed, send it into the run that is meant, and print the run's answer.

    Raises:
        WrongInput: what was typed can't be meant; else see `send`.

    """
    speaker = person(who, role)
    try:
        word = kind(who=speaker.who, role=speaker.role, **fields)
    except ValidationError as error:
        raise WrongInput(explain(error)) from None
    session = await open_session(load_settings())
    run = await find(session, reference)
    answer = await send(session, run, word, str)
    result(
        answer,
        as_json=as_json,
        workflow_id=run.workflow_id,
        run_id=run.description.run_id,
        word=kind.UPDATE,
        who=speaker.who,
        role=speaker.role,
        answer=answer,
    )
