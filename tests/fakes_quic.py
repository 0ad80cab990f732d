"""A QUIC connection without packets: what the compiled part would tell, and what it was asked for."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from proxy.quic.events import QuicEventTuple

if TYPE_CHECKING:
    from proxy.quic.faults import QuicFault


class FakeQuicConnection:
    """What `_native.Connection` is to a session and to a transport. `asked` has its calls, in order."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.told: list[QuicEventTuple] = []
        """What the next `take_events` answers."""
        self.sends: list[list[QuicEventTuple]] = []
        """What each `transmit` tells."""
        self.errors: list[int] = []
        """What each `receive` answers, then 0."""
        self.unacked = 0
        self.incomplete_heads = 0
        self.due = 30.0
        self.has_more = 0
        self.transmit_error = 0
        self.expiry_error = 0

    def __getattr__(self, name: str) -> Any:
        """Whatever else it is asked for is written down."""

        def call(*arguments: Any) -> None:
            self.asked.append((name, *arguments))

        return call

    def take_events(self) -> list[QuicEventTuple]:
        told, self.told = self.told, []
        return told

    def receive(self, data: bytes, local: bytes, remote: bytes, ecn: int) -> int:
        self.asked.append(("receive", data, local, remote, ecn))
        return self.errors.pop(0) if self.errors else 0

    def transmit(self, sock: object) -> tuple[int, int]:
        del sock
        self.asked.append(("transmit",))
        self.told += self.sends.pop(0) if self.sends else []
        has_more, self.has_more = self.has_more, 0
        return self.transmit_error, has_more

    def expiry(self) -> float:
        return self.due

    def expired(self) -> int:
        self.asked.append(("expired",))
        self.due = 30.0
        return self.expiry_error

    def pto(self) -> float:
        return 0.1

    def own_id(self) -> bytes:
        return b"own"

    def path(self) -> tuple[bytes, bytes]:
        return b"local", b"remote"

    def close(self, error: int, code: int) -> bytes:
        self.asked.append(("close", error, code))
        return b""

    def calls(self, *names: str) -> list[tuple[Any, ...]]:
        """Those of some names."""
        return [one for one in self.asked if one[0] in names]


def quic_connection() -> Any:
    """One, for what takes a `_native.Connection`."""
    return FakeQuicConnection()


class FakeQuicTransport:
    """What a `QuicTransport` is to a session."""

    def __init__(self) -> None:
        self.native = quic_connection()
        self.came: list[QuicEventTuple] = []
        self.sent: list[QuicEventTuple] = []
        self.fault: QuicFault | None = None
        self.close_code = 0x100
        self.turns = 0
        self.transmits = 0
        self.holds = 0

    def take_events(self) -> list[QuicEventTuple]:
        came, self.came = self.came, []
        return came

    def take_sent(self) -> list[QuicEventTuple]:
        sent, self.sent = self.sent, []
        return sent

    def transmit(self) -> None:
        self.transmits += 1

    def hold(self) -> None:
        self.holds += 1

    def turn_soon(self) -> None:
        self.turns += 1

    def tell(self, *events: QuicEventTuple) -> None:
        """What comes with the next datagrams."""
        self.came += events

    def leave(self, *events: QuicEventTuple) -> None:
        """What the next packets do."""
        self.sent += events


def fields(
    path: bytes = b"/", method: bytes = b"GET", further: Iterable[tuple[bytes, bytes]] = ()
) -> list[tuple[bytes, bytes]]:
    """Those of a request."""
    return [(b":method", method), (b":scheme", b"https"), (b":authority", b"chat.test"), (b":path", path), *further]
