"""`runbooks schedules`: what runs on the clock."""

import typer

from starters.cli.people import command, console

app = typer.Typer(help="What runs on the clock.", no_args_is_help=True)


@app.command("apply")
@command
async def apply_all() -> None:
    """Make Temporal's schedules as the settings say; as often as you like."""
    from starters.cli.configured import load_settings
    from starters.schedules import apply
    from starters.steering.session import open_session

    session = await open_session(load_settings())
    settings = session.settings
    for applied in await apply(session.client, settings.audit, settings.services, settings.temporal.task_queue):
        console.print(f"{applied.name}: {applied.what} ({applied.note})", markup=False, soft_wrap=True)


@app.command("list")
@command
async def list_all() -> None:
    """Show every schedule of the namespace, when it ran last and when it runs next."""
    from rich import box
    from rich.table import Table

    from starters.cli.configured import load_settings
    from starters.steering.session import open_session

    session = await open_session(load_settings())
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("schedule", "state", "last", "next", "note"):
        table.add_column(name, overflow="fold")
    async for found in await session.client.list_schedules():
        description = await session.client.get_schedule_handle(found.id).describe()
        info, state = description.info, description.schedule.state
        last = info.recent_actions[-1].started_at if info.recent_actions else None
        upcoming = info.next_action_times[0] if info.next_action_times else None
        table.add_row(
            found.id,
            "paused" if state.paused else "on",
            f"{last:%Y-%m-%d %H:%M:%S}" if last else "never",
            f"{upcoming:%Y-%m-%d %H:%M:%S}" if upcoming and not state.paused else "—",
            state.note or "",
        )
    if table.row_count:
        console.print(table)
    else:
        console.print("no schedules: `runbooks schedules apply` makes them", style="dim")
