"""Serves the current month's numbers to Prometheus, and how the runbooks themselves are now."""

import asyncio
import signal
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry, start_http_server

from audit.metrics import Refreshed, ReportCollector
from audit.report import Month, Report
from starters.cli.audit import own_state
from starters.cli.audit.room import reading
from starters.cli.configured import load_settings
from starters.cli.people import Exit, Stop, console
from starters.past.reporting import count_month

_PATIENCE = timedelta(seconds=2)
_OWN_LASTING = timedelta(seconds=30)


async def metrics(*, port: int, host: str, every: int, zone: str) -> None:
    """Serve them until SIGINT or SIGTERM.

    Raises:
        Stop: there is no such zone, or the port is taken.

    """
    try:
        Month.at(datetime.now(UTC), zone)
    except ValueError as error:
        raise Stop(Exit.USAGE, str(error)) from None
    registry = CollectorRegistry()
    registry.register(
        ReportCollector(lambda: asyncio.run(_count(zone)), lasting=timedelta(seconds=every), patience=_PATIENCE)
    )
    settings = load_settings()
    registry.register(
        Refreshed(
            "runbooks_own",
            "how the runbooks are",
            lambda: asyncio.run(own_state.look(settings)),
            own_state.metrics,
            lasting=min(_OWN_LASTING, timedelta(seconds=every)),
            patience=_PATIENCE,
        )
    )
    try:
        server, _ = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise Stop(Exit.USAGE, f"cannot listen on {host}:{port}: {error.strerror}") from None
    stopped = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    console.print(f"http://{host}:{server.server_port}/metrics", markup=False)
    await stopped.wait()
    server.shutdown()


async def _count(zone: str) -> Report:
    """Count the month that it is now, with connections of its own: it runs in a thread of its own."""
    month = Month.at(datetime.now(UTC), zone)
    async with reading("metrics", month.name) as room:
        return await count_month(room.search, room.settings, month)
