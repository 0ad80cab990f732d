"""One end of the socket pair between the parent and a worker: questions, answers, file descriptors.

Both sides may ask. A frame is its length, the number of descriptors that travel with its first
byte, and a JSON object (`messages` says what is in it). The stream ends when the other process
ends, for any reason; so each side learns of it.
"""

import asyncio
import itertools
import json
import os
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from proxy.net.tasks import Tasks
from proxy.processes.messages.refusals import QuestionFailed, QuestionRefused, decode_refusal, encode_refusal

Body = dict[str, Any]
Answer = Callable[[str, Body, list[int]], Awaitable[Body]]
"""Answers a question: its kind, its body, its descriptors, which the callee closes.

Raises `QuestionRefused` to say no.
"""

_HEADER: Final = struct.Struct("!IH")
# The kernel takes 253 in one message (SCM_MAX_FD). If a question has more, frames that only bring
# descriptors go before it. So a frame has one message at most, and if this process has no room for
# the descriptors of a message, it knows which question has lost them.
_DESCRIPTORS_AT_ONCE: Final = 250
# A snapshot of all counters has some megabytes, and so has a configuration of thousands of names.
_LARGEST_FRAME: Final = 64 * 1_048_576
_BRINGS: Final[Body] = {"brings": True}
_READ_BYTES: Final = 262_144
_ANCILLARY_BYTES: Final = socket.CMSG_SPACE(_DESCRIPTORS_AT_ONCE * struct.calcsize("i"))


class ChannelLost(Exception):
    """The other process has ended, or this end is closed."""

    def __str__(self) -> str:
        """One clause."""
        return "the process at the other end is gone"


class _Garbled(Exception):
    """Bytes that are no frame. The parent reads nothing more from such a worker.

    A worker parses what strangers send: this may be the sign that one of them has taken it over.
    """


