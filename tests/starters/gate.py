"""A way to a server that can be shut: what is sent then waits, as behind a network that has gone slow. Or it is cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Gate:
    """Open until it is shut."""

    def __init__(self, target: str) -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._open = asyncio.Event()
        self._open.set()
        self._streams: set[asyncio.StreamWriter] = set()
        self._dead = False
        self.address = ""

    def shut(self) -> None:
        """Let nothing through, either way."""
        self._open.clear()

    def open(self) -> None:
        """Let through what has waited, and all that comes."""
        self._open.set()

    def cut(self) -> None:
        """Break every connection, and each that is tried from now on."""
        self._dead = True
        for stream in self._streams:
            stream.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._dead:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection(self._host, self._port)
        self._streams |= {writer, back}
        with suppress(ConnectionError):
            await asyncio.wait(
                [asyncio.create_task(self._pass(reader, back)), asyncio.create_task(self._pass(there, writer))],
                return_when=asyncio.FIRST_COMPLETED,
            )
        for stream in (writer, back):
            stream.transport.abort()

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while piece := await source.read(65_536):
                await self._open.wait()
                target.write(piece)
                await target.drain()


@asynccontextmanager
async def gate(target: str) -> AsyncIterator[Gate]:
    """Stand before a server; `address` is where to go instead."""
    made = Gate(target)
    server = await asyncio.start_server(made._serve, "127.0.0.1", 0)
    made.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        made.open()
        made.cut()
        server.close()
