"""`runbooks audit metrics`: the current month's numbers, and how the runbooks are, for Prometheus."""

from typing import Annotated

import typer

from starters.cli.people import command


@command
async def metrics(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where /metrics is served; 0 takes a free one.")] = 9464,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    every: Annotated[int, typer.Option(min=1, metavar="SECONDS", help="How old the numbers may get.")] = 300,
    zone: Annotated[str, typer.Option(metavar="ZONE", help="Whose calendar, e.g. Europe/Berlin.")] = "UTC",
) -> None:
    """Serve the numbers of the current month's report, and how the runbooks themselves are now, until it is stopped.

    Example: runbooks audit metrics --port 9109
    """
    from starters.cli.audit import serving

    await serving.metrics(port=port, host=host, every=every, zone=zone)
