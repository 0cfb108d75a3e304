"""`runbooks stop-watching`: end the watch over a recovered service."""

from typing import Annotated

import typer

from starters.cli.options import Json, Reference, Role, Who
from starters.cli.people import command


@command
async def stop_watching(
    reference: Reference,
    *,
    reason: Annotated[str, typer.Option(help="Why; for the timeline.")] = "",
    as_json: Json = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """End the watch after a full recovery (runbook 7.2); where all is well, the incident is closed.

    Example: runbooks stop-watching 1a2b3c --reason "quiet all morning"
    """
    from starters.cli.saying import say
    from workflows.disaster_recovery.recovery.watch_words import StopWatching

    await say(reference, who, role, StopWatching, as_json=as_json, reason=reason)
