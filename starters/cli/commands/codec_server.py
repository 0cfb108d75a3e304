"""`runbooks codec-server`: lets the Temporal UI show encrypted payloads."""

from typing import Annotated

import typer

from starters.cli.people import Exit, Stop, command, console


@command
async def codec_server(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where it listens.")] = 8081,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    token: Annotated[
        str, typer.Option(envvar="RUNBOOKS_CODEC_TOKEN", help="What callers must show; best in the environment.")
    ] = "",
) -> None:
    """Serve the UI (its *Codec Server* setting) and the `temporal` CLI, to those who show the token.

    Example: runbooks codec-server --port 8081
    """
    from urllib.parse import urlsplit

    from starters.cli.configured import load_settings
    from starters.http.serving import server
    from starters.servers.codec_server import application
    from workers.codec import codec

    settings = load_settings()
    made = codec(settings.temporal.payload_keys)
    if made is None:
        raise Stop(Exit.USAGE, "payloads are not encrypted: [temporal] payload_keys is empty")
    if not token.strip():
        raise Stop(Exit.USAGE, "RUNBOOKS_CODEC_TOKEN is empty: set it to what whoever reads payloads has to show")
    ui = urlsplit(settings.temporal.ui_url)
    app = application(made, token.strip(), f"{ui.scheme}://{ui.netloc}")
    console.print(f"http://{host}:{port} for {ui.scheme}://{ui.netloc}", markup=False)
    await server(app, host=host, port=port, log_level="warning").serve()
