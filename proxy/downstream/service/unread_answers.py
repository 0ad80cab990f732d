"""Answers whose clients do not take them: how long their servers wait, and who gives way.

Theory of operation. Where the memory for a blocked client is used up (`response_buffer`), its
server waits, and that connection to the server is of no use to others. So the time for which an
answer keeps its server waiting is bounded, all its pauses together: by `_MOST_SECONDS`; if half of
the connections to the server are in use, by the next sweep of the deadlines; and if all of them
are, by this turn of the loop. Then the rest of the answer goes into the spool (`spool`) as fast
as the server sends it. A client that reads in time does not come this far, and its answers do not
touch the disk.

What stands in the spool is bounded for all clients of a worker together, by the rule of
`ResponseBudget`. It also needs memory: what was written to the stream of the client before. Without
room in both, the server continues waiting. The last quarter of the connections is for clients that
read, though (`Shares`). So when it is touched, answers are ended, until there is room: of the
clients that hold the most, those that are read the slowest.

A `UnreadAnswer` is the writer of its answer while a part of it is in the spool.
"""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from proxy.downstream.requests.answer_writer import AnswerWriter
from proxy.downstream.service.response_buffer import BufferLimits, ResponseBudget
from proxy.downstream.service.spool import PIECE_BYTES, SLOT_BYTES, Piece, Spool
from proxy.http.head import Header
from proxy.limits.networks import EXEMPT
from proxy.limits.reasons import RequestReason
from proxy.net.deadlines import NEVER, Deadlines

if TYPE_CHECKING:
    from proxy.upstream.pooling.shares import Shares

# A client with a slow line takes a page and its pictures in this time. It bounds what one answer
# can cost its server beside the time that the server takes itself.
_MOST_SECONDS: Final = 5.0
# Whose answer has stood for less time is not known to be slow.
_GRACE_SECONDS: Final = 1.0
# Clients that hold at least half of what the one with the most holds are as much to blame.
_HEAVY: Final = 2
_REASON: Final = f"{RequestReason.READER_DISPLACED}: the client reads the response too slowly, and other requests need its connection"


class SlowReader(Protocol):
    """The exchange of a slow answer."""

    @property
    def holder(self) -> bytes:
        """The client network that it counts for, or `EXEMPT`."""

    @property
    def response_bytes(self) -> int: ...

    def spool(self) -> None:
        """Let the server continue; what it sends goes into the spool."""

    def displaced(self, reason: str) -> None: ...


class UnreadAnswers:
    def __init__(
        self,
        deadlines: Deadlines,
        clock: Callable[[], float],
        soon: Callable[[Callable[[], None]], object],
        spool: Spool,
        memory: ResponseBudget,
        limits: BufferLimits,
    ) -> None:
        """`soon` calls in another turn of the loop. `memory` is what `response_buffer` counts."""
        self.deadlines: Final = deadlines
        self.clock: Final = clock
        self.soon: Final = soon
        self.spool: Final = spool
        self.memory: Final = memory
        self.limits = limits
        self.budget: Final = ResponseBudget()
        self._answers: dict[UnreadAnswer, None] = {}
        self._relieved_at = -1.0

    def add(self, answer: "UnreadAnswer") -> None:
        """Its server waits, or a part of it is in the spool."""
        self._answers[answer] = None

    def discard(self, answer: "UnreadAnswer") -> None:
        """Its server continues, and the spool has nothing of it."""
        self._answers.pop(answer, None)

    def has_room(self, client: bytes) -> bool:
        """Whether the spool takes more for this client."""
        if not self.spool.has_room:
            return False
        if not self.budget.has_room(client, self.limits.spooled):
            self.budget.shortages += 1
            return False
        return True

    def has_room_for_another(self, client: bytes) -> bool:
        """Whether another answer of this client may go into the spool."""
        return self.memory.has_room(client, self.limits.total) and self.has_room(client)

    def relieve(self, shares: "Shares", now: float) -> None:
        """End answers until the connections to a server are not short. Once in a sweep."""
        if now <= self._relieved_at:
            return
        self._relieved_at = now
        slowest = sorted(
            (one.bytes_per_second(now), number, one)
            for number, one in enumerate(self._answers)
            if one.may_be_displaced(shares, now)
        )
        most = max((self._held(one.client) for _, _, one in slowest), default=0)
        heavy = [one for _, _, one in slowest if self._held(one.client) * _HEAVY >= most]
        for one in heavy[: shares.lacking]:
            one.displace()

    def _held(self, client: bytes) -> int:
        """How much a client holds. `EXEMPT` stands for many clients, which are not told apart."""
        return 0 if client == EXEMPT else self.budget.held_by(client) + self.memory.held_by(client)


