"""How a run stands, for people and for scripts: `runbooks status`."""

import json

from starters.cli.configured import load_settings
from starters.cli.people import console
from starters.cli.view import LATEST
from starters.cli.watching import picture, watch
from starters.steering import runs
from starters.steering.actions import actions
from starters.steering.ending import ending_of
from starters.steering.errors import Refused, SteeringError
from starters.steering.finding import find
from starters.steering.listing import row_of
from starters.steering.runs import Run
from starters.steering.session import Session, open_session
from workflows.platform.run_status import RunStatus


async def show(reference: str, *, follow: bool, whole: bool, as_json: bool, role: str | None) -> None:
    """Show a run, once or until it ends.

    Raises:
        SteeringError: there is none, or nobody answers for it.

    """
    session = await open_session(load_settings())
    run = await find(session, reference)
    if as_json:
        status = await runs.status_of(run) if run.running else await runs.told(run)
        console.file.write(json.dumps(await document(session, run, status), indent=2, ensure_ascii=False) + "\n")
        return
    if follow:
        await watch(session, run, console, role=role)
        return
    trouble: SteeringError | None = None
    told = None
    try:
        told = await runs.status_of(run)
    except SteeringError as error:
        trouble = error
    # Commands stand on lines of their own, which nothing breaks or cuts, and so does the link: to be copied.
    latest = None if whole else LATEST[0]
    console.print(await picture(session, run, told, console, latest=latest, role=role), crop=False)
    console.print(run.link, style="dim", soft_wrap=True)
    # A run that failed before it began has nothing to tell, and that has been shown.
    if trouble is not None and not isinstance(trouble, Refused):
        raise trouble


async def document(session: Session, run: Run, status: RunStatus | None) -> dict[str, object]:
    """Give all that is known of a run, for programs."""
    row = (await row_of(session, run.description, status)).model_dump(mode="json")
    ended = None if run.running else (await ending_of(run, status)).model_dump(mode="json")
    if status is None:
        return {**row, "ended": ended}
    can = actions(status, run=str(row["name"]), settings=session.settings) if run.running else []
    told = status.model_dump(mode="json", include={"clocks", "questions", "entries", "board"})
    commands = [{"command": action.command, "does": action.does} for action in can]
    return {**row, "ended": ended, "doing": list(run.doing), "actions": commands, **told}
