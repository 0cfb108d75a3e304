"""`runbooks challenge-server`: shows a certificate authority that a name is ours."""

from typing import Annotated

import typer

from starters.cli.people import command, console


@command
async def challenge_server(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where it listens.")] = 8083,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve the pages of HTTP-01 challenges; your ingress leads /.well-known/acme-challenge/ here.

    Example: runbooks challenge-server --port 8083
    """
    from records_schema.pool import connect_pool
    from starters.cli.configured import load_settings
    from starters.http.serving import server
    from starters.servers.challenges import application

    settings = load_settings()
    with connect_pool(settings.records.url, max_size=4) as pool:
        console.print(f"http://{host}:{port}/.well-known/acme-challenge/", markup=False)
        await server(application(pool), host=host, port=port, log_level="warning").serve()
