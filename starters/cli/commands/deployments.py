"""`runbooks deployments`: the workers' versions."""

from typing import Annotated

import typer

from starters.cli.options import Json, Who
from starters.cli.people import command, console

app = typer.Typer(help="The workers' versions: where new runs go, what open ones need.", no_args_is_help=True)

Build = Annotated[str, typer.Argument(metavar="BUILD", help="As `runbooks deployments list` shows it.")]


@app.command("list")
@command
async def list_all(*, as_json: Json = False) -> None:
    """Show every version, the open runs that end with it, and its workers. Exit code 1 where runs wait for none.

    Example: runbooks deployments list
    """
    from starters.cli.configured import load_settings
    from starters.cli.deployment_table import show
    from starters.steering.session import open_session

    await show(await open_session(load_settings()), as_json=as_json)


@app.command("runs")
@command
async def runs(
    build: Build,
    *,
    most: Annotated[int, typer.Option(min=1, max=1000, help="How many are shown.")] = 50,
    as_json: Json = False,
) -> None:
    """Show the open runs that end with a version, oldest first.

    Example: runbooks deployments runs v1.4.0
    """
    from starters.cli.configured import load_settings
    from starters.steering.deployments import runs_of
    from starters.steering.session import open_session

    found = await runs_of(await open_session(load_settings()), build, most)
    if as_json:
        from starters.cli.facts import as_document

        as_document([{"workflow_id": workflow_id, "procedure": kind} for workflow_id, kind in found])
        return
    for workflow_id, kind in found:
        console.print(f"{kind}  {workflow_id}", markup=False, soft_wrap=True)
    if not found:
        console.print("no open run needs it", style="dim")


@app.command("current")
@command
async def current(build: Build, *, as_json: Json = False, who: Who = None) -> None:
    """Let new runs go to this version, and the long ones that are open. To go back, name the former one.

    Example: runbooks deployments current v1.5.0
    """
    from starters.cli.configured import load_settings
    from starters.cli.facts import result
    from starters.cli.speaker import person
    from starters.steering.deployments import make_current
    from starters.steering.session import open_session

    await make_current(await open_session(load_settings()), build, person(who, None).who)
    result(f"{build} is current", as_json=as_json, build=build)


@app.command("ramp")
@command
async def ramp(
    build: Build,
    percentage: Annotated[float, typer.Argument(min=0, max=100, help="Of 100 new runs; 0 ends it.")],
    *,
    as_json: Json = False,
    who: Who = None,
) -> None:
    """Try a version with some of the new runs.

    Example: runbooks deployments ramp v1.5.0 10
    """
    from starters.cli.configured import load_settings
    from starters.cli.facts import result
    from starters.cli.speaker import person
    from starters.steering.deployments import ramp as let
    from starters.steering.session import open_session

    await let(await open_session(load_settings()), build, percentage, person(who, None).who)
    result(f"{build}: {percentage:g} of 100 new runs", as_json=as_json, build=build, percentage=percentage)
