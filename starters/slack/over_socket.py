"""The way in by Socket Mode: slack-sdk's own client opens a socket to Slack, so that nothing here needs an address.

An envelope is acknowledged after the word in it is in Temporal, with the answer in the acknowledgement where Slack
takes one. A socket that is lost is opened again by the client. Where Slack sends an envelope again, a press has its
number, and a modal starts one run.
"""

import asyncio
import logging
from typing import Any

import structlog
from pydantic import SecretStr
from slack_sdk.errors import SlackClientError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from starters.slack.conversation import Conversation

_AGAIN_AFTER = 5.0
_log = structlog.get_logger(__name__)


class Socket:
    """One socket to Slack; several processes may have one each, and Slack sends each envelope to one of them."""

    def __init__(self, conversation: Conversation, app_token: SecretStr, base_url: str) -> None:
        self._conversation = conversation
        token = app_token.get_secret_value()
        web = AsyncWebClient(base_url=base_url, timeout=10, retry_handlers=[AsyncRateLimitErrorRetryHandler()])
        # Its own lines repeat what came, also where something failed: only ours are written.
        quiet = logging.getLogger(f"{__name__}.client")
        quiet.disabled = True
        self._client = SocketModeClient(token, logger=quiet, web_client=web, ping_interval=5)
        self._client.socket_mode_request_listeners.append(self._take)

    async def open(self) -> None:
        """Connect, however long it takes; what is lost later the client opens again."""
        while True:
            try:
                await self._client.connect()  # type: ignore[no-untyped-call]
            except (OSError, SlackClientError, TimeoutError) as error:
                self._client.wss_uri = None
                _log.warning("slack's socket can't be opened", why=type(error).__name__, detail=str(error)[:200])
                await asyncio.sleep(_AGAIN_AFTER)
            else:
                _log.info("slack's socket is open")
                return

    async def connected(self) -> bool:
        """Tell whether it is open."""
        return bool(await self._client.is_connected())

    async def close(self) -> None:
        """Close it; Slack sends what comes to another."""
        await self._client.close()  # type: ignore[no-untyped-call]
        await self._client.aiohttp_client_session.close()

    async def _take(self, client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        answer: dict[str, Any] = {}
        if request.type == "slash_commands":
            answer = await self._conversation.command(request.payload)
        elif request.type == "interactive":
            answer = await self._conversation.interaction(request.payload)
        payload = answer if answer and request.accepts_response_payload else None
        try:
            await client.send_socket_mode_response(SocketModeResponse(request.envelope_id, payload))
        except (OSError, SlackClientError, RuntimeError) as error:
            _log.warning("an envelope could not be acknowledged; its word counts", why=type(error).__name__)
