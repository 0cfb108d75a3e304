"""`runbooks status-page`: serves the public status page by itself."""

from typing import Annotated

import typer

from starters.cli.people import command, console


@command
async def status_page(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where it listens.")] = 8084,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve the public status page alone, for a host of its own: it reads the records and knows no Temporal.

    Example: runbooks status-page --port 8084
    """
    from records_schema.pool import connect_pool
    from starters.cli.configured import load_settings
    from starters.http.serving import server
    from starters.web.public import application

    settings = load_settings()
    with connect_pool(settings.records.url, max_size=2) as pool:
        console.print(f"http://{host}:{port}/", markup=False)
        await server(
            application(pool, settings), host=host, port=port, log_level="warning", server_header=False
        ).serve()
