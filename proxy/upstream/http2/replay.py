"""The body of a request as far as a server of HTTP/2 got it, to be sent once more. Pure.

A server may refuse a stream: by RST_STREAM with REFUSED_STREAM, or because it leaves and its GOAWAY
names an earlier stream as the last one. Such a request was not processed (RFC 9113 8.7), so it goes
out once more by itself, on another connection if the server leaves. For that its first bytes are
kept until the server answers.
"""

from typing import Final

# A window that no server has widened. Each request that has no response yet may hold as much.
_MOST_BYTES: Final = 65_536
# A server that ends a connection after a few requests excludes those that are on their way, perhaps
# several times. It answers others meanwhile. One that refuses a stream for its load does not.
_MOST_MOVES: Final = 10


class Replay:
    """Keeps the pieces of a body until the server answers, or until they are too much."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.is_whole = True
        self._size = 0
        self._refusals = 0

    def add(self, data: bytes) -> None:
        if self.is_whole and data:
            self.pieces.append(data)
            self._size += len(data)

    def bound(self) -> None:
        """All of it was sent: keep it only if it is not too much."""
        if self._size > _MOST_BYTES:
            self.forget()

    def may_move(self, *, server_leaves: bool) -> bool:
        """A server refused the request: whether it may be sent on another stream.

        `server_leaves` says that it ends the connection, too.
        """
        self._refusals += 1
        return self.is_whole and self._refusals <= (_MOST_MOVES if server_leaves else 1)

    def forget(self) -> None:
        """It will not be sent again."""
        self.pieces = []
        self.is_whole = False
