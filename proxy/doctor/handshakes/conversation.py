"""One connection of the doctor to a listener: its TCP, its handshake, and what is said behind it.

Everything has one deadline. The socket is closed in every case.
"""

import contextlib
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic, perf_counter
from typing import Final

from proxy.doctor.handshakes.flights import in_small_records, is_tls, pieces, server_hellos
from proxy.doctor.handshakes.observation import Ending, Observation
from proxy.doctor.handshakes.offers import Cut, HelloOffer
from proxy.doctor.handshakes.stack import ClientHandshake, Session, StackRefused, TlsClient
from proxy.doctor.handshakes.visits import Entrance

_LARGEST_READ: Final = 65_536
_RECORD_OCTETS: Final = 200
_CONNECT_SECONDS: Final = 2.0
_SEGMENT_OCTETS: Final = 16
"""A hybrid ClientHello of 1,500 octets takes 8 records and a hundred segments then."""


class _Over(Exception):
    """The handshake has ended otherwise than with a connection."""

    def __init__(self, ending: Ending, detail: str = "") -> None:
        super().__init__(ending, detail)
        self.ending = ending
        self.detail = detail


class Conversation:
    """An attempt. `observation` says how its handshake ended; data may follow if it worked."""

    def __init__(self, observation: Observation, wire: "_Wire | None" = None) -> None:
        """`wire` is that of an established connection."""
        self.observation: Final = observation
        self._wire: Final = wire

    def settled(self, seconds: float) -> Observation:
        """Wait for the server's first word behind the handshake: data, a ticket, or a refusal.

        A server that says nothing so long has taken the handshake.
        """
        if self._wire is None:
            return self.observation
        ending, detail = self._wire.settle(seconds)
        if ending is Ending.ESTABLISHED:
            return self.observation
        return replace(self.observation, ending=ending, alert=self._wire.handshake.alert, detail=detail)

    @property
    def session(self) -> Session | None:
        """What the server's ticket resumes; None if no ticket has come."""
        return self._wire.handshake.session if self._wire is not None and self._wire.handshake.has_ticket else None

    def send(self, data: bytes) -> None:
        """Send data. Raises OSError, and `TimeoutError` among them."""
        assert self._wire is not None  # established
        self._wire.handshake.write(data)
        self._wire.send(self._wire.handshake.to_send())

    def receive(self) -> bytes:
        """Wait for data; empty at its end. Raises OSError, and `TimeoutError` among them."""
        assert self._wire is not None  # established
        return self._wire.data()


