"""The TLS handshake of a QUIC connection: that of TCP, on CRYPTO frames (RFC 9001 section 4).

Theory of operation. What a client says in CRYPTO frames is put into records, and what OpenSSL wants
comes as records (`_native`), so `tls.handshake` does the rest: policy, identities, tokens, tickets.
Records for the connection are applied as soon as they are written. A step that is made on the loop
is made at once, and not in a turn with others: the rest of the packet waits for it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from proxy.net.counted_bytes import WireStream
from proxy.quic.transport import QuicTransport
from proxy.tls.handshake.challenges import PendingChallenges
from proxy.tls.handshake.flight_makers import FlightServices
from proxy.tls.handshake.handshake import Handshake
from proxy.tls.handshake.handshake_policy import HandshakePolicy
from proxy.tls.handshake.results import Established, FailureReason, HandshakeObserver, UnopenedHello
from proxy.tls.openssl.step_queue import StepQueue
from proxy.tls.openssl.tls_object import TlsObject
from proxy.tls.wire.alerts import AlertDescription

if TYPE_CHECKING:
    from proxy.tls.openssl.driver import TlsDriver

_INITIAL: Final = 0
_RECORD_BYTES: Final = 16_384
# The content type, by which `_native` knows the encryption level, and the version.
_INITIAL_HEAD: Final = b"\x16\x03\x03"
_HANDSHAKE_HEAD: Final = b"\x17\x03\x03"


def records_of(level: int, data: bytes) -> bytes:
    """What came at an encryption level, as records. Pure."""
    head = _INITIAL_HEAD if level == _INITIAL else _HANDSHAKE_HEAD
    return b"".join(
        head + len(part).to_bytes(2) + part
        for part in (data[at : at + _RECORD_BYTES] for at in range(0, len(data), _RECORD_BYTES))
    )


class OwnSteps(StepQueue):
    """The steps of one connection, which can be made at once."""

    def run(self) -> None:
        """Make all steps that wait, and those that follow."""
        while self._waiting:
            self._run()


class CryptoStream(WireStream):
    """The stream of a handshake: it applies what is written to its connection."""

    def __init__(self, transport: QuicTransport, soon: Callable[[], None]) -> None:
        """`soon` is called when the connection has something to send."""
        super().__init__()
        self._transport: Final = transport
        self._soon: Final = soon

    @property
    def unread_bytes(self) -> int:
        return 0

    # what comes is little, and bounded by the limits of a ClientHello

    def resume_reading(self) -> None: ...

    def pause_reading(self) -> None: ...

    def write(self, data: bytes) -> None:
        transport = self._transport
        if transport.is_over:
            return
        error = transport.native.apply(data)
        if error:
            transport.refuse(error)
        self._soon()

    def end(self) -> None:
        self._transport.end()

    def abort(self) -> None:
        self._transport.end()

    def drop(self) -> None:
        self._transport.drop()


class QuicHandshake(Handshake):
    """Tells `established` how it ended well, and its observer how it failed."""

    def __init__(
        self,
        policy: HandshakePolicy,
        services: FlightServices,
        observer: HandshakeObserver,
        deadline: float,
        network: bytes,
        established: Callable[[Established], None],
    ) -> None:
        """`services` have the driver of this connection."""
        super().__init__(policy, services, observer, deadline, PendingChallenges(), network)
        self._established: Final = established
        self._turns: Final = services.steps

    def begin_on(self, stream: CryptoStream) -> None:
        """Start reading the ClientHello from `stream`."""
        self._stream = stream

    def crypto_received(self, level: int, data: bytes) -> None:
        self.data_received(memoryview(records_of(level, data)))

    def run_steps(self) -> None:
        turns = self._turns
        assert isinstance(turns, OwnSteps)  # of its connection
        turns.run()

    def broken(self, sentence: str) -> None:
        self._fail(FailureReason.QUIC_ERROR, sentence)

    def _hands_on(self, hello: UnopenedHello | None) -> bool:
        """Refuse a name whose TLS is for a server: it is passed on over TCP alone."""
        if hello is not None:
            detail = f"the TLS of {hello.server_name} is passed through, and not over QUIC"
            self.refuse(FailureReason.UNRECOGNIZED_NAME, AlertDescription.UNRECOGNIZED_NAME, detail)
        return hello is not None

    def _open(self, result: Established, tls: TlsObject, tickets: int | bytes, rest: bytes) -> None:
        del rest
        driver: TlsDriver = self._services.driver
        sealed = tickets if isinstance(tickets, bytes) else driver.encrypt(tls, b"", tickets)
        stream = self._stream
        self._leave()
        self._established(result)
        if sealed:
            stream.write(sealed)
