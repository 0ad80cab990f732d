"""One worker process: how the parent spawns it, asks it, and learns of its end."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, assert_never

from proxy.net.tasks import Tasks
from proxy.processes.channel import LARGEST_FRAME, LARGEST_NEWS, Channel, ChannelLost, Peer
from proxy.processes.messages.answers import Done, WorkerFigures
from proxy.processes.messages.codec import Body, MessageMalformed, encode
from proxy.processes.messages.news import BreakerChanged, KeysMissing, RetirementAsked, WorkerNews
from proxy.processes.messages.questions import (
    Drain,
    Leave,
    Prepare,
    Question,
    TakeRingUses,
    TellFigures,
    TellServers,
)
from proxy.processes.messages.refusals import QuestionFailed, QuestionRefused
from proxy.processes.messages.wire import AnswerT, decode_answer, decode_news, encode_question
from proxy.processes.privileges import ProcessAccount

if TYPE_CHECKING:
    from proxy.signing.breaker import BreakerState

# A handshake allocates and frees hundreds of small blocks. glibc caches only seven blocks of each
# size by default and searches for the others, which costs 2 % of a handshake. With a larger count
# than ours, uploads in odd pieces leave megabytes in the cache. Threads share four arenas: by
# default each may have one of its own, up to eight for each core, which keeps what it has freed. If
# the variable has two values, the later one holds (ld.so(8)): that is the operator's.
_TUNABLES_NAME: Final = "GLIBC_TUNABLES"
_TUNABLES: Final = "glibc.malloc.tcache_count=300:glibc.malloc.arena_max=4"
# Variables that a worker does not need or must not obey.
_NOT_INHERITED: Final = frozenset(
    {
        "OPENSSL_CONF",
        "PKCS11_PROVIDER_MODULE",  # would be loaded instead of the module of the configuration
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_FDNAMES",
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
        "FDSTORE",
    }
)

# Their answers grow with the configuration: counts, servers, warnings.
_WITH_LARGE_ANSWERS: Final = (Drain, Leave, Prepare, TakeRingUses, TellFigures, TellServers)
# Characters. A part of it is what the worker has sent.
_LONGEST_FAULT: Final = 300
_END_SECONDS: Final = 1.0
_LAST_WORDS_SECONDS: Final = 0.5
"""A worker that falls has closed its channel before it has written why."""


class WorkerProcess:
    """A spawned worker.

    `ended` is called once, when the process has ended in any way or has closed its channel.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tasks: Tasks,
        slot: int,
        account: ProcessAccount | None,
        ended: Callable[["WorkerProcess"], None],
    ) -> None:
        """Spawn it. Raises `OSError` when the system has no room for another process."""
        self.slot = slot
        self.started = loop.time()
        self.last: WorkerFigures | None = None
        self.is_retiring = False
        """Whether it was asked to drain and to end."""
        self.fault: str | None = None
        """What it sent that no worker sends. It was killed for that."""
        self._loop = loop
        self._ended: Callable[[WorkerProcess], None] | None = ended
        ours, theirs = socket.socketpair()
        try:
            self._process = _spawn(theirs, account)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self.pid = self._process.pid
        try:
            self._watch = os.pidfd_open(self.pid)
        except OSError:
            ours.close()
            self._process.kill()
            self._process.wait()
            raise
        loop.add_reader(self._watch, self._exited)
        self.channel = Channel(loop, ours, Peer.WORKER, tasks, self._answer, self._channel_lost)
        self.gone = asyncio.Event()
        self.retire_asked: Callable[[WorkerProcess], None] | None = None
        self.breaker_changed: Callable[[WorkerProcess, str, BreakerState], None] | None = None
        self.keys_missing: Callable[[WorkerProcess, str, frozenset[str]], None] | None = None

    def __repr__(self) -> str:
        return f"<worker {self.slot}, process {self.pid}>"

    @property
    def is_alive(self) -> bool:
        return self._ended is not None

    async def ask(self, question: Question[AnswerT], descriptors: Sequence[int] = ()) -> AnswerT:
        """Ask the worker. An answer that cannot be read is a no, and ends the worker.

        Raises `QuestionRefused` or `channel.ChannelLost`, which says how the worker has ended.
        """
        largest = LARGEST_FRAME if isinstance(question, _WITH_LARGE_ANSWERS) else LARGEST_NEWS
        try:
            answer = await self.channel.ask(*encode_question(question), descriptors, largest)
        except ChannelLost:
            await gone([self], _END_SECONDS)  # its channel ends a moment earlier
            raise ChannelLost(self.exit_status) from None
        try:
            return decode_answer(question, answer)
        except MessageMalformed as error:
            self.channel.give_up(str(error))
            raise QuestionRefused(QuestionFailed(str(error))) from error

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)

    def let_go(self) -> None:
        """Let the worker end by itself, without a call of `ended`."""
        self._ended = None

    async def _answer(self, kind: str, body: Body, _descriptors: list[int]) -> Body:
        try:
            news = decode_news(kind, body)
        except MessageMalformed as error:
            self.channel.give_up(str(error))
            raise QuestionRefused(QuestionFailed(str(error))) from None
        self._hear(news)
        return encode(Done())

    def _hear(self, news: WorkerNews) -> None:
        match news:
            case RetirementAsked():
                if self.retire_asked is not None:
                    self.retire_asked(self)
            case BreakerChanged(token, state):
                if self.breaker_changed is not None:
                    self.breaker_changed(self, token, state)
            case KeysMissing(token, missing):
                if self.keys_missing is not None:
                    self.keys_missing(self, token, frozenset(missing))
            case _:
                assert_never(news)

    def _channel_lost(self, fault: str | None) -> None:
        # a worker without a channel cannot be led any more: wait for its exit
        if fault is None:
            self._loop.call_later(_LAST_WORDS_SECONDS, self.kill)
            return
        self.fault = fault[:_LONGEST_FAULT]
        self.kill()

    def _exited(self) -> None:
        self._loop.remove_reader(self._watch)
        os.close(self._watch)
        self._process.wait()
        self.channel.finish()
        self.gone.set()
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(self)

    @property
    def exit_status(self) -> int | None:
        """The exit status as in `subprocess`: negative for a signal, None while it runs."""
        return self._process.returncode