class UnreadAnswer(AnswerWriter):
    """One answer. Watched by the deadlines while its server waits."""

    def __init__(self, answers: UnreadAnswers, shares: "Shares", reader: SlowReader) -> None:
        """Its client is blocked. `shares` are those of its server."""
        self._all: Final = answers
        self._reader: SlowReader | None = reader
        self.shares: Final = shares
        self.client: Final = reader.holder
        self.began: Final = answers.clock()
        self.passed: Final = reader.response_bytes
        """What the client's stream had when it began."""
        self.writer: AnswerWriter | None = None
        """What writes to the client; None while nothing is spooled."""
        self._pieces: deque[Piece] = deque()
        self._tail: list[bytes] = []
        """What is too little for a piece."""
        self._tail_bytes = 0
        self.unread = 0
        """Bytes that the client has not got yet."""
        self._counted = 0
        self._trailers: list[Header] = []
        self._ended = False
        self._waited = 0.0
        self._since = 0.0
        self._is_standing = False
        self._has_stood = False
        self.deadline = NEVER

    # -- its server

    def stands(self) -> None:
        if not self._is_standing:
            self._is_standing = True
            self._since = self.deadline = self._all.clock()
            self._all.add(self)
            self._all.deadlines.watch(self)
            if self.shares.is_full:
                self._all.soon(self._make_room)

    def moves(self) -> None:
        """The server waits no more."""
        if self._is_standing:
            self._is_standing = False
            self.deadline = NEVER
            self._waited += self._all.clock() - self._since
            self._all.deadlines.forget(self)
            if self._has_stood:
                self._has_stood = False
                self.shares.move(self.client)
            if not self.is_spooling:
                self._all.discard(self)

    def deadline_passed(self, now: float) -> None:
        """The server waits still: have the rest spooled, or see who gives way."""
        shares = self.shares
        if not self._has_stood:
            self._has_stood = True
            shares.stand(self.client)
        if not shares.is_busy and self._waited + now - self._since < _MOST_SECONDS:
            return
        if not self._may_go_on and shares.lacking:
            self._all.relieve(shares, now)
        self._make_room()

    def _make_room(self) -> None:
        """Let the server continue into the spool, if that has room."""
        if self._reader is not None and self._is_standing and self._may_go_on:
            self.moves()
            self._reader.spool()

    @property
    def _may_go_on(self) -> bool:
        answers = self._all
        return answers.has_room(self.client) if self.is_spooling else answers.has_room_for_another(self.client)

    # -- who gives way

    def may_be_displaced(self, shares: "Shares", now: float) -> bool:
        """Whether its end would make room for those who need this server, or the spool."""
        is_in_the_way = self.is_spooling or (self._is_standing and self.shares is shares)
        return is_in_the_way and now - self.began >= _GRACE_SECONDS

    def bytes_per_second(self, now: float) -> float:
        reader = self._reader
        assert reader is not None  # what has ended is not asked
        return (reader.response_bytes - self.unread - self.passed) / (now - self.began)

    def displace(self) -> None:
        if self._reader is not None:
            self._reader.displaced(_REASON)

    # -- the spool

    @property
    def is_spooling(self) -> bool:
        """Whether it is the writer of its answer now."""
        return self.writer is not None

    @property
    def has_room(self) -> bool:
        """Whether the server may send more into the spool."""
        return self._all.has_room(self.client)

    def begin(self, writer: AnswerWriter) -> None:
        """Be the writer from now on. What was spooled goes to `writer`."""
        self.writer = writer
        self._all.add(self)

    def data(self, data: bytes | memoryview) -> None:
        self.unread += len(data)
        self._tail.append(bytes(data))
        self._tail_bytes += len(data)
        if self._tail_bytes >= PIECE_BYTES:
            self._fill(PIECE_BYTES)

    def _fill(self, least: int) -> None:
        """Make pieces of the tail, until less than `least` bytes are left."""
        tail = memoryview(b"".join(self._tail))
        while tail and len(tail) >= least:
            self._pieces.append(self._all.spool.put(bytes(tail[:PIECE_BYTES])))
            tail = tail[PIECE_BYTES:]
        self._tail_bytes = len(tail)
        self._tail = [bytes(tail)] if tail else []

    def end(self, trailers: list[Header]) -> None:
        self._trailers = trailers
        self._ended = True
        self._fill(1)
        self._count()

    def flush(self) -> int:
        """Count what was spooled. Returns how much the client has not got yet."""
        self._count()
        return self.unread

    def never_index(self, names: frozenset[bytes]) -> None:
        if self.writer is not None:
            self.writer.never_index(names)

    def _count(self) -> None:
        count = len(self._pieces) * SLOT_BYTES + self._tail_bytes
        if count != self._counted:
            self._all.budget.change(self.client, count - self._counted)
            self._counted = count

    def pass_on(self) -> None:
        """Write a piece for the client, which leaves the spool. Raises `OSError`."""
        writer = self.writer
        if self.unread and writer is not None:  # an empty chunk would be the last one
            writer.data(self._next_piece())
            writer.flush()

    def _next_piece(self) -> bytes:
        if self._pieces:
            data = self._all.spool.take(self._pieces.popleft())
        else:
            data, self._tail, self._tail_bytes = b"".join(self._tail), [], 0
        self.unread -= len(data)
        self._count()
        return data

    def finish(self) -> AnswerWriter:
        """All of it is written: give the writer of the answer back, after the end if that came."""
        writer, self.writer = self.writer, None
        assert writer is not None  # it was spooling
        if self._ended:
            writer.end(self._trailers)
        if not self._is_standing:
            self._all.discard(self)
        return writer

    def close(self) -> None:
        """The answer is over: let everything go."""
        self.moves()
        self._reader = None
        self.writer = None
        for piece in self._pieces:
            self._all.spool.drop(piece)
        self._pieces.clear()
        self._tail = []
        self._tail_bytes = 0
        self._count()
        self._all.discard(self)
