"""`runbooks handover-server`: shows customers their secrets, each once."""

from typing import Annotated

import typer

from starters.cli.people import command, console


@command
async def handover_server(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where it listens.")] = 8082,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve one-time links (settings `[handover]`); customers reach it over HTTPS, through your ingress.

    Example: runbooks handover-server --port 8082
    """
    from records_schema.pool import connect_pool
    from starters.cli.configured import load_settings
    from starters.http.serving import server
    from starters.servers.handover import application

    settings = load_settings()
    with connect_pool(settings.records.url, max_size=4) as pool:
        console.print(f"http://{host}:{port}, known to customers as {settings.handover.base_url}", markup=False)
        await server(application(pool), host=host, port=port, log_level="warning").serve()
