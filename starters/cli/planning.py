"""Shows on the terminal what a procedure would do now."""

from pydantic import BaseModel
from rich.console import Console
from rich.text import Text

from starters.cli.lists import Hanging
from starters.cli.people import complaints
from starters.steering.identity import Person
from starters.steering.planning import planned, would
from starters.steering.session import Session
from workers.registry import Procedure


async def plan_of(session: Session, wanted: Procedure, request: BaseModel, speaker: Person) -> str:
    """Run it in plan mode, which changes nothing, and say what it would do.

    Raises:
        SteeringError: it would fail, or nobody answers; nothing is started.

    """
    with complaints.status(f"asking what {wanted.command} would do"):
        status = await planned(session, wanted, request, speaker, origin="the command line")
    return f"{wanted.title} ({wanted.section}) of {status.service or 'all'}\n{would(status)}"


def show(plan: str, console: Console) -> None:
    """Show a plan; on a terminal what goes on in another line stands below its text, elsewhere lines are whole."""
    for line in plan.splitlines():
        mark = line[: len(line) - len(line.lstrip(" ·"))]
        if console.is_terminal:
            console.print(Hanging(Text(line), indent=len(mark)))
        else:
            console.print(Text(line), soft_wrap=True)
