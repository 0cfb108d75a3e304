"""`python -m starters.webhook`: serve the webhook. Any number may run."""

import asyncio
import contextlib
import functools
import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
import uvloop
from starlette.applications import Starlette
from temporalio.client import Client
from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.service import GrpcCompression, RPCError, RPCStatusCode

from starters.http import serving
from starters.sources import registry
from starters.steering import configuration, routes
from starters.webhook.app import application
from starters.webhook.intake import Intake
from workers import telemetry, tracing
from workers.clients import connect, register_search_attributes
from workers.settings import Settings, SettingsError

if TYPE_CHECKING:
    from libraries import otel

_READY_WITHIN = timedelta(seconds=2)
_LAST_REQUESTS = timedelta(seconds=10)
_log = structlog.get_logger("webhook")


async def build(settings: Settings, tracer: "otel.Tracer | None" = None) -> Starlette:
    """Build the application; it starts without Temporal, and answers 503 until Temporal is there.

    Raises:
        SettingsError: routing rules or credentials are missing or wrong.

    """
    rules = routes.load(settings.path(settings.webhook.routes), settings.services, settings.webhook.sources)
    interceptors = tracing.interceptors(tracer)
    client = await connect(
        settings.temporal,
        interceptors=interceptors,
        lazy=True,
        runtime=_runtime(),
        # A request has a kilobyte or two: in a storm, to press it costs this process and Temporal more than to send it.
        compression=GrpcCompression.NONE,
    )
    intake = Intake(client, rules, settings.temporal.task_queue, settings.services)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        _log.info("webhook started", rules=len(rules.route), temporal=settings.temporal.address)
        preparing = asyncio.create_task(_prepare(client))
        yield
        preparing.cancel()

    sources = registry.built(settings.webhook.sources, rules.mapping)
    return application(settings.webhook, intake, lambda: _ready(client), lifespan, sources)


async def _prepare(client: Client) -> None:
    """Connect before the first alert comes, and register search attributes before the first worker does."""
    while True:
        try:
            await register_search_attributes(client)
        except RuntimeError:
            await asyncio.sleep(1)
        except RPCError as error:
            if error.status not in {RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED}:
                _log.warning("search attributes can't be registered from here", why=error.status.name)
                return
            await asyncio.sleep(1)
        else:
            return


async def _ready(client: Client) -> bool:
    try:
        async with asyncio.timeout(_READY_WITHIN.total_seconds()):
            return await client.service_client.check_health(timeout=_READY_WITHIN)
    except (RPCError, RuntimeError, TimeoutError):
        return False


@functools.cache
def _runtime() -> Runtime:
    """Have the SDK's own log lines in our log."""
    forwarding = LogForwardingConfig(logger=logging.getLogger("temporalio"))
    return Runtime(
        telemetry=TelemetryConfig(
            logging=LoggingConfig(filter=TelemetryFilter(core_level="WARN", other_level="ERROR"), forwarding=forwarding)
        )
    )


async def _serve(settings: Settings) -> None:
    with tracing.tracing(settings.observability, "webhook") as tracer:
        await _serve_traced(settings, tracer)
    _log.info("webhook stopped")


async def _serve_traced(settings: Settings, tracer: "otel.Tracer | None") -> None:
    server = serving.server(
        tracing.requests(tracer, await build(settings, tracer)),
        host=settings.webhook.host,
        port=settings.webhook.port,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=int(_LAST_REQUESTS.total_seconds()),
    )
    # What has been loaded stays until the end: no collection has to look through it while a storm comes in.
    gc.collect()
    gc.freeze()
    # uvicorn raises the signal again once it has stopped; a handler beneath its own turns that into exit code 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, lambda: None)
    await server.serve()


def main() -> int:
    """Serve until SIGTERM; 2 for wrong settings."""
    try:
        settings, _ = configuration.load(routed=True, secrets=("temporal", "webhook"))
        telemetry.configure_logging(settings.observability)
        uvloop.run(_serve(settings))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
