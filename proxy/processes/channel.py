"""One end of the socket pair between the parent and a worker: questions, answers, file descriptors.

Both sides may ask. A frame is its length, the number of descriptors that travel with its first
byte, and a JSON object (`messages` says what is in it). The stream ends when the other process
ends, for any reason; so each side learns of it.

A worker parses what untrusted clients send, and one of them may take it over. So the parent takes
little from it: no descriptor, which the kernel closes before this process has it; frames of news up
to a small limit; answers only to what was asked, each up to the limit of its question. After
anything else it reads nothing more of this worker.
"""

import asyncio
import itertools
import json
import os
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from proxy.net.tasks import Tasks
from proxy.processes.messages.codec import Body
from proxy.processes.messages.refusals import QuestionFailed, QuestionRefused, decode_refusal, encode_refusal

Answer = Callable[[str, Body, list[int]], Awaitable[Body]]
"""Answers a question: kind, body, descriptors to close. Raises `QuestionRefused`."""

_HEADER: Final = struct.Struct("!IH")
# The kernel takes 253 in one message (SCM_MAX_FD). If a question has more, frames that only bring
# descriptors go before it. So a frame has one message at most, and if this process has no room for
# the descriptors of a message, it knows which question has lost them.
_DESCRIPTORS_AT_ONCE: Final = 250
LARGEST_FRAME: Final = 64 * 1_048_576
"""Bytes of a frame of the parent, and of an answer that may be large.

A snapshot of all counters has some megabytes, and so has a configuration of thousands of names.
"""
LARGEST_NEWS: Final = 1_048_576
"""Bytes of what a worker tells unasked, and of most answers: three times a thousand names."""
# A worker tells its news one at a time, and is told that each has arrived.
_MOST_NEWS: Final = 256
_BRINGS: Final = {"brings": True}
_READ_BYTES: Final = 262_144
_ANCILLARY_BYTES: Final = socket.CMSG_SPACE(_DESCRIPTORS_AT_ONCE * struct.calcsize("i"))


class ChannelLost(Exception):
    """The other process has ended, or this end is closed."""

    def __init__(self, status: int | None = None) -> None:
        """`status` is as in `subprocess`: negative for a signal, None if it is not known."""
        super().__init__("the other process has exited" if status is None else f"it ended with status {status}")


class Peer(Enum):
    PARENT = auto()
    WORKER = auto()
    """It may have been taken over."""


class _Garbled(Exception):
    """What came is not a frame, or none that this peer may send; the text says what it is."""


@dataclass(frozen=True, slots=True)
class _Question:
    number: int
    kind: str
    body: Body


