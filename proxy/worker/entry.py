"""The start of a worker: `python -P -m proxy.worker.entry CHANNEL`, a descriptor."""

import gc

if __name__ == "__main__":
    gc.disable()  # until `main`, see `uncollected`

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Final, TypeVar

import uvloop

from proxy.limits.shared import SharedTable
from proxy.net.tasks import Tasks
from proxy.observe.events.process import UnexpectedError
from proxy.observe.logs.log import Log
from proxy.observe.logs.log_writer import LogWriter
from proxy.processes.channel import Channel, ChannelLost, Peer, close_all
from proxy.processes.messages.answers import Begun
from proxy.processes.messages.codec import Body, encode
from proxy.processes.messages.news import BreakerChanged, KeysMissing, RetirementAsked, WorkerNews
from proxy.processes.messages.questions import Begin
from proxy.processes.messages.refusals import QuestionRefused
from proxy.processes.messages.version import VERSION, decode_beginning
from proxy.processes.messages.wire import decode_question, encode_question
from proxy.processes.privileges import die_with_parent, keep_memory_private, outlive_parent, raise_descriptor_limit
from proxy.signing.breaker import BreakerState
from proxy.signing.login_turns import LoginTurns
from proxy.worker.control import WorkerControl

Read = TypeVar("Read")

# A log that takes longer is stuck. The process then ends without its last lines.
_LAST_LINES_SECONDS: Final = 2.0
_ORPHANED: Final = 70
# After the time to drain: to close what is left and to write the last lines of the log.
_LATE_SECONDS: Final = 5


def main() -> None:
    """Serve until the parent ends this process, or is gone."""
    die_with_parent()
    keep_memory_private()
    raise_descriptor_limit()
    # the parent acts on Ctrl-C and on the hang-up of a terminal
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # the parent reopens the log for all; a signal to all processes of the name must not end workers
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    gc.freeze()
    gc.enable()
    uvloop.run(_serve(socket.socket(fileno=int(sys.argv[1]))))
    # without waiting for a thread that is stuck in a build or in a log
    os._exit(0)


class _Entry:
    """The worker's end of the channel: set up first, then `WorkerControl` answers."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self._loop = loop
        self.log: Log | None = None
        self._control: WorkerControl | None = None
        self._is_alone = False
        self.over = asyncio.Event()
        self._tasks = Tasks(loop, self._unexpected)
        self._channel = Channel(loop, sock, Peer.PARENT, self._tasks, self._answer, self._orphaned)
        loop.add_signal_handler(signal.SIGTERM, self._terminated)

    async def _answer(self, kind: str, body: Body, descriptors: list[int]) -> Body:
        if self._control is None:
            return encode(self._begin(_read(decode_beginning, kind, body, descriptors), descriptors))
        return encode(await self._control.answer(_read(decode_question, kind, body, descriptors), descriptors))

    def _begin(self, told: Begin, descriptors: list[int]) -> Begun:
        log_file, table, turns = descriptors
        self.log = Log(LogWriter(log_file, told.log.queue_lines), told.log.format, has_colours=told.log.has_colours)
        shared = SharedTable.private() if told.column is None else SharedTable(table, told.column)
        os.close(table)
        self._control = WorkerControl(self._loop, self.log, shared, LoginTurns(turns), self.over.set, self, told.slot)
        return Begun(VERSION)

    def let_go(self, seconds: float) -> None:
        """Live on without the parent (`worker.Parent`). The kernel ends a process that hangs."""
        self._is_alone = True
        outlive_parent()
        signal.alarm(round(seconds) + _LATE_SECONDS)

    async def said_all(self) -> None:
        """Wait until all answers are sent; the last one has the last figures."""
        await asyncio.sleep(0)  # the answer to the drain follows the call that ends it
        await self._channel.flush()

    def _terminated(self) -> None:
        """A signal ends this worker alone: the parent, if there is one, replaces it."""
        if self._is_alone and self._control is not None:
            self._control.end_now()
            return
        self.retire()

    def retire(self) -> None:
        self._tasks.start(self._say(RetirementAsked()))

    def breaker_changed(self, token: str, state: BreakerState) -> None:
        """Report a breaker (`worker.Parent`)."""
        self._tasks.start(self._say(BreakerChanged(token, state)))

    def keys_missing(self, token: str, keys: frozenset[str]) -> None:
        """Report keys (`worker.Parent`)."""
        self._tasks.start(self._say(KeysMissing(token, tuple(sorted(keys)))))

    async def _say(self, news: WorkerNews) -> None:
        with contextlib.suppress(ChannelLost, QuestionRefused):
            await self._channel.ask(*encode_question(news))

    def _orphaned(self, _fault: str | None) -> None:
        """End, as the parent is gone, unless it has told this process to live on (`let_go`)."""
        if self._is_alone:
            return
        if self.log is not None:
            self.log.close(_LAST_LINES_SECONDS)
        os._exit(_ORPHANED)

    def _unexpected(self, error: BaseException) -> None:
        if self.log is not None:
            self.log.event(_now(), UnexpectedError.of(error))


def _read(decode: Callable[[str, Body], Read], kind: str, body: Body, descriptors: list[int]) -> Read:
    """Read a question; close the descriptors that came with it if it cannot be read."""
    try:
        return decode(kind, body)
    except BaseException:
        close_all(descriptors)
        raise


def _now() -> float:
    import time

    return time.time()  # noqa: TID251 - a driver


async def _serve(sock: socket.socket) -> None:
    entry = _Entry(asyncio.get_running_loop(), sock)
    await entry.over.wait()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LAST_LINES_SECONDS):
            await entry.said_all()
    if entry.log is not None:
        entry.log.close(_LAST_LINES_SECONDS)


if __name__ == "__main__":
    main()
