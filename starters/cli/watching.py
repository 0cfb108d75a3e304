"""Follows a run on the terminal until it ends."""

import asyncio
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from starters.cli.view import render
from starters.steering import runs
from starters.steering.errors import SteeringError
from starters.steering.runs import Run
from starters.steering.session import Session
from workflows.platform.run_status import RunStatus

_EVERY_SECONDS = 1.0
_LINES_AROUND = 24
"""Of a screen's height: what the rest of the status usually takes."""


async def watch(session: Session, run: Run, console: Console) -> None:
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
            fitting = max(5, console.height - _LINES_AROUND) if run.running and console.is_terminal else None
            live.update(await picture(run, status, trouble, link=run.link, entries=fitting), refresh=True)
            if not run.running:
                return
            await asyncio.sleep(_EVERY_SECONDS)


async def picture(
    run: Run, status: RunStatus | None, trouble: str = "", *, link: str = "", entries: int | None = None
) -> RenderableType:
    """Give all that is known of a run, also where its workers don't answer."""
    parts: list[RenderableType] = []
    if status is not None:
        now = datetime.now(UTC) if run.running else status.now
        parts.append(render(status, now=now, link=link, run=run.workflow_id, latest=entries))
        if not run.running:
            parts.append(Text(f"the run has ended: {run.state}", style="bold"))
    else:
        parts.append(Text(f"{run.workflow_id}: {run.state}", style="bold"))
    if failure := await runs.failure_of(run):
        parts.append(Text(f"failed: {failure}", style="red"))
    elif trouble:
        parts.append(Text(trouble, style="yellow"))
    return Group(*parts)
