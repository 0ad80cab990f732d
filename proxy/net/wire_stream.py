"""What a handshake reads and writes: the bytes below TLS, of a socket or of CRYPTO frames."""

from proxy.net.counted_bytes import CountedBytes


class WireStream(CountedBytes):
    """A class, as `byte_stream.StreamOwner` is: each handshake calls its methods."""

    @property
    def unread_bytes(self) -> int:
        """Bytes of the peer that were not read."""
        raise NotImplementedError

    def resume_reading(self) -> None:
        """Deliver what the peer sends."""
        raise NotImplementedError

    def pause_reading(self) -> None:
        """Deliver nothing for now."""
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        """Send `data` before this turn of the loop ends."""
        raise NotImplementedError

    def end(self) -> None:
        """Send what was written, then close."""
        raise NotImplementedError

    def abort(self) -> None:
        """Close at once, and tell the owner in the next turn."""
        raise NotImplementedError

    def drop(self) -> None:
        """Close now, without a word to the peer."""
        raise NotImplementedError
