"""`python -m starters.webhook`: serve the webhook. Any number may run."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from datetime import timedelta

import structlog
import uvicorn
from starlette.applications import Starlette
from temporalio.client import Client
from temporalio.service import RPCError

from starters.webhook import routes
from starters.webhook.app import application
from starters.webhook.intake import Intake
from workers import settings as settings_module
from workers import telemetry
from workers.clients import connect
from workers.settings import Settings, SettingsError

_READY_WITHIN = timedelta(seconds=2)


async def build(settings: Settings) -> Starlette:
    """Build the application; it starts without Temporal, and answers 503 until Temporal is there.

    Raises:
        SettingsError: routing rules or credentials are missing or wrong.

    """
    rules = routes.load(settings.path(settings.webhook.routes))
    rules.check_services(settings.services)
    client = await connect(settings.temporal, lazy=True)
    intake = Intake(client, rules, settings.temporal.task_queue, settings.services)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await _ready(client)  # the first alert must not pay for the connection
        structlog.get_logger("webhook").info("webhook started", rules=len(rules.route))
        yield

    return application(settings.webhook, intake, lambda: _ready(client), lifespan)


async def _ready(client: Client) -> bool:
    try:
        async with asyncio.timeout(_READY_WITHIN.total_seconds()):
            return await client.service_client.check_health(timeout=_READY_WITHIN)
    except (RPCError, RuntimeError, TimeoutError):
        return False


async def _serve(settings: Settings) -> None:
    config = uvicorn.Config(
        await build(settings),
        host=settings.webhook.host,
        port=settings.webhook.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    await uvicorn.Server(config).serve()


def main() -> int:
    """Serve until SIGTERM; 2 for wrong settings."""
    try:
        settings = settings_module.load()
        telemetry.configure_logging(settings.observability)
        asyncio.run(_serve(settings))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
