"""`python -m starters.slack`: take words from Slack, and keep its threads. Of several processes one keeps them."""

import asyncio
import signal
import sys
from contextlib import AsyncExitStack, ExitStack
from datetime import timedelta
from typing import Any

import psycopg
import structlog
from psycopg_pool import ConnectionPool
from temporalio.service import RPCError

from activities.messages.chat.slack import SlackChat
from activities.messages.chat.slack_calls import SlackCalls
from activities.messages.chat.threads import Threads, leads
from records_schema.pool import connect_pool
from starters.http import serving
from starters.slack.conversation import Conversation
from starters.slack.following import Follower
from starters.slack.over_http import application
from starters.slack.over_socket import Socket
from starters.slack.people import People
from starters.slack.speaking import Speaker
from starters.steering import configuration
from starters.steering.gateway import Gateway
from starters.steering.session import Session
from workers import telemetry
from workers.clients import connect
from workers.settings import Settings, SettingsError

_READY_WITHIN = timedelta(seconds=2)
_LAST_WORDS = 10.0
_log = structlog.get_logger("slack")


class Lead:
    """Whether this process keeps the threads: as long as its connection holds PostgreSQL's lock."""

    def __init__(self, pool: ConnectionPool[Any]) -> None:
        self._pool = pool
        self._connection: psycopg.Connection[Any] | None = None

    def __call__(self) -> bool:
        """Tell; tries to become it where nobody is."""
        if self._connection is not None:
            try:
                self._connection.execute("SELECT")
            except psycopg.Error:
                self.leave()
            else:
                return True
        connection = self._pool.getconn()
        try:
            held = leads(connection)
        except psycopg.Error:
            self._pool.putconn(connection)
            raise
        if not held:
            self._pool.putconn(connection)
            return False
        self._connection = connection
        _log.info("this process keeps the threads")
        return True

    def leave(self) -> None:
        """Let another one be it."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()
            self._pool.putconn(connection)


def check(settings: Settings) -> None:
    """Refuse settings with which nobody could say anything.

    Raises:
        SettingsError: says what is missing.

    """
    slack = settings.slack
    if slack.token is None or not (slack.app_token or slack.signing_secrets):
        raise SettingsError("slack: token is required, and app_token (Socket Mode) or signing_secrets (HTTP), or both")
    if not slack.people and not slack.groups:
        raise SettingsError("slack.people: nobody is named, nor a group in slack.groups: nobody could say anything")
    if not Gateway(settings.gateway).signs and not settings.approvals.allow_unsigned:
        raise SettingsError(
            "gateway.private_key: required, since runs take signed words only; `runbooks keys generate`"
        )


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM.

    Raises:
        SettingsError: see `check`.

    """
    check(settings)
    slack = settings.slack
    assert slack.token is not None
    session = Session(settings, await connect(settings.temporal, lazy=True))
    calls, chat = SlackCalls(slack.token, slack.base_url), SlackChat(slack.token, slack.base_url)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with ExitStack() as resources:
        pool = resources.enter_context(connect_pool(settings.records.url, max_size=4))
        lead = Lead(pool)
        resources.callback(lead.leave)
        async with AsyncExitStack() as running:
            follower = Follower(session, calls, chat, Threads(pool), lead)
            conversation = Conversation(session, People(slack, calls), calls, Speaker(session, follower.nudge))
            socket = None
            if slack.app_token is not None:
                socket = Socket(conversation, slack.app_token, slack.base_url)
                running.push_async_callback(socket.close)
            tasks = [asyncio.create_task(follower.run())]
            tasks += [asyncio.create_task(socket.open())] if socket else []
            secrets = [one.get_secret_value() for one in slack.signing_secrets]

            async def ready() -> bool:
                return await _temporal_answers(session) and (socket is None or await socket.connected())

            app = application(conversation, secrets, ready)
            server = serving.server(app, host=slack.host, port=slack.port, log_config=None, server_header=False)
            serving_now = asyncio.create_task(server.serve())
            _log.info("slack is listened to", socket=socket is not None, http=bool(secrets), port=slack.port)
            await asyncio.wait({asyncio.create_task(stop.wait()), serving_now}, return_when=asyncio.FIRST_COMPLETED)
            server.should_exit = True
            await serving_now
            await conversation.settle(_LAST_WORDS)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    _log.info("slack is no longer listened to")


async def _temporal_answers(session: Session) -> bool:
    try:
        async with asyncio.timeout(_READY_WITHIN.total_seconds()):
            return await session.client.service_client.check_health(timeout=_READY_WITHIN)
    except (RPCError, RuntimeError, TimeoutError):
        return False


def main() -> int:
    """Serve until SIGTERM; 2 for wrong settings."""
    try:
        settings, _ = configuration.load(routed=False, secrets=("temporal", "records", "gateway", "slack"))
        telemetry.configure_logging(settings.observability)
        asyncio.run(serve(settings))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
