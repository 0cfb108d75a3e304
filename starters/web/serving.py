"""Runs the operators' page as a process."""

import socket
from collections.abc import Callable, Sequence

from records_schema.pool import connect_pool
from starters.http.serving import server
from starters.steering.identity import Person
from starters.steering.session import Session
from starters.web.app import application
from starters.web.signing_in import Links
from workers.clients import connect
from workers.settings import Settings

_LAST_REQUESTS = 2
"""Seconds: what is live never ends by itself."""


async def serve(settings: Settings, people: Sequence[Person], port: int | None, say: Callable[[str], None]) -> None:
    """Serve until the process is told to end; writes where, and the one-time links."""
    host = settings.web.host
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with listening:
        listening.bind((host, settings.web.port if port is None else port))
        shown = f"[{host}]" if ":" in host else host
        base_url = settings.web.base_url or f"http://{shown}:{listening.getsockname()[1]}"
        links = Links()
        session = Session(settings, await connect(settings.temporal, lazy=True))
        with connect_pool(settings.records.url, max_size=4) as pool:
            app = application(session, pool, links, base_url)
            say(f"{base_url}/")
            if settings.web.oidc is None:
                for person in people:
                    say(
                        f"{base_url}{links.make(person)}  lets {person.who} ({person.role}) in, once, within 15 minutes"
                    )
            running = server(
                app,
                host=host,
                port=0,
                log_level="warning",
                server_header=False,
                timeout_graceful_shutdown=_LAST_REQUESTS,
            )
            await running.serve(sockets=[listening])
