"""`runbooks schedules`: what runs on the clock."""

from typing import Annotated

import typer

from starters.cli.groups import group
from starters.cli.options import Json, Who
from starters.cli.people import command, console

app = group("What runs on the clock.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="As `runbooks schedules list` shows it.")]


@app.command("apply")
@command
async def apply_all(*, as_json: Json = False) -> None:
    """Make Temporal's schedules as the settings say; as often as you like.

    Example: runbooks schedules apply
    """
    from starters.cli.configured import load_settings
    from starters.schedules import apply
    from starters.steering.session import open_session

    session = await open_session(load_settings())
    settings = session.settings
    done = await apply(
        session.client, settings.audit, settings.services, settings.temporal.task_queue, settings.directory
    )
    if as_json:
        from starters.cli.facts import as_document

        as_document([{"schedule": one.name, "done": one.what, "note": one.note} for one in done])
    for applied in () if as_json else done:
        console.print(f"{applied.name}: {applied.what} ({applied.note})", markup=False, soft_wrap=True)


@app.command("diff")
@command
async def diff(*, as_json: Json = False) -> None:
    """Show what `apply` would change; nothing is changed. Exit code 1 where it is anything.

    Example: runbooks schedules diff
    """
    from starters.cli.configured import load_settings
    from starters.cli.people import Exit, Stop
    from starters.schedules import compare
    from starters.steering.session import open_session

    session = await open_session(load_settings())
    settings = session.settings
    found = await compare(
        session.client, settings.audit, settings.services, settings.temporal.task_queue, settings.directory
    )
    changed = [one for one in found if one.what]
    if as_json:
        from starters.cli.facts import as_document

        as_document([{"schedule": one.name, "differs": list(one.what)} for one in changed])
    for one in () if as_json else changed:
        console.print(f"{one.name}: {'; '.join(one.what)}", markup=False, soft_wrap=True)
    if changed:
        raise Stop(Exit.REFUSED, "`runbooks schedules apply` makes it so")
    if not as_json:
        console.print("Temporal's schedules are as the settings say", style="dim")


@app.command("list")
@command
async def list_all(
    *,
    runs: Annotated[int, typer.Option(min=1, max=10, help="How many of the next runs are shown.")] = 3,
    as_json: Json = False,
) -> None:
    """Show every schedule, when it ran last and runs next, in its own time zone, and what it has missed.

    Example: runbooks schedules list --runs 5
    """
    from starters.cli.configured import load_settings
    from starters.cli.schedule_table import show
    from starters.steering.session import open_session

    await show(await open_session(load_settings()), runs, as_json=as_json)


@app.command("pause")
@command
async def pause(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why; whoever looks at the schedule reads it.")],
    *,
    as_json: Json = False,
    who: Who = None,
) -> None:
    """Let it start nothing until `resume`; `apply` leaves it paused.

    Example: runbooks schedules pause end-of-day/tensafe-server --reason "moving"
    """
    from starters.cli.configured import load_settings
    from starters.cli.facts import result
    from starters.cli.speaker import person
    from starters.steering.schedules import pause as pause_it
    from starters.steering.session import open_session

    session = await open_session(load_settings())
    await pause_it(session, name, f"{reason} ({person(who, None).who})")
    sentence = f"{name} is paused; `runbooks schedules resume {name}` lets it run again"
    result(sentence, as_json=as_json, schedule=name, paused=True)


@app.command("resume")
@command
async def resume(name: Name, *, as_json: Json = False) -> None:
    """Let a paused schedule run again; what it missed meanwhile stays missed.

    Example: runbooks schedules resume end-of-day/tensafe-server
    """
    from starters.cli.configured import load_settings
    from starters.cli.facts import result
    from starters.steering.schedules import resume as resume_it
    from starters.steering.session import open_session

    session = await open_session(load_settings())
    await resume_it(session, name)
    sentence = f'{name} runs again; its note says "resumed" until the next `runbooks schedules apply`'
    result(sentence, as_json=as_json, schedule=name, paused=False)


@app.command("trigger")
@command
async def trigger(name: Name, *, as_json: Json = False) -> None:
    """Start its run now, a paused one's too; not where a run of it is still open.

    Example: runbooks schedules trigger end-of-day/tensafe-server
    """
    from starters.cli.configured import load_settings
    from starters.cli.facts import result
    from starters.steering.schedules import trigger as trigger_it
    from starters.steering.session import open_session

    session = await open_session(load_settings())
    begun = await trigger_it(session, name)
    result(begun, as_json=as_json, schedule=name, workflow_id=begun)
