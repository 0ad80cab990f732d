"""The network of loopback between programs, which a test cuts between any two of them: TCP relays that become silent, as a
network does that is down.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_PIECE_BYTES = 65_536


class Network:
    """Who asks is known by the process that a connection comes from."""

    def __init__(self, processes: Callable[[], Mapping[str, int]]) -> None:
        """`processes` gives the name of each process that connects, now."""
        self._processes = processes
        self._cut: set[frozenset[str]] = set()
        self._changed = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def reach(self, name: str, port: int) -> int:
        """The port at which others reach the one that listens at `port`."""

        async def opened() -> int:
            async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                task = asyncio.current_task()
                assert task is not None
                self._tasks.add(task)
                self._writers.append(writer)
                with suppress(OSError, asyncio.CancelledError):
                    await self._relay(name, port, reader, writer)
                writer.close()
                self._tasks.discard(task)

            server = await asyncio.start_server(accepted, "127.0.0.1", 0)
            self._servers.append(server)
            found: int = server.sockets[0].getsockname()[1]
            return found

        return asyncio.run_coroutine_threadsafe(opened(), self._loop).result(10)

    def cut(self, *pairs: tuple[str, str]) -> None:
        """Let nothing through between these, and everything between all others. What was cut before ends."""

        async def change() -> None:
            self._cut = {frozenset(one) for one in pairs}
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()

        asyncio.run_coroutine_threadsafe(change(), self._loop).result(10)

    def close(self) -> None:
        """End all connections."""

        async def end() -> None:
            for server in self._servers:
                server.close()
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)
            for writer in self._writers:
                writer.transport.abort()  # what it still has to send keeps its socket open
            await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _relay(self, name: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = writer.get_extra_info("peername")[1], writer.get_extra_info("sockname")[1]

        async def is_cut() -> bool:
            # looked up each time: a program connects before the test knows its process
            return bool(self._cut) and frozenset((name, await asyncio.to_thread(self._caller, *ends))) in self._cut

        if await is_cut():
            await self._changed.wait()
            return
        there_reader, there = await asyncio.open_connection("127.0.0.1", port)
        self._writers.append(there)
        waits: list[asyncio.Future[Any]] = []
        flows = [asyncio.ensure_future(_flow(*one)) for one in ((reader, there), (there_reader, writer))]  # noqa: TID251 - ended below
        try:
            while True:
                changed = self._changed
                if await is_cut():
                    break
                waits = [*flows, asyncio.ensure_future(changed.wait())]  # noqa: TID251 - as above
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                waits[-1].cancel()
                if not changed.is_set():
                    return  # one end has closed
            await _end(flows)
            await self._changed.wait()
        finally:
            await _end(waits or flows)
            there.close()

    def _caller(self, port: int, to: int) -> str:
        """The name of the process with this end of a connection; empty for another one."""
        wanted = f"{port:04X}", f"{to:04X}"
        rows = map(str.split, Path("/proc/net/tcp").read_text().splitlines()[1:])
        inode = next((fields[9] for fields in rows if (fields[1][9:], fields[2][9:]) == wanted), "")
        for name, pid in self._processes().items():
            with suppress(OSError):
                if any(_is(descriptor, inode) for descriptor in Path(f"/proc/{pid}/fd").iterdir()):
                    return name
        return ""


async def _end(flows: Sequence["asyncio.Future[Any]"]) -> None:
    for one in flows:
        one.cancel()
    await asyncio.wait(flows)


def _is(descriptor: Path, inode: str) -> bool:
    try:
        return str(descriptor.readlink()) == f"socket:[{inode}]"
    except OSError:
        return False


async def _flow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(_PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
