"""How the server's flight is made without a wait on the event loop, where its key is in a token or
its key exchange is slow.

Theory of operation. What needs no token is made on the loop: a resumption and a HelloRetryRequest
on a context with a throw-away certificate, or the whole flight with a key in a file. If a step
without a key has signed, its flight is thrown away: no client may see that certificate. A token
makes everything else. All that the client sent is kept, as each attempt begins with the first
ClientHello.

A slow key exchange is never made on the loop: what needs no token is then made in a thread. With a
key in a file that is the whole flight. With a key in a token it shows that the client's bytes are
good, before the token is asked.

    state    what it waits for                               what follows
    -------  ----------------------------------------------  -------------------------
    Making   a maker (`flight_makers`): the loop, the        Making, Asking, Resting
             thread for slow groups, or a token
    Asking   the client: a ClientHello after a               Making, Resting
             HelloRetryRequest
    Resting  nothing: not begun, or the owner was told the result
"""

from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from proxy.net.counted_bytes import WireStream
from proxy.tls.handshake.attempt import Flight, Transcript, attempt, judge_hello, step
from proxy.tls.handshake.flight_makers import FlightServices, LoopMaker, ThreadMaker, TokenMaker
from proxy.tls.handshake.group_choice import SlowExchange, predicts_retry
from proxy.tls.handshake.results import ConnectionRefusal, FailureReason
from proxy.tls.openssl.tls_object import TlsObject
from proxy.tls.tokens.signing_plan import Signer, SigningPlan, TokenCredential
from proxy.tls.wire.alerts import AlertDescription
from proxy.tls.wire.client_hello import ClientHello
from proxy.tls.wire.groups import GroupPreference
from proxy.tls.wire.records import ClientFlight, ClientHelloReader, HelloError, HelloLimits
from proxy.tls.wire.server_hello import ServerHello, parse_server_flight

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from proxy.tls.openssl.context import ServerContext

_TOO_MANY: Final = "too many key exchanges with slow groups wait"
_NO_KEY_FITS: Final = "no key of the identity fits the signature algorithms that the client lists"
# As much early data as servers usually allow; reading pauses above it.
_MOST_HELD_BYTES: Final = 16_384


class FlightOwner(Protocol):
    """The handshake. `refuse` is the last call."""

    def flight_ready(self, flight: Flight, server_hello: ServerHello, held: bytes) -> None:
        """Send a flight. Unless it is a HelloRetryRequest, its object gets `held` next."""

    def refuse(self, reason: FailureReason, alert: AlertDescription, detail: str) -> None:
        """There will be no flight: end with this alert."""

    def flight_crowded_out(self, wire: bytes) -> None:
        """There will be no flight with a slow key exchange: too many wait. `wire` is all that the
        client has sent. Answer it in another way; nothing was sent to it.
        """


class _Shown(Enum):
    """Which certificate is in a flight, if one is."""

    OURS = auto()
    """One that the client may see."""
    STAND_IN = auto()
    """A throw-away one: a flight that signs is not sent, and a key of the identity is asked."""
    STAND_IN_KEPT = auto()
    """The same; after a HelloRetryRequest its object continues: the client may resume a session."""


# The states are not dataclasses: mypyc leaves the `__init__` of those to the interpreter.


class _Making:
    def __init__(self, maker: LoopMaker | ThreadMaker | TokenMaker, shown: _Shown) -> None:
        self.maker: Final = maker
        self.shown: Final = shown


class _Asking:
    """A HelloRetryRequest was sent, by `stand_in` if the second hello may resume a session."""

    def __init__(self, reader: ClientHelloReader, stand_in: TlsObject | None) -> None:
        self.reader: Final = reader
        self.stand_in: Final = stand_in


class _Resting:
    """The flight was not begun, or the owner was told the result."""


_RESTING: Final = _Resting()

# A client that waits for longer may leave, and another credential needs its time too.
_PATIENCE_SECONDS: Final = 2.0
_NO_TOKEN_SIGNS: Final = (
    FailureReason.SIGNING_UNAVAILABLE,
    FailureReason.SIGNING_BUSY,
    FailureReason.SIGNING_TIMEOUT,
)


