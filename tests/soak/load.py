"""Clients that note everything that went wrong: kept-alive ones, ones with a new connection each time, and WebSockets.

A client of its own instead of a library's: it must tell a response that was cut, a connection that was closed under a request
(its retry would hide that), and a close frame that nobody asked for.
"""

import asyncio
import contextlib
import itertools
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field

import websockets
from websockets.asyncio.client import connect

# Any single step that takes longer than this is a failure, whatever comes of it.
STALL_SECONDS = 1.0


@dataclass
class Tally:
    """What happened."""

    requests: int = 0
    handshakes: int = 0
    messages: int = 0
    retried: int = 0
    """Requests sent again because the connection had been closed cleanly before a byte of them was sent or answered."""
    slowest: float = 0.0
    failures: list[str] = field(default_factory=list)
    rejoined: int = 0
    """WebSockets reopened because the server had asked for it."""
    closes: Counter[str] = field(default_factory=Counter)
    """WebSockets that ended, by code and reason."""

    def took(self, seconds: float) -> None:
        """Note how long a step took."""
        self.slowest = max(self.slowest, seconds)
        if seconds > STALL_SECONDS:
            self.failures.append(f"a stall of {seconds:.2f} s")


class ClosedBetweenRequests(Exception):
    """The server ended an idle connection, cleanly, just as a request was on its way: RFC 9112 section 9.5 has clients expect it."""


class Browser:
    """One client with one connection at a time."""

    def __init__(self, port: int, context: ssl.SSLContext, tally: Tally) -> None:
        """Nothing is connected yet."""
        self._port = port
        self._context = context
        self._tally = tally
        self._numbers = itertools.count(1)
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._is_fresh = True

    async def request(self, *, keep: bool) -> None:
        """Ask once and check the answer."""
        begun = time.perf_counter()
        try:
            try:
                await self._attempt(keep=keep)
            except ClosedBetweenRequests:
                self._tally.retried += 1
                await self.close()
                await self._attempt(keep=keep)
        except (OSError, EOFError, ValueError, ClosedBetweenRequests) as error:
            self._tally.failures.append(f"{type(error).__name__}: {error}")
            await self.close()
        self._tally.took(time.perf_counter() - begun)

    async def _attempt(self, *, keep: bool) -> None:
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(
                "127.0.0.1", self._port, ssl=self._context, server_hostname="localhost"
            )
            self._tally.handshakes += 1
            self._is_fresh = True
        assert self._reader is not None  # set together
        path = f"/load/{next(self._numbers)}"
        wish = "keep-alive" if keep else "close"
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {wish}\r\n\r\n".encode())
        stays = await self._answer(path)
        self._tally.requests += 1
        self._is_fresh = False
        if not (keep and stays):
            await self.close()

    async def _answer(self, path: str) -> bool:
        assert self._reader is not None  # the caller's
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if not error.partial and not self._is_fresh:
                raise ClosedBetweenRequests from None
            raise EOFError(f"the connection ended after {len(error.partial)} bytes of a head") from None
        lines = head.decode("latin-1").split("\r\n")
        if " 200 " not in lines[0]:
            raise ValueError(lines[0])
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
        body = await self._reader.readexactly(int(fields["content-length"]))
        if not body.startswith(path.encode() + b" "):
            raise ValueError(f"the answer to another request: {body[:40]!r}")
        return fields.get("connection", "").lower() != "close"

    async def close(self) -> None:
        """Leave."""
        writer, self._writer, self._reader = self._writer, None, None
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):  # closed by the other side: judged elsewhere
                await writer.wait_closed()


async def browse(visit: "Visit", *, keep: bool) -> None:
    """Ask repeatedly, on one connection or on a new one each time."""
    browser = Browser(visit.port, visit.context, visit.tally)
    while not visit.stop.is_set():
        await browser.request(keep=keep)
        if visit.crowd.think_seconds:
            await _pause(visit.stop, visit.crowd.think_seconds)
    await browser.close()


async def chat(visit: "Visit") -> None:
    """Hold a WebSocket and echo over it until told to stop; one that is asked to come again (1012) does so."""
    while not visit.stop.is_set() and await _chat_once(visit) and visit.crowd.comes_again:
        visit.tally.rejoined += 1


async def _chat_once(visit: "Visit") -> bool:
    """Whether the server asked to come again."""
    tally, stop = visit.tally, visit.stop
    try:
        async with connect(
            f"wss://localhost:{visit.port}/chat", ssl=visit.context, proxy=None, compression=None, ping_interval=None
        ) as socket:
            for number in itertools.count():
                if stop.is_set():
                    return False
                begun = time.perf_counter()
                await socket.send(f"message {number}")
                if await socket.recv() != f"message {number}":
                    tally.failures.append("a WebSocket answered something else")
                tally.messages += 1
                tally.took(time.perf_counter() - begun)
                await _pause(stop, visit.crowd.message_seconds)
    except websockets.ConnectionClosed as closed:
        code = "none" if closed.rcvd is None else f"{closed.rcvd.code} {closed.rcvd.reason}"
        tally.closes[code] += 1
        return code.startswith("1012 ")
    except OSError as error:
        tally.failures.append(f"a WebSocket could not be opened: {error}")
    return False


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


@dataclass(frozen=True)
class Crowd:
    """How many of each kind."""

    keeping: int
    connecting: int
    sockets: int
    message_seconds: float
    think_seconds: float = 0.0
    """Between two requests of one client."""
    comes_again: bool = False
    """Whether a WebSocket that was asked to come again does."""


@dataclass(frozen=True)
class Visit:
    """What all clients of a crowd share."""

    port: int
    context: ssl.SSLContext
    crowd: Crowd
    tally: Tally
    stop: asyncio.Event


async def under_load(
    port: int,
    context: ssl.SSLContext,
    crowd: Crowd,
    act: Callable[[Tally], Awaitable[None]],
    others: Sequence[Callable[[Visit], Coroutine[None, None, None]]] = (),
) -> Tally:
    """Let the crowd loose, `act` meanwhile, and tell what happened to it until `act` was over.

    `others` are further clients that stop as the visit says.
    """
    tally, stop = Tally(), asyncio.Event()
    visit = Visit(port, context, crowd, tally, stop)
    async with asyncio.TaskGroup() as group:
        for _ in range(crowd.sockets):
            group.create_task(chat(visit))
        while tally.messages < crowd.sockets and not tally.failures and not tally.closes:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        for _ in range(crowd.keeping):
            group.create_task(browse(visit, keep=True))
        for _ in range(crowd.connecting):
            group.create_task(browse(visit, keep=False))
        for one in others:
            group.create_task(one(visit))
        try:
            await act(tally)
        finally:
            stop.set()
    return tally