def is_taken(door: Entrance) -> bool:
    """Whether a program listens at an address, so that a connection is not refused at once."""
    try:
        socket.create_connection((door.host, door.port), _CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


@contextmanager
def conversation(
    client: TlsClient, door: Entrance, seconds: float, session: Session | None = None
) -> Iterator[Conversation]:
    """Connect, and shake hands as far as the server does; hang up when the block ends.

    Never raises for what the other side does.
    """
    started = perf_counter()
    try:
        sock = socket.create_connection((door.host, door.port), seconds)
    except OSError as error:
        detail = error.strerror or str(error)
        yield Conversation(Observation(Ending.UNREACHABLE, perf_counter() - started, detail=detail))
        return
    with contextlib.closing(sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = _Wire(sock, client.begin(session), monotonic() + seconds, monotonic)
        yield _attempt(wire, client.offer, door.ahead)
        if client.offer.leaves:
            return  # its Finished is not sent either
        with contextlib.suppress(OSError):
            wire.handshake.close()
            wire.send(wire.handshake.to_send())


def _attempt(wire: "_Wire", offer: HelloOffer, ahead: bytes) -> Conversation:
    started = perf_counter()
    try:
        wire.begin(offer, ahead)
    except _Over as over:
        seconds = perf_counter() - started
        retried = server_hellos(bytes(wire.received)).retry is not None
        return Conversation(Observation(over.ending, seconds, retried, wire.handshake.alert, over.detail))
    seconds = perf_counter() - started
    hellos = server_hellos(bytes(wire.received))
    handshake = wire.handshake
    observation = Observation(
        Ending.ESTABLISHED,
        seconds,
        hellos.retry is not None,
        group=handshake.group,
        has_key_exchange=hellos.hello is not None and hellos.hello.group is not None,
        is_resumed=hellos.hello is not None and hellos.hello.psk_selected,
        version=handshake.version,
        protocol=handshake.protocol,
        chain=handshake.chain,
    )
    return Conversation(observation, wire)


class _Wire:
    """A socket and the handshake over it."""

    def __init__(
        self, sock: socket.socket, handshake: ClientHandshake, until: float, clock: Callable[[], float]
    ) -> None:
        self.handshake: Final = handshake
        self.received: Final = bytearray()
        """What the server sent during its handshake."""
        self._sock: Final = sock
        self._until: Final = until
        self._clock: Final = clock
        self._early = b""
        """Data that came together with the tickets."""

    def begin(self, offer: HelloOffer, ahead: bytes) -> None:
        """Run the handshake until our side has finished. Raises `_Over`."""
        try:
            self.send(ahead)
            self._step()
            flight = self.handshake.to_send()
            if offer.cut is Cut.MANY_SEGMENTS:
                flight = in_small_records(flight, _RECORD_OCTETS)
                for piece in pieces(flight, _SEGMENT_OCTETS):
                    self.send(piece)
            else:
                self.send(flight)
            while not self._step():
                self.send(self.handshake.to_send())  # a second ClientHello, or nothing yet
                self._hear()
            if not offer.leaves:
                self.send(self.handshake.to_send())
        except TimeoutError:
            raise _Over(Ending.SILENT) from None
        except OSError as error:
            raise _Over(*self._hung_up(error.strerror or str(error))) from None

    def _step(self) -> bool:
        try:
            return self.handshake.step()
        except StackRefused as refused:
            with contextlib.suppress(OSError):
                self.send(self.handshake.to_send())  # our alert
            raise _Over(*self._refusal(refused)) from None

    def _refusal(self, refused: StackRefused) -> tuple[Ending, str]:
        if self.handshake.alert is not None:
            return Ending.ALERT, ""
        if self.received and not is_tls(bytes(self.received)):
            return Ending.NOT_TLS, f"it begins with {bytes(self.received[:16])!r}"
        return Ending.CLIENT_REFUSED, str(refused)

    def _hear(self) -> None:
        data = self._take()
        if not data:
            raise _Over(*self._hung_up(""))
        self.received.extend(data)
        self.handshake.receive(data)

    def _hung_up(self, detail: str) -> tuple[Ending, str]:
        return (Ending.ALERT, "") if self.handshake.alert is not None else (Ending.CLOSED, detail)

    def settle(self, seconds: float) -> tuple[Ending, str]:
        """Wait until a ticket or data comes."""
        until = min(self._until, self._clock() + seconds)
        try:
            while not (self.handshake.has_ticket or self._early):
                data = self._take(until)
                if not data:
                    return self._hung_up("")
                self.handshake.receive(data)
                self._early += self.handshake.read() or b""
        except StackRefused as refused:
            return self._refusal(refused)
        except TimeoutError:
            return Ending.ESTABLISHED, ""
        except OSError as error:
            return self._hung_up(error.strerror or str(error))
        return Ending.ESTABLISHED, ""

    def data(self) -> bytes:
        """Wait for data; empty at its end. Raises OSError."""
        if self._early:
            early, self._early = self._early, b""
            return early
        while True:
            try:
                data = self.handshake.read()
            except StackRefused as refused:
                raise ConnectionAbortedError(str(refused)) from None
            if data != b"":
                return data or b""
            taken = self._take()
            if not taken:
                return b""
            self.handshake.receive(taken)

    def send(self, data: bytes) -> None:
        if data:
            self._sock.settimeout(self._left(self._until))
            self._sock.sendall(data)

    def _take(self, until: float | None = None) -> bytes:
        self._sock.settimeout(self._left(self._until if until is None else until))
        return self._sock.recv(_LARGEST_READ)

    def _left(self, until: float) -> float:
        left = until - self._clock()
        if left <= 0:
            raise TimeoutError
        return left
