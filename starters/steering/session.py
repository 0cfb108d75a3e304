"""The connection to Temporal of whoever steers runs."""

import asyncio
import functools
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote

from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.runtime import Runtime, TelemetryConfig

from starters.steering.errors import Unreachable
from workers.clients import connect
from workers.settings import Settings

_CONNECTED_WITHIN = timedelta(seconds=5)


@dataclass(frozen=True)
class Session:
    """What everybody needs who speaks to Temporal."""

    settings: Settings
    client: Client

    def link(self, workflow_id: str, run_id: str) -> str:
        """Give a run's address in the Temporal UI."""
        return (
            f"{self.settings.temporal.ui_url}/namespaces/{quote(self.client.namespace, safe='')}"
            f"/workflows/{quote(workflow_id, safe='')}/{run_id}/history"
        )


async def open_session(settings: Settings) -> Session:
    """Connect.

    Raises:
        Unreachable: Temporal does not answer.

    """
    try:
        async with asyncio.timeout(_CONNECTED_WITHIN.total_seconds()):
            await _listened_to(ClientConfig.load_client_connect_config().get("target_host", settings.temporal.address))
            client = await connect(settings.temporal, runtime=_quiet_runtime())
    except (RuntimeError, TimeoutError, ConnectionRefusedError):
        address = ClientConfig.load_client_connect_config().get("target_host", settings.temporal.address)
        raise Unreachable(f"Temporal at {address} does not answer: is it running? `make sandbox` starts one") from None
    return Session(settings, client)


async def _listened_to(address: str) -> None:
    """Find out at once where nobody listens, which the SDK tries again and again.

    Raises:
        ConnectionRefusedError: nobody does. Anything else is the SDK's to find out.

    """
    host, _, port = address.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except ConnectionRefusedError:
        raise
    except (OSError, ValueError):
        return
    writer.close()


@functools.cache
def _quiet_runtime() -> Runtime:
    """Keep the SDK's own log lines off the terminal: commands say what went wrong."""
    return Runtime(telemetry=TelemetryConfig(logging=None))
