"""Honest clients, and how they fare: each has a connection of its own, on which it asks once.

They come at a steady pace, whatever becomes of those before them: clients that wait for each other would hide a stall.
"""

import asyncio
import itertools
import math
import ssl
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

COUNT = 300
PER_SECOND = 100
PATIENCE_SECONDS = 10.0
"""Who waits longer has failed."""
ADDRESSES = tuple(f"127.0.9.{number}" for number in range(1, 11))


@dataclass(frozen=True, slots=True)
class Verdict:
    """How they fared."""

    failures: tuple[str, ...]
    seconds: tuple[float, ...]
    """How long those took that got their answer, from the first packet to the last; the quickest first."""

    @property
    def count(self) -> int:
        """How many there were."""
        return len(self.failures) + len(self.seconds)

    @property
    def failed(self) -> int:
        """How many got no answer."""
        return len(self.failures)

    @property
    def said(self) -> str:
        """Why they failed."""
        return ", ".join(f"{count} x {text}" for text, count in Counter(self.failures).most_common(5))

    @property
    def p50(self) -> float:
        """The median."""
        return self.share(0.50)

    @property
    def p99(self) -> float:
        """What all but a hundredth of them took at most."""
        return self.share(0.99)

    def share(self, part: float) -> float:
        """What this part of those with an answer took at most; for ever, where none had one."""
        return self.seconds[math.ceil(part * len(self.seconds)) - 1] if self.seconds else math.inf


def fare(port: int, ca: Path, count: int = COUNT, neighbours: Sequence[str] = ()) -> Verdict:
    """Send so many of them, from addresses of their own and from those of `neighbours`, in turn."""
    return asyncio.run(_fare(port, ca, count, [*ADDRESSES, *neighbours]))


async def _fare(port: int, ca: Path, count: int, sources: Sequence[str]) -> Verdict:
    context = ssl.create_default_context(cafile=str(ca))
    failures: list[str] = []
    seconds: list[float] = []

    async def visit(source: str) -> None:
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await _ask(port, context, source)
        except (OSError, EOFError, ValueError) as error:  # a timeout is an OSError
            failures.append(f"{type(error).__name__} {error}".strip())
        else:
            seconds.append(time.perf_counter() - begun)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, source in zip(range(count), itertools.cycle(sources), strict=False):
            await asyncio.sleep(started + number / PER_SECOND - time.perf_counter())
            group.create_task(visit(source))
    return Verdict(tuple(failures), tuple(sorted(seconds)))


async def _ask(port: int, context: ssl.SSLContext, source: str) -> None:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="localhost", local_addr=(source, 0)
    )
    try:
        writer.write(b"GET /honest HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        status = await reader.readline()
        if b" 200 " not in status:
            raise ValueError(status.decode("latin-1").strip() or "closed without an answer")
        if b"/honest " not in await reader.read():
            raise EOFError("the answer was cut")
    finally:
        writer.transport.abort()
