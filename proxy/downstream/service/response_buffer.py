"""What this process buffers for clients that read slowly: for one, and for all of them. Pure.

Theory of operation. A slow client must not keep a connection to a server busy, because there are
few. So the proxy takes the answer from the server as long as there is room. Then the connection is
free again while the client still reads. Without room the server waits, as it would without any
buffer. For want of room the proxy refuses no request and loses no byte.

Room has two limits: of one answer (`most`), and of all clients of a worker together (`total`). A
rule without a list of clients shares the second: a client gets more only while it has less than
what is still free. A single client reaches half of the total, two clients a third each, and so on.
The client that has most is the first that gets no more, and a new client always finds some room. A
client is an address (IPv6: a /64) with all of its connections.

When the proxy pauses a server, the bytes of the last read are already here. They are held for each
blocked client, and count for no client: else many clients without room would use up the room of
the others. They are bounded by the connections to servers, until the rest of an answer goes into
the spool (`unread_answers`): from then on they count.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from proxy.figures.snapshot import BufferRow
from proxy.limits.networks import EXEMPT


@dataclass(frozen=True, slots=True)
class BufferLimits:
    """Bytes: of one answer, of all in the memory of a worker, and of all in its spool."""

    most: int
    total: int
    spooled: int = 0


class ResponseBudget:
    """What all clients of a loop hold together."""

    def __init__(self) -> None:
        self._by_client: dict[bytes, int] = {}
        self.held = 0
        """Bytes that wait now because this budget gave room for them."""
        self.shortages = 0
        """How often a server had to wait because other clients held the rest.

        Its answer was below its own limit.
        """

    def change(self, client: bytes, count: int) -> None:
        """Count `count` bytes more (or less, if negative) that wait for a client."""
        self.held += count
        left = self._by_client.get(client, 0) + count
        if left:
            self._by_client[client] = left
        else:
            self._by_client.pop(client, None)  # no entry for a client that has left

    def has_room(self, client: bytes, total: int) -> bool:
        """Whether a client may have more.

        One that is `EXEMPT` from limits on single clients may as long as any room is left.
        """
        free = total - self.held
        return free > 0 if client == EXEMPT else self._by_client.get(client, 0) < free

    def held_by(self, client: bytes) -> int:
        return self._by_client.get(client, 0)

    def row(self) -> BufferRow:
        """The figures, for `merging`."""
        return {"held": self.held, "shortages": self.shortages}


class Stream(Protocol):
    @property
    def held_bytes(self) -> int: ...

    @property
    def waiting_bytes(self) -> int:
        """Bytes that its machine has not acknowledged, here and in the kernel."""


class ResponseBuffer:
    """What waits for one connection while its client is blocked. A `limits.pace.Backlog`."""

    def __init__(self, stream: Stream, budget: ResponseBudget) -> None:
        """Start empty; `stream` leads to the client."""
        self._stream: Final = stream
        self._budget: Final = budget
        self._client = EXEMPT
        self._held = 0
        self.written_bytes = 0
        """The sum of the bytes that were written while it was blocked."""

    @property
    def waiting_bytes(self) -> int:
        """What the client's machine has not acknowledged."""
        return self._stream.waiting_bytes

    def has_room(self, client: bytes, written: int, limits: BufferLimits) -> bool:
        """Whether the blocked client may get more; `written` bytes were written just now."""
        if not self._held:
            self._client = client  # what was for another one was taken
        self.written_bytes += written
        held = self._stream.held_bytes
        if held < self._held:
            self._settle(held)
        if held >= limits.most:
            return False
        if not self._budget.has_room(self._client, limits.total):
            self._budget.shortages += 1
            return False
        self._settle(held)
        return True

    def hold(self, client: bytes) -> None:
        """Count what the blocked client holds, room or not: more of its answer is in the spool."""
        if not self._held:
            self._client = client
        self._settle(self._stream.held_bytes)

    def release(self) -> None:
        """The client took everything, or is gone."""
        self._settle(0)

    def _settle(self, held: int) -> None:
        if held != self._held:
            self._budget.change(self._client, held - self._held)
            self._held = held
