"""The stream of bytes of one connection, encrypted or not, and what its owner is told."""

from typing import Final, Protocol


class StreamOwner(Protocol):
    """The user of a `SocketStream`.

    The event loop calls all methods but `pause_writing`. They are never called from inside a call
    to the stream.
    """

    def data_received(self, data: memoryview) -> None:
        """Take bytes; the view is valid only until this call returns."""

    def eof_received(self) -> None:
        """The peer ended its direction; ours is still open."""

    def connection_lost(self, error: OSError | None) -> None:
        """The socket is closed (None: by our own wish). Called exactly once, last."""

    def pause_writing(self) -> None:
        """The peer takes no more: stop producing. May come from inside `write`.

        What was written already is kept.
        """

    def resume_writing(self) -> None:
        """Everything written so far is with the kernel."""


class PlaintextOwner(Protocol):
    """The user of a `TlsStream`: a `StreamOwner` that may keep the bytes."""

    def data_received(self, data: bytes) -> None:
        """Take decrypted bytes."""

    def eof_received(self) -> None:
        """The peer will send no more; `ByteStream.was_truncated` tells whether it said so."""

    def connection_lost(self, error: OSError | None) -> None:
        """The connection is gone; called exactly once, last."""

    def pause_writing(self) -> None:
        """The peer takes no more: stop producing."""

    def resume_writing(self) -> None:
        """Everything written so far is with the kernel."""


class ByteOwner(Protocol):
    """The user of either kind of stream; the contract is that of `StreamOwner`."""

    def data_received(self, data: bytes | memoryview) -> None:
        """Take bytes; a view is valid only until this call returns."""

    def eof_received(self) -> None:
        """The peer ended its direction; ours is still open."""

    def connection_lost(self, error: OSError | None) -> None:
        """The connection is closed (None: by our own wish). Called exactly once, last."""

    def pause_writing(self) -> None:
        """The peer takes no more: stop producing. May come from inside `write`."""

    def resume_writing(self) -> None:
        """The kernel has everything that was written so far."""


class ByteStream(Protocol):
    """A connection to one peer: a `SocketStream`, or a `TlsStream` over one."""

    @property
    def was_truncated(self) -> bool:
        """Whether the bytes ended before the peer said that they are complete.

        RFC 8446 section 6.1 has the rule.
        """

    def hand_over(self, owner: ByteOwner) -> None:
        """Tell this owner everything from now on."""

    def write(self, data: bytes) -> None:
        """Send bytes before this turn of the loop ends."""

    def pause_reading(self) -> None:
        """Leave what the peer sends in the kernel, whose window then stops the peer."""

    def resume_reading(self) -> None:
        """Deliver what the peer sends."""

    def end(self) -> None:
        """Send what was written, end our direction, then close."""

    def abort(self) -> None:
        """Close at once; the owner is told in the next turn of the loop."""


class _NoOwner:
    """Owner of a closed stream, which drops its last owner: reference counts then free both."""

    def data_received(self, data: bytes | memoryview) -> None:
        """Ignored: the stream is closed."""

    def eof_received(self) -> None:
        """Ignored: the stream is closed."""

    def connection_lost(self, error: OSError | None) -> None:
        """Ignored: the last owner was told."""

    def pause_writing(self) -> None:
        """Ignored: the stream is closed."""

    def resume_writing(self) -> None:
        """Ignored: the stream is closed."""


NO_OWNER: Final = _NoOwner()