async def gone(workers: Sequence[WorkerProcess], seconds: float) -> None:
    """Wait until all of these workers have ended, or the time is over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            for worker in workers:
                await worker.gone.wait()


async def ended_at_once(workers: Sequence[WorkerProcess], seconds: float) -> None:
    """Kill these workers, and wait until they have ended."""
    for worker in workers:
        worker.kill()
    await gone(workers, seconds)


def worker_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that loads the configured providers.

    The operator's tunables of glibc stay in force.
    """
    inherited = {name: value for name, value in ours.items() if name not in _NOT_INHERITED}
    tunables = filter(None, (_TUNABLES, inherited.get(_TUNABLES_NAME)))
    return {**inherited, _TUNABLES_NAME: ":".join(tunables)}


def _spawn(channel: socket.socket, account: ProcessAccount | None) -> "subprocess.Popen[bytes]":
    # -P: the current directory holds none of our modules
    command = [sys.executable, "-P", "-m", "proxy.worker.entry", str(channel.fileno())]
    return subprocess.Popen(  # noqa: S603 - ourselves
        command,
        env=worker_environment(os.environ),
        stdin=subprocess.DEVNULL,
        pass_fds=[channel.fileno()],
        # a session of its own: a module cannot ask for a PIN on the terminal, and Ctrl-C reaches
        # only the parent
        start_new_session=True,
        user=None if account is None else account.user,
        group=None if account is None else account.group,
        extra_groups=None if account is None else account.groups,
    )
