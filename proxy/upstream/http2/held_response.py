"""What came of a response while its client takes nothing. Pure."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxy.http.head import Header


class HeldResponse:
    """Keeps pieces of a body: no more than the server's window, which gets no credit for them."""

    def __init__(self) -> None:
        self.is_paused = False
        """Whether the client takes nothing."""
        self.is_ended = False
        """Whether the end of the response is behind what is kept."""
        self.trailers: list[Header] = []
        self._pieces: Final[list[bytes]] = []

    @property
    def is_waiting(self) -> bool:
        """Whether what comes now has to wait for its turn."""
        return self.is_paused or len(self._pieces) > 0

    def keep(self, data: bytes) -> None:
        if data:
            self._pieces.append(data)

    def take(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data
