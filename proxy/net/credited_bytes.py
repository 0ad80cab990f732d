"""The receiving half of a `ByteStream` whose peer needs credit for what it sends.

Theory of operation. The owner gets each piece, and the peer gets credit for it. While the owner
takes nothing, what still comes is kept here without credit: no more than one window. The end comes
behind all bytes.
"""

from asyncio import AbstractEventLoop
from typing import Final

from proxy.net.byte_stream import NO_OWNER, ByteOwner


class CreditedBytes:
    """Gives its owner the bytes of one stream of a shared connection."""

    was_truncated: Final = False
    """The end of the stream says that the bytes are complete."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop: Final = loop
        self._owner: ByteOwner = NO_OWNER
        self._kept = bytearray()  # a peer may send a byte in each frame
        self._is_end_kept = False  # the end came behind what is kept
        self._is_paused = False

    def credit(self, count: int) -> None:
        """`count` bytes were handed on: the peer may send as many more."""
        raise NotImplementedError

    def written(self) -> None:
        """Something waits to be sent: bytes, credit, or the end."""
        raise NotImplementedError

    def hand_over(self, owner: ByteOwner) -> None:
        self._owner = owner

    def pause_reading(self) -> None:
        """Give the peer no credit for what comes from now on."""
        self._is_paused = True

    def resume_reading(self) -> None:
        """Deliver again, from the next turn of the loop on."""
        self._is_paused = False
        if self._kept or self._is_end_kept:
            self._loop.call_soon(self._deliver_kept)

    def _deliver_kept(self) -> None:
        if self._kept and not self._is_paused:
            data, self._kept = bytes(self._kept), bytearray()
            self._deliver(data)
            self.written()  # the credit
        if self._is_end_kept and not self._is_paused:
            self._is_end_kept = False
            self._owner.eof_received()

    def _deliver(self, data: bytes) -> None:
        # Credit first: the owner may end the stream, and a closed stream gets none.
        self.credit(len(data))
        self._owner.data_received(data)

    def forget_kept(self) -> None:
        """The owner wants no more of it."""
        self._kept = bytearray()
        self._is_end_kept = False

    def received(self, data: bytes, *, is_ended: bool) -> None:
        """Take bytes of the peer; after `is_ended` none follow."""
        if self._is_paused or self._kept:
            self._kept += data
            self._is_end_kept = is_ended
            return
        if data:
            self._deliver(data)
        if is_ended:
            self._is_end_kept = True
            self._deliver_kept()  # now, unless these bytes made the owner pause

    def pause_writing(self) -> None:
        """The peer takes no more."""
        self._owner.pause_writing()

    def resume_writing(self) -> None:
        """The peer takes more again."""
        self._owner.resume_writing()

    def lost(self, error: OSError | None) -> None:
        self.forget_kept()
        owner, self._owner = self._owner, NO_OWNER
        owner.connection_lost(error)