class Channel:
    """One end. Calls `answer` for each question, and `lost` once when the other side is gone.

    `lost` gets what the other side sent that is not a frame, or None if it has ended.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        peer: Peer,
        tasks: Tasks,
        answer: Answer,
        lost: Callable[[str | None], None],
    ) -> None:
        """Take over a connected stream socket; reading begins at once."""
        self._loop = loop
        self._sock = sock
        self._is_trusted = peer is Peer.PARENT
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
        self._largest: dict[int, int] = {}
        """By question, how large its answer may be. Kept until the answer comes."""
        self._news = 0
        """Questions of the other side that are not answered."""
        self._ids = itertools.count(1)
        self._is_open = True
        self._all_sent = asyncio.Event()
        self._all_sent.set()
        sock.settimeout(0)
        loop.add_reader(sock, self._readable)

    # -- asking

    async def ask(
        self, kind: str, body: Body | None = None, descriptors: Sequence[int] = (), largest: int = LARGEST_NEWS
    ) -> Body:
        """Ask and wait for the answer, which has at most `largest` bytes if a worker gives it.

        The caller closes its descriptors. Raises `QuestionRefused` or `ChannelLost`.
        """
        if not self._is_open:
            raise ChannelLost
        number = next(self._ids)
        future: asyncio.Future[Body] = self._loop.create_future()
        self._waiting[number] = future
        try:
            self._send({"id": number, "ask": kind, "body": body or {}}, descriptors)
            self._largest[number] = largest
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
        self._largest.clear()

    # -- sending

    def _send(self, frame: Mapping[str, object], descriptors: Sequence[int] = ()) -> None:
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

    def _queue(self, frame: Mapping[str, object], copies: list[int]) -> None:
        payload = json.dumps(frame, separators=(",", ":")).encode()
        assert len(payload) <= LARGEST_FRAME  # this process wrote it
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
        fault = None
        try:
            is_over = not self._received_some()
            while self._is_open and not is_over and (frame := self._next_frame()) is not None:
                self._take(*frame)
        except (BlockingIOError, InterruptedError):
            return False
        except _Garbled as garbled:
            is_over = True
            fault = str(garbled)
        if is_over:
            self.give_up(fault)
        return not is_over

    def give_up(self, fault: str | None) -> None:
        """Read nothing more, and say why: the other side has ended (None), or its `fault`."""
        if self._is_open:
            self.close()
            self._lost(fault)

    def _received_some(self) -> bool:
        """Read once. False at the end of the stream."""
        room = _ANCILLARY_BYTES if self._is_trusted else 0
        try:
            data, ancillary, flags, _ = self._sock.recvmsg(_READ_BYTES, room, socket.MSG_CMSG_CLOEXEC)
        except (BlockingIOError, InterruptedError):
            raise
        except OSError:
            return False
        came = descriptors_in(ancillary)
        if flags & socket.MSG_CTRUNC and not self._is_trusted:
            raise _Garbled("descriptors")
        if came or flags & socket.MSG_CTRUNC:  # the second: this process has no room for them
            self._descriptors.append(came)
        self._received += data
        return bool(data)

    def _next_frame(self) -> tuple[Body, int] | None:
        """A frame and how many bytes it has."""
        if len(self._received) < _HEADER.size:
            return None
        length, count = _HEADER.unpack_from(self._received)
        allowed = LARGEST_FRAME if self._is_trusted else max((LARGEST_NEWS, *self._largest.values()))
        if length > allowed:
            raise _Garbled(f"a frame of {length:_} bytes where {allowed:_} are allowed")
        if count and not self._is_trusted:
            raise _Garbled("a frame with descriptors")
        end = _HEADER.size + length
        if len(self._received) < end:
            return None
        frame = _parsed(self._received[_HEADER.size : end])
        if count and not self._descriptors:
            raise _Garbled("a frame without its descriptors")
        del self._received[:end]
        descriptors = self._descriptors.popleft() if count else []
        if len(descriptors) == count and self._brought is not None:
            self._brought += descriptors
        else:
            close_all([*descriptors, *(self._brought or [])])
            self._brought = None
        return frame, length

    def _take(self, frame: Body, length: int) -> None:
        match frame:
            case {"brings": True, **rest} if not rest and self._is_trusted:
                return
            case {"id": int(number), "ask": str(kind), "body": dict() as body, **rest} if not rest:
                self._asked(_Question(number, kind, body), length)
            case {"id": int(number), "answer": dict() as answer, **rest} if not rest:
                if (future := self._answered(number, length)) is not None:
                    future.set_result(answer)
            case {"id": int(number), "failure": dict() as failure, **rest} if not rest:
                if (future := self._answered(number, length)) is not None:
                    future.set_exception(QuestionRefused(decode_refusal(failure)))
            case _:
                raise _Garbled("a frame that is neither a question nor an answer")

    def _asked(self, question: _Question, length: int) -> None:
        descriptors, self._brought = self._brought, []
        if not self._is_trusted:
            if length > LARGEST_NEWS:
                raise _Garbled(f"news of {length:_} bytes where {LARGEST_NEWS:_} are allowed")
            if self._news + len(self._unsent) >= _MOST_NEWS:
                raise _Garbled(f"more than {_MOST_NEWS} notices at once")
        if descriptors is None:
            self._reply_to(question, _failure("no room for more descriptors (LimitNOFILE)"))
        else:
            self._news += 1
            self._tasks.start(self._reply(question, descriptors))

    def _answered(self, number: int, length: int) -> asyncio.Future[Body] | None:
        """The asker that waits for an answer, or None."""
        largest = self._largest.pop(number, None)
        if not self._is_trusted and (largest is None or length > largest):
            raise _Garbled(
                "an answer to no question"
                if largest is None
                else f"an answer of {length:_} bytes where {largest:_} are allowed"
            )
        future = self._waiting.pop(number, None)
        return None if future is None or future.done() else future

    async def _reply(self, question: _Question, descriptors: list[int]) -> None:
        try:
            await self._reply_with_answer(question, descriptors)
        finally:
            self._news -= 1

    async def _reply_with_answer(self, question: _Question, descriptors: list[int]) -> None:
        try:
            reply = {"answer": await self._answer(question.kind, question.body, descriptors)}
        except QuestionRefused as refusal:
            reply = {"failure": encode_refusal(refusal.reason)}
        except Exception as error:
            # the other side must not wait for ever; the owner of the tasks reports the error itself
            self._reply_to(question, _failure(f"{type(error).__name__}: {error}"))
            raise
        self._reply_to(question, reply)

    def _reply_to(self, question: _Question, reply: Mapping[str, object]) -> None:
        if self._is_open:
            self._send({"id": question.number, **reply})


def _parsed(payload: bytearray) -> Body:
    """Read the JSON object of a frame. Raises `_Garbled`."""
    try:
        frame = json.loads(payload)
        if b"\\ud" in payload or b"\\uD" in payload:
            json.dumps(frame, ensure_ascii=False).encode()  # half of a surrogate pair is not text
    except (ValueError, RecursionError) as error:
        # RecursionError: lists within lists within lists
        raise _Garbled(f"a frame that is not JSON ({type(error).__name__})") from None
    if not isinstance(frame, dict):
        raise _Garbled("a frame that is not JSON object")
    return frame


def _failure(sentence: str) -> Mapping[str, object]:
    return {"failure": encode_refusal(QuestionFailed(sentence))}


def descriptors_in(ancillary: Sequence[tuple[int, int, bytes]]) -> list[int]:
    """The descriptors that came with a message (SCM_RIGHTS in unix(7)). One that is cut is none."""
    size = struct.calcsize("i")
    return [
        number
        for level, kind, content in ancillary
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS
        for number in struct.unpack(f"{len(content) // size}i", content[: len(content) // size * size])
    ]


def close_all(descriptors: Sequence[int]) -> None:
    """Close the descriptors that came with a question, or were to go with one."""
    for descriptor in descriptors:
        os.close(descriptor)
