"""A TCP proxy whose network a test can spoil."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from tests.postgres import HOST
from tests.waiting import PATIENCE

__all__ = ["Proxy"]

T = TypeVar("T")

_CHUNK = 65_536
# close(2) resets the connection: it lingers for 0 s (socket(7)).
_RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Forwards connections to a port of this machine.

    What was sent into a frozen network arrives when it is thawed: a late packet is the hardest case of a claim.
    """

    def __init__(self, target: int) -> None:
        self.delay = 0.0
        """Seconds for which each piece of data stays under way, in each direction."""
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy to {target}", daemon=True)
        self._thread.start()
        self._flows = asyncio.Event()
        self._flows.set()
        self._connections: set[asyncio.Task[None]] = set()
        self._server = self._call(self._listen())
        self.port: int = self._server.sockets[0].getsockname()[1]
        """Where clients connect."""

    def freeze(self) -> None:
        """Lose all packets silently: nothing is refused, nothing is answered."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def thaw(self) -> None:
        """End `freeze`. What was sent meanwhile arrives."""
        self._loop.call_soon_threadsafe(self._flows.set)

    def cut(self) -> int:
        """Reset all connections. New ones are taken. Return how many there were."""
        return self._call(self._cut())

    def close(self) -> None:
        """Reset all connections, and take no more."""
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, HOST, 0)

    async def _cut(self) -> int:
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        return len(connections)

    async def _end(self) -> None:
        self._server.close()
        await self._cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        with suppress(OSError, asyncio.CancelledError):
            await self._forward(reader, writer)
        await _reset(writer)
        self._connections.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flows.wait()
        far_reader, far_writer = await asyncio.open_connection(HOST, self._target)
        pumps = [asyncio.ensure_future(self._pump(reader, far_writer))]
        pumps.append(asyncio.ensure_future(self._pump(far_reader, writer)))
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            await _reset(far_writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await self._flows.wait()
            data = await reader.read(_CHUNK)
            if self.delay:
                await asyncio.sleep(self.delay)
            await self._flows.wait()
            if not data:
                return
            writer.write(data)
            await writer.drain()


async def _reset(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):  # it may be closed
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.transport.abort()
        await writer.wait_closed()
