"""Follows a run on the terminal until it ends."""

import asyncio
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from starters.cli.view import LATEST, Shown, fitted
from starters.steering import runs
from starters.steering.actions import actions
from starters.steering.ending import ending_of
from starters.steering.errors import SteeringError
from starters.steering.listing import may
from starters.steering.runs import Run
from starters.steering.session import Session
from workflows.platform.run_status import RunStatus

_EVERY_SECONDS = 1.0


async def watch(session: Session, run: Run, console: Console, *, role: str | None = None) -> None:
    """Show the run's status until it ends; a worker that is away for a while doesn't end it."""
    status: RunStatus | None = None
    with Live(console=console, auto_refresh=False) as live:
        while True:
            run = await runs.again(session, run)
            trouble = ""
            try:
                status = await runs.status_of(run)
            except SteeringError as error:
                trouble = str(error)
            latest = LATEST[0] if run.running and console.is_terminal else None
            shown = await picture(session, run, status, console, trouble, link=run.link, latest=latest, role=role)
            live.update(shown, refresh=True)
            if not run.running:
                return
            await asyncio.sleep(_EVERY_SECONDS)


async def picture(
    session: Session,
    run: Run,
    status: RunStatus | None,
    console: Console,
    trouble: str = "",
    *,
    link: str = "",
    latest: int | None = None,
    role: str | None = None,
) -> RenderableType:
    """Give all that is known of a run, also where its workers don't answer."""
    ended = None if run.running else await ending_of(run, status)
    if status is None:
        parts: list[RenderableType] = [Text(f"{run.workflow_id}: {ended.how if ended else run.state}", style="bold")]
        if ended and ended.why:
            parts.append(Text(f"{ended.by}: {ended.why}" if ended.by else ended.why, style="red"))
    else:
        name = status.incident_id or run.workflow_id
        can = () if ended else actions(status, run=name, settings=session.settings, role=role)
        shown = Shown(
            now=datetime.now(UTC) if run.running else status.now,
            run=name,
            link=link,
            latest=latest,
            roles=tuple(may(session.settings, status)),
            doing=run.doing,
            actions=tuple(can),
            ended=ended,
            ended_at=run.description.close_time,
        )
        parts = [fitted(status, shown, console)]
    if trouble:
        parts.append(Text(trouble, style="yellow"))
    return Group(*parts)
