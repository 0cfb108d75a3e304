"""`runbooks windows`: maintenance windows, and what people say to them (runbook 6.1)."""

from typing import Annotated

import typer

from starters.cli.groups import group
from starters.cli.options import Json, Reference, Role, Who
from starters.cli.people import command, console

app = group("Maintenance windows (6.1); `runbooks extend` lets one last longer.")


@app.command("list")
@command
async def list_all(*, as_json: Json = False) -> None:
    """Show the windows that are to come or in progress.

    Example: runbooks windows list
    """
    from rich.text import Text

    from starters.cli.configured import load_settings
    from starters.cli.lists import Item, joined, laid_out, line
    from starters.steering import runs
    from starters.steering.errors import SteeringError
    from starters.steering.finding import find
    from starters.steering.session import open_session

    session = await open_session(load_settings())
    heads = ("run", "what", "phase", "waiting for", "window")
    rows = []
    async for found in session.client.list_workflows(
        "WorkflowType = 'MaintenanceWindow' AND ExecutionStatus = 'Running'"
    ):
        try:
            told = await runs.status_of(await find(session, found.id))
        except SteeringError as error:
            rows.append((found.id, str(error), "", "", ""))
        else:
            rows.append((found.id, told.title, told.phase, told.waiting_for, told.board.partition("\n")[0]))
    if as_json:
        from starters.cli.facts import as_document

        as_document([dict(zip(heads, row, strict=True)) for row in rows])
        return
    items = []
    for run, what, phase, waits, window in rows:
        name, waiting = Text(run, style="bold"), Text(waits, style="bold yellow")
        about = line(phase, waiting, window)
        items.append(
            Item(
                cells=(name, Text(what), Text(phase), waiting, Text(window)),
                name=joined(name, what, between="  "),
                lines=(about,),
            )
        )
    if items:
        console.print(laid_out(heads, items, console))
    else:
        console.print("no windows: `runbooks start maintenance-window` makes one", style="dim")


@app.command()
@command
async def tick(
    reference: Reference,
    task: Annotated[str, typer.Argument(help="The task's ID, as `runbooks status` shows it.")],
    *,
    note: Annotated[str, typer.Option(help="What there is to know about it.")] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Take a tick back.")] = False,
    as_json: Json = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """Tick a task that people do.

    Example: runbooks windows tick RUN disk --note "serial 4711"
    """
    from starters.cli.saying import say
    from workflows.maintenance.window_words import TickTask

    await say(reference, who, role, TickTask, as_json=as_json, task=task, note=note, undo=undo)


@app.command()
@command
async def begin(
    reference: Reference,
    *,
    reason: Annotated[str, typer.Option(help="Why; for the timeline.")] = "",
    as_json: Json = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """Begin a window now, before its time; its end stays.

    Example: runbooks windows begin RUN
    """
    from starters.cli.saying import say
    from workflows.maintenance.window_words import BeginNow

    await say(reference, who, role, BeginNow, as_json=as_json, reason=reason)


@app.command()
@command
async def end(
    reference: Reference,
    *,
    reason: Annotated[str, typer.Option(help="Why; for the timeline.")],
    as_json: Json = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """End a window now: what is under way is stopped, and the service verified.

    Example: runbooks windows end RUN --reason "the disk did not fit"
    """
    from starters.cli.saying import say
    from workflows.maintenance.window_words import EndEarly

    await say(reference, who, role, EndEarly, as_json=as_json, reason=reason)