class SignedFlight:
    """Makes the flight of one handshake, from its first ClientHello to the ServerHello."""

    def __init__(
        self,
        plan: SigningPlan | None,
        context: "ServerContext",
        services: FlightServices,
        limits: HelloLimits,
        owner: FlightOwner,
        stream: WireStream,
    ) -> None:
        """Set up for an identity: `plan` has its keys, `context` a throw-away certificate.

        Without a plan, the `context` has the key: for a slow key exchange only.
        """
        self._plan = plan
        self._context = context
        self._services = services
        self._limits = limits
        self._owner = owner
        self._stream = stream
        self._network = b""
        self._deadline = 0.0
        self._transcript = Transcript(b"")
        self._tried_context = context.current
        """The one without a token."""
        self._held = b""
        """What the client has sent before our flight was there."""
        self._schemes: Sequence[int] = ()
        self._signers: list[Signer] = []
        """The signers that were not asked."""
        self._slow: SlowExchange | None = None
        self._state: _Making | _Asking | _Resting = _RESTING

    @property
    def is_waiting(self) -> bool:
        state = self._state
        return isinstance(state, _Making) and isinstance(state.maker, TokenMaker)

    @property
    def awaits_client(self) -> bool:
        """Whether it is the client's turn: it has been asked for another ClientHello."""
        return isinstance(self._state, _Asking)

    # -- the client's hellos

    def begin(
        self,
        hello: ClientHello,
        reader: ClientHelloReader,
        preference: GroupPreference,
        deadline: float,
        network: bytes,
        slow: SlowExchange | None = None,
    ) -> None:
        """Answer a ClientHello, which `reader` has read.

        `deadline` is that of the handshake in loop time; `network` is the client's. `slow` is
        the key exchange, if it is too slow for the loop.
        """
        self._transcript = Transcript(self._take(reader))
        self._deadline = deadline
        self._network = network
        self._schemes = hello.signature_algorithms
        self._tried_context = context = self._context.select(hello.psk_identities)
        if slow is not None:
            self._slow = slow
            self._try_slowly(slow)
            return
        is_ours = self._context.opens(hello.psk_identities)
        if is_ours or predicts_retry(preference, hello) or not self._signers_for_client():
            # one that asks for another hello may still resume
            shown = _Shown.STAND_IN_KEPT if is_ours else _Shown.STAND_IN
            self._make_on_loop(partial(attempt, lambda: context, self._transcript, self._services.driver), shown)
        else:
            self._sign()

    def data_received(self, data: bytes) -> None:
        """Take what comes behind a HelloRetryRequest; or before our flight, as early data does.

        Early data is kept up to 16 KiB; then reading pauses.
        """
        state = self._state
        if not isinstance(state, _Asking):
            self._held += data
            if len(self._held) >= _MOST_HELD_BYTES:
                self._stream.pause_reading()
            return
        reader = state.reader
        try:
            reader.receive_data(data)
        except HelloError as error:
            self._refuse_second(reader.wire, error)
            return
        if reader.message is None:
            return
        transcript = self._transcript = self._transcript.answered(self._take(reader))
        if self._slow is not None:
            self._try_slowly(SlowExchange(self._slow.seconds, is_avoidable=False))
        elif state.stand_in is None:
            self._sign()
        else:
            work = partial(step, state.stand_in, self._services.driver, transcript.second)
            self._make_on_loop(work, _Shown.STAND_IN)

    def _take(self, reader: ClientHelloReader) -> bytes:
        """The records of a hello. The bytes behind them, perhaps half a record, are held."""
        self._held = rest = reader.rest
        return reader.wire[: -len(rest)] if rest else reader.wire

    def _refuse_second(self, wire: bytes, error: HelloError) -> None:
        """Refuse a second hello that cannot be read, by OpenSSL's alert if it has one."""
        alert = None
        if self._slow is None:
            failure = judge_hello(self._context.current, self._transcript.answered(wire), self._services.driver)
            alert = None if failure is None else failure.alert
        self._refuse(ConnectionRefusal(FailureReason.TLS_ERROR, alert or error.alert, str(error)))

    # -- makers

    def _make_on_loop(self, work: Callable[[], Flight], shown: _Shown) -> None:
        self._stream.pause_reading()
        maker = LoopMaker(work, self)
        self._state = _Making(maker, shown)
        maker.begin(self._services.steps)

    def _try_slowly(self, exchange: SlowExchange) -> None:
        shown = _Shown.OURS if self._plan is None else _Shown.STAND_IN
        self._make_in_thread(self._tried_context, exchange, shown)

    def _make_in_thread(self, context: "ssl.SSLContext", exchange: SlowExchange, shown: _Shown) -> None:
        # reading continues: a client that leaves gives its place in the queue to another one
        maker = ThreadMaker(self._services, self)
        self._state = _Making(maker, shown)
        maker.begin(context, self._transcript, exchange, self._network)

    def _signers_for_client(self) -> list[Signer]:
        return [] if self._plan is None else self._plan.signers_for(self._schemes)

    def _sign(self) -> None:
        self._signers = self._signers_for_client()
        if self._signers:
            self._sign_by(self._signers.pop(0))
        else:
            self._refuse(_internal_error(FailureReason.SIGNING_UNAVAILABLE, _NO_KEY_FITS))

    def _sign_by(self, signer: Signer) -> None:
        if isinstance(signer, TokenCredential):
            # reading continues, as for a slow key exchange; its thread has tried the client's bytes
            stand_in = self._context if self._slow is None else None
            maker = TokenMaker(self._services, signer, self._transcript, stand_in, self._network, self)
            self._state = _Making(maker, _Shown.OURS)
            deadline = self._deadline
            if self._signers:  # something else can sign
                deadline = min(deadline, self._services.signing.clock() + _PATIENCE_SECONDS)
            maker.begin(deadline)
        elif self._slow is not None:
            self._make_in_thread(signer, self._slow, _Shown.OURS)
        else:
            work = partial(attempt, lambda: signer, self._transcript, self._services.driver)
            self._make_on_loop(work, _Shown.OURS)

    # -- what they made

    def made(self, flight: Flight) -> None:
        """Send a flight that the client may see; else have a key sign (`MakerOwner`)."""
        state = self._state
        if not isinstance(state, _Making):
            return  # it is over
        self._stream.resume_reading()
        server_hello = parse_server_flight(flight.data)
        if server_hello.is_retry:
            self._ask_again(flight, server_hello, flight.tls if state.shown is _Shown.STAND_IN_KEPT else None)
        elif state.shown is _Shown.OURS or flight.tls.session_reused:
            held, self._held = self._held, b""
            self._state = _RESTING
            self._owner.flight_ready(flight, server_hello, held)
        else:
            self._sign()

    def _ask_again(self, flight: Flight, server_hello: ServerHello, stand_in: TlsObject | None) -> None:
        held, self._held = self._held, b""
        self._transcript = Transcript(self._transcript.first, flight.data)
        limits = self._limits
        reader = ClientHelloReader(limits.hello_bytes, limits.wire_bytes, ClientFlight.AFTER_RETRY)
        self._state = _Asking(reader, stand_in)
        self._owner.flight_ready(flight, server_hello, held)
        if held:
            self.data_received(held)

    def failed(self, refusal: ConnectionRefusal) -> None:
        """Try the client's next credential if no token signs; else end (`MakerOwner`)."""
        if refusal.reason in _NO_TOKEN_SIGNS and self._signers:
            self._sign_by(self._signers.pop(0))
        else:
            self._refuse(refusal)

    def crowded_out(self) -> None:
        """Leave a first hello to the owner: too many slow key exchanges wait (`MakerOwner`)."""
        if self._transcript.retry:
            self._refuse(_internal_error(FailureReason.SLOW_GROUPS, _TOO_MANY))
        else:
            self._state = _RESTING
            self._owner.flight_crowded_out(self._transcript.first + self._held)

    # -- the end

    def abandon(self) -> None:
        """The handshake is over: give up what is in progress."""
        state, self._state = self._state, _RESTING
        if isinstance(state, _Making):
            state.maker.abandon()

    def _refuse(self, refusal: ConnectionRefusal) -> None:
        self._state = _RESTING
        self._owner.refuse(*refusal)


def _internal_error(reason: FailureReason, detail: str) -> ConnectionRefusal:
    return ConnectionRefusal(reason, AlertDescription.INTERNAL_ERROR, detail)