class Channel:
    """One end. Calls `answer` for each question, and `lost` once when the other side is gone."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        tasks: Tasks,
        answer: Answer,
        lost: Callable[[], None],
    ) -> None:
        """Take over a connected stream socket; reading begins at once."""
        self._loop = loop
        self._sock = sock
        self._tasks = tasks
        self._answer = answer
        self._lost = lost
        self._received = bytearray()
        self._descriptors: deque[list[int]] = deque()
        """The descriptors of each message that brought some."""
        self._brought: list[int] | None = []
        """The descriptors of a question that is still to come; None if some of them were lost."""
        self._unsent: deque[tuple[bytes, list[int]]] = deque()
        self._waiting: dict[int, asyncio.Future[Body]] = {}
        self._ids = itertools.count(1)
        self._is_open = True
        self._all_sent = asyncio.Event()
        self._all_sent.set()
        sock.settimeout(0)
        loop.add_reader(sock, self._readable)

    # -- asking

    async def ask(self, kind: str, body: Body | None = None, descriptors: Sequence[int] = ()) -> Body:
        """Ask and wait for the answer. The caller closes its descriptors.

        Raises `QuestionRefused` or `ChannelLost`.
        """
        if not self._is_open:
            raise ChannelLost
        number = next(self._ids)
        future: asyncio.Future[Body] = self._loop.create_future()
        self._waiting[number] = future
        try:
            self._send({"id": number, "ask": kind, "body": body or {}}, descriptors)
            return await future
        finally:
            self._waiting.pop(number, None)

    async def flush(self) -> None:
        """Wait until everything is sent, or the other side is gone."""
        await self._all_sent.wait()

    def finish(self) -> None:
        """Read what the other process, which is gone, had still sent; then close this end."""
        while self._is_open and self._receive():
            pass
        self.close()

    def close(self) -> None:
        """Close this end. Each `ask` that waits for an answer raises `ChannelLost`."""
        if not self._is_open:
            return
        self._is_open = False
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        for several in (*self._descriptors, *(copies for _, copies in self._unsent), self._brought or []):
            close_all(several)
        self._descriptors.clear()
        self._brought = []
        self._unsent.clear()
        self._all_sent.set()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ChannelLost())
        self._waiting.clear()

    # -- sending

    def _send(self, frame: Body, descriptors: Sequence[int] = ()) -> None:
        copies: list[int] = []
        try:
            for one in descriptors:
                copies.append(os.dup(one))  # the caller may close its own first  # noqa: PERF401
        except OSError:
            close_all(copies)
            raise
        while len(copies) > _DESCRIPTORS_AT_ONCE:
            self._queue(_BRINGS, copies[:_DESCRIPTORS_AT_ONCE])
            copies = copies[_DESCRIPTORS_AT_ONCE:]
        self._queue(frame, copies)
        self._all_sent.clear()
        self._flush()

    def _queue(self, frame: Body, copies: list[int]) -> None:
        payload = json.dumps(frame, separators=(",", ":")).encode()
        assert len(payload) <= _LARGEST_FRAME  # this process wrote it
        self._unsent.append((_HEADER.pack(len(payload), len(copies)) + payload, copies))

    def _flush(self) -> None:
        while self._unsent:
            data, descriptors = self._unsent[0]
            try:
                sent = socket.send_fds(self._sock, [data], descriptors) if descriptors else self._sock.send(data)
            except BlockingIOError:
                self._loop.add_writer(self._sock, self._flush)
                return
            except OSError:
                return  # the reader sees the end too, and tells
            close_all(descriptors)
            if sent == len(data):
                self._unsent.popleft()
            else:
                self._unsent[0] = (data[sent:], [])
        self._all_sent.set()
        self._loop.remove_writer(self._sock)

    # -- receiving

    def _readable(self) -> None:
        self._receive()

    def _receive(self) -> bool:
        """Take what has arrived; answer whether there may be more."""
        try:
            data, ancillary, flags, _ = self._sock.recvmsg(_READ_BYTES, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            data, ancillary, flags = b"", [], 0
        size = struct.calcsize("i")
        came = [
            number
            for level, kind, content in ancillary
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS
            for number in struct.unpack(f"{len(content) // size}i", content[: len(content) // size * size])
        ]
        if came or flags & socket.MSG_CTRUNC:  # the second: this process has no room for them
            self._descriptors.append(came)
        self._received += data
        try:
            is_lost = not data
            while self._is_open and not is_lost and (frame := self._next_frame()) is not None:
                self._take(frame)
        except _Garbled:
            is_lost = True
        if is_lost and self._is_open:
            self.close()
            self._lost()
        return not is_lost

    def _next_frame(self) -> Body | None:
        if len(self._received) < _HEADER.size:
            return None
        length, count = _HEADER.unpack_from(self._received)
        if length > _LARGEST_FRAME:
            raise _Garbled
        end = _HEADER.size + length
        if len(self._received) < end:
            return None
        try:
            frame = json.loads(self._received[_HEADER.size : end])
        except ValueError:
            raise _Garbled from None
        if not isinstance(frame, dict) or (count and not self._descriptors):
            raise _Garbled
        del self._received[:end]
        descriptors = self._descriptors.popleft() if count else []
        if len(descriptors) == count and self._brought is not None:
            self._brought += descriptors
        else:
            close_all([*descriptors, *(self._brought or [])])
            self._brought = None
        return frame

    def _take(self, frame: Body) -> None:
        if "brings" in frame:
            return
        descriptors, self._brought = self._brought, []
        if "ask" in frame:
            if descriptors is None:
                self._reply_to(frame, _failure("no room for more descriptors (LimitNOFILE)"))
            else:
                self._tasks.start(self._reply(frame, descriptors))
            return
        future = self._waiting.pop(frame["id"], None)
        if future is None or future.done():
            return  # the caller has stopped waiting
        if "failure" in frame:
            future.set_exception(QuestionRefused(decode_refusal(frame["failure"])))
        else:
            future.set_result(frame["answer"])

    async def _reply(self, frame: Body, descriptors: list[int]) -> None:
        try:
            reply: Body = {"answer": await self._answer(frame["ask"], frame["body"], descriptors)}
        except QuestionRefused as refusal:
            reply = {"failure": encode_refusal(refusal.reason)}
        except Exception as error:
            # the other side must not wait for ever; the owner of the tasks reports the error itself
            self._reply_to(frame, _failure(f"{type(error).__name__}: {error}"))
            raise
        self._reply_to(frame, reply)

    def _reply_to(self, frame: Body, reply: Body) -> None:
        if self._is_open:
            self._send({"id": frame["id"], **reply})


def _failure(sentence: str) -> Body:
    return {"failure": encode_refusal(QuestionFailed(sentence))}


def close_all(descriptors: Sequence[int]) -> None:
    """Close the descriptors that came with a question, or were to go with one."""
    for descriptor in descriptors:
        os.close(descriptor)
