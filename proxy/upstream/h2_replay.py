"""The body of a request as far as a server of HTTP/2 got it, to be sent once more. Pure."""

from typing import Final

# A window that no server has widened. Each request that has no response yet may hold as much.
_MOST_BYTES: Final = 65_536


class Replay:
    """Keeps the pieces of a body until the server answers, or until they are too much."""

    __slots__ = ("_size", "is_whole", "pieces")

    def __init__(self) -> None:
        """Begin without a piece."""
        self.pieces: list[bytes] = []
        self.is_whole = True
        """Whether all that was given is here."""
        self._size = 0

    def add(self, data: bytes) -> None:
        """Keep a piece."""
        if self.is_whole and data:
            self.pieces.append(data)
            self._size += len(data)

    def bound(self) -> None:
        """All of it was sent: keep it only if it is not too much."""
        if self._size > _MOST_BYTES:
            self.forget()

    def forget(self) -> None:
        """It will not be sent again."""
        self.pieces = []
        self.is_whole = False
