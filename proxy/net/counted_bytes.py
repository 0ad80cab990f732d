"""How many bytes came and went on a socket, and what a handshake does with one."""

from mypy_extensions import i64

from proxy.net.shared_io import Sender


class CountedBytes(Sender):
    """Base of a stream: the counts since they were taken last.

    A read and a send add a machine word each. To ask whether the log wants the counts would cost
    more.
    """

    def __init__(self) -> None:
        self._received: i64 = 0
        self._sent: i64 = 0
        self._outbox = b""
        """What was written in this turn of the loop."""

    def _came(self, count: int) -> int:
        self._received += count
        return count

    def _went(self, count: int) -> int:
        self._sent += count
        return count

    def take_wire_bytes(self) -> tuple[int, int]:
        """What came, and what went, since the last call, or since the connection began.

        What goes out at the end of this turn counts as gone. What the kernel did not take does not.
        """
        going = i64(len(self._outbox))
        counts = int(self._received), int(self._sent + going)
        self._received = 0
        self._sent = -going
        return counts


class WireStream(CountedBytes):
    """What a handshake reads and writes: the bytes below TLS, of a socket or of CRYPTO frames.

    A class, as `byte_stream.StreamOwner` is: each handshake calls its methods.
    """

    @property
    def unread_bytes(self) -> int:
        raise NotImplementedError

    def resume_reading(self) -> None:
        raise NotImplementedError

    def pause_reading(self) -> None:
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        """Send `data` before this turn of the loop ends."""
        raise NotImplementedError

    def end(self) -> None:
        raise NotImplementedError

    def abort(self) -> None:
        """Close at once, and tell the owner in the next turn."""
        raise NotImplementedError

    def drop(self) -> None:
        raise NotImplementedError
