"""A line to a host that goes wrong: a TCP proxy on loopback."""

import asyncio
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from tests.support.patience import GIVE_UP

CHUNK = 4096


@dataclass
class Line:
    """Leads to a host, from `port`; in a thread of its own, for as long as its context lasts."""

    host: str
    to: int = 22
    delay: float = 0
    """Seconds, each way."""

    rate: float = 0
    """Bytes a second, each way; 0: as many as go through."""

    port: int = 0
    _ends: set[asyncio.StreamWriter] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self.reset()
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def reset(self) -> None:
        """End every connection on it as a router does: both ends get a RST."""
        asyncio.run_coroutine_threadsafe(self._reset(), self._loop).result()

    async def _reset(self) -> None:
        for end in self._ends:
            if end.is_closing():
                continue
            socket_of = end.get_extra_info("socket")
            socket_of.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.transport.abort()
        self._ends.clear()

    async def _end(self) -> None:
        self._server.close()
        if going := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(going, timeout=GIVE_UP)  # each ends with its connection

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(self.host, self.to)
        except OSError:
            writer.transport.abort()
            return
        self._ends |= {writer, far_writer}
        with suppress(OSError):
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, far_writer))
                group.create_task(self._pump(far_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One way; what is on its way meanwhile does not hold up what comes behind it."""
        way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._put(way, writer))
            with suppress(OSError):
                while data := await reader.read(CHUNK):
                    if self.rate:
                        await asyncio.sleep(len(data) / self.rate)
                    way.put_nowait((self._loop.time() + self.delay, data))
            way.put_nowait((self._loop.time() + self.delay, b""))

    async def _put(
        self, way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while True:
                due, data = await way.get()
                await asyncio.sleep(max(0, due - self._loop.time()))
                if not data:
                    break
                writer.write(data)
                await writer.drain()
        writer.close()
