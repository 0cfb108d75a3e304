"""Where evidence is read from: Temporal and the archive, whichever answers; whoever reads is written down first."""

import os
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from temporalio.client import Client

from audit.payloads import Decoder
from audit.store import Store
from audit.store_connection import StoreError
from records_schema.pool import connect_pool
from records_schema.server import DatabaseError
from starters.cli.configured import load_settings
from starters.cli.people import Exit, Stop, complaints
from starters.cli.speaker import person
from starters.past.room import Room
from starters.steering.errors import Unreachable
from starters.steering.session import open_session
from workers.codec import decrypting
from workers.settings import Settings


@asynccontextmanager
async def reading(action: str, what: str) -> AsyncIterator[Room]:
    """Open what there is to read, and write down who does.

    The archive is read without Temporal and Temporal without the archive; what is missing is said.

    Raises:
        SettingsError: settings are missing or wrong.
        Stop: neither answers, or the archive stops answering.

    """
    settings = load_settings()
    with ExitStack() as stack:
        store = _archive(settings, stack, action, what)
        client = await _temporal(alone=store is None)
        try:
            yield Room(settings, client, store, Decoder(decrypting(settings.temporal.payload_keys)))
        except StoreError as error:
            raise Stop(Exit.UNREACHABLE, str(error)) from None


def _archive(settings: Settings, stack: ExitStack, action: str, what: str) -> Store | None:
    try:
        pool = stack.enter_context(connect_pool(settings.records.url, max_size=2))
        store = Store(pool, codec=decrypting(settings.temporal.payload_keys))
        store.accessed(person(os.environ.get("RUNBOOKS_USER"), None).who, action, what)
    except (StoreError, DatabaseError) as error:
        told = f"only what Temporal still has is read, and this reading is not logged: {error}"
        complaints.print(told, style="yellow", markup=False, soft_wrap=True)
        return None
    return store


async def _temporal(*, alone: bool) -> Client | None:
    try:
        return (await open_session(load_settings())).client
    except Unreachable as error:
        if alone:
            raise
        complaints.print(f"only the archive is read: {error}", style="yellow", markup=False, soft_wrap=True)
        return None
