"""How the server's flight is made without a wait on the event loop, where its key is in a token or
its key exchange is slow.

Theory of operation. Steps that need no token are made on the loop, in a turn with those of other
handshakes (`step_queue`): a resumption and a HelloRetryRequest on a context with a throw-away
certificate, or the whole flight with a key in a file. If a step without a key has signed, its
flight is thrown away: no client may see that certificate. Everything else is a race between tokens
(`race`). All that the client sent is kept, as each attempt begins with the first ClientHello.

A slow key exchange is never made on the loop: what needs no token is then made in a thread
(`slow_exchanges`). With a key in a file that is the whole flight. With a key in a token it shows
that the client's bytes are good, before the token is asked.

    state      what it waits for                           what follows
    ---------  ------------------------------------------  ------------------------------------
    Enlisted   a turn of the step queue; the loop makes    Racing, Asking, Resting
               the step
    Computing  the thread for slow key exchanges           Racing, Computing, Asking, Resting
    Racing     a token                                     Enlisted, Computing, Asking, Resting
    Asking     the client: a ClientHello after a           Enlisted, Computing, Racing, Resting
               HelloRetryRequest
    Resting    nothing: not begun, or the owner was told the result
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from proxy.net.sockets import SocketStream
from proxy.signing.executor import GivenUp, Job
from proxy.tls.alerts import AlertDescription
from proxy.tls.attempt import AttemptFailed, Flight, RetryDiffers, Transcript, attempt, attempt_in_thread, step
from proxy.tls.bio_pair import BioPair
from proxy.tls.client_hello import ClientHello
from proxy.tls.groups import GroupPreference
from proxy.tls.policy import SlowExchange, predicts_retry
from proxy.tls.race import SigningRace, SigningServices
from proxy.tls.records import ClientFlight, ClientHelloReader, HelloError
from proxy.tls.results import FailureReason, openssl_code, openssl_reason
from proxy.tls.server_hello import ServerHello, parse_server_flight
from proxy.tls.signing_plan import Signer, SigningPlan, TokenCredential
from proxy.tls.slow_exchanges import SlowExchanges
from proxy.tls.step_queue import StepQueue
from proxy.tls.tls_object import TlsObject

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from proxy.tls.context import ServerContext

_NOT_ALIKE: Final = "the contexts of the identity ask for different groups"
_TOO_MANY: Final = "too many key exchanges with slow groups wait"
_NO_KEY_FITS: Final = "no key of the identity fits the signature algorithms that the client lists"
# As much early data as servers usually allow; reading pauses above it.
_MOST_HELD_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True)
class HelloLimits:
    """Limits of the second ClientHello, in bytes: of its message, and of the wire up to its end."""

    hello_bytes: int
    wire_bytes: int


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


@dataclass(frozen=True, slots=True)
class FlightServices:
    """What the flights of one process share: the BIOs and the steps of its loop, and its tokens."""

    bios: BioPair
    steps: StepQueue
    signing: SigningServices
    slow: SlowExchanges = field(init=False)

    def __post_init__(self) -> None:
        """Its thread starts when it is needed."""
        object.__setattr__(self, "slow", SlowExchanges(self.signing.loop, self.signing.clock))


# The states are no dataclasses: mypyc leaves the `__init__` of those to the interpreter.


class _Enlisted:
    """`work` makes a step on the loop; `then` gets its flight."""

    def __init__(self, work: Callable[[], Flight], then: Callable[[Flight, ServerHello], None]) -> None:
        self.work: Final = work
        self.then: Final = then


class _Stepped:
    """The step of an `_Enlisted` was made in this turn; `then` is next."""

    def __init__(
        self, result: Flight | AttemptFailed | RetryDiffers, then: Callable[[Flight, ServerHello], None]
    ) -> None:
        self.result: Final = result
        self.then: Final = then


class _Computing:
    """The thread for slow key exchanges makes a flight; `then` gets it."""

    def __init__(self, then: Callable[[Flight, ServerHello], None]) -> None:
        self.then: Final = then
        self.job: Job[Flight] | None = None


class _Racing:
    """A token is asked."""

    def __init__(self, race: SigningRace) -> None:
        self.race: Final = race


class _Asking:
    """A HelloRetryRequest was sent, by `stand_in` if the second hello may resume a session."""

    def __init__(self, reader: ClientHelloReader, stand_in: TlsObject | None) -> None:
        self.reader: Final = reader
        self.stand_in: Final = stand_in


class _Resting:
    """The flight was not begun, or the owner was told the result."""

    __slots__ = ()


_RESTING: Final = _Resting()


class SignedFlight:
    """Makes the flight of one handshake, from its first ClientHello to the ServerHello."""

    __slots__ = (
        "_context",
        "_deadline",
        "_first",
        "_held",
        "_limits",
        "_network",
        "_owner",
        "_plan",
        "_retry",
        "_schemes",
        "_second",
        "_services",
        "_signers",
        "_slow",
        "_state",
        "_stream",
        "_tried_context",
    )

    def __init__(
        self,
        plan: SigningPlan | None,
        context: "ServerContext",
        services: FlightServices,
        limits: HelloLimits,
        owner: FlightOwner,
        stream: SocketStream,
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
        self._first = self._retry = self._second = b""
        self._tried_context = context.current
        """The one without a token."""
        self._held = b""
        """What the client has sent before our flight was there."""
        self._schemes: Sequence[int] = ()
        self._signers: list[Signer] = []
        """The signers that were not asked."""
        self._slow: SlowExchange | None = None
        self._state: _Enlisted | _Stepped | _Computing | _Racing | _Asking | _Resting = _RESTING

    @property
    def is_waiting(self) -> bool:
        """Whether a token is asked."""
        return isinstance(self._state, _Racing)

    @property
    def awaits_client(self) -> bool:
        """Whether it is the client's turn: it has been asked for another ClientHello."""
        return isinstance(self._state, _Asking)

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
        self._first = self._take(reader)
        self._deadline, self._network, self._schemes = deadline, network, hello.signature_algorithms
        self._tried_context = context = self._context.select(hello.psk_identities)
        if slow is not None:
            self._slow = slow
            self._try_slowly(slow)
            return
        is_ours = self._context.opens(hello.psk_identities)
        if is_ours or predicts_retry(preference, hello) or not self._signers_for_client():
            work = partial(attempt, lambda: context, self._transcript, self._services.bios)
            # one that asks for another hello may still resume
            self._enlist(work, partial(self._tried, keeps_object=is_ours))
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
            self._second = reader.wire
            failure = self.judge()
            alert = None if failure is None else failure.alert
            self._refuse(FailureReason.TLS_ERROR, alert or error.alert, str(error))
            return
        if reader.message is None:
            return
        self._second = self._take(reader)
        if self._slow is not None:
            self._try_slowly(SlowExchange(self._slow.seconds, is_avoidable=False))
        elif state.stand_in is None:
            self._sign()
        else:
            work = partial(step, state.stand_in, self._services.bios, self._second)
            self._enlist(work, partial(self._tried, keeps_object=False))

    def _take(self, reader: ClientHelloReader) -> bytes:
        """The records of a hello. The bytes behind them, perhaps half a record, are held."""
        self._held = rest = reader.rest
        return reader.wire[: -len(rest)] if rest else reader.wire

    def abandon(self) -> None:
        """The handshake is over: give up what is under way."""
        state, self._state = self._state, _RESTING
        if isinstance(state, _Racing):
            state.race.abandon()
        elif isinstance(state, _Computing) and state.job is not None:
            self._services.slow.cancel(state.job)

    def _refuse(self, reason: FailureReason, alert: AlertDescription, detail: str) -> None:
        self._state = _RESTING
        self._owner.refuse(reason, alert, detail)

    def _refuse_failed(self, failure: AttemptFailed) -> None:
        code = openssl_code(failure.error)
        alert = failure.alert or AlertDescription.INTERNAL_ERROR
        self._refuse(openssl_reason(code), alert, code or str(failure.error))

    # -- without a token

    def _enlist(self, work: Callable[[], Flight], then: Callable[[Flight, ServerHello], None]) -> None:
        self._stream.pause_reading()
        self._state = _Enlisted(work, then)
        self._services.steps.enlist(self)

    def step(self) -> None:
        """Do what was enlisted (`step_queue.Stepping`)."""
        state = self._state
        if isinstance(state, _Enlisted):
            try:
                result: Flight | AttemptFailed | RetryDiffers = state.work()
            except (AttemptFailed, RetryDiffers) as failure:
                result = failure
            self._state = _Stepped(result, state.then)

    def stepped(self) -> None:
        """Go on with the flight (`step_queue.Stepping`)."""
        state = self._state
        if not isinstance(state, _Stepped):
            return  # it is over
        match state.result:
            case AttemptFailed() as failure:
                self._refuse_failed(failure)
            case RetryDiffers():
                self._refuse(FailureReason.TLS_ERROR, AlertDescription.INTERNAL_ERROR, _NOT_ALIKE)
            case Flight() as flight:
                self._stream.resume_reading()
                state.then(flight, parse_server_flight(flight.data))

    def _tried(self, flight: Flight, server_hello: ServerHello, *, keeps_object: bool) -> None:
        if server_hello.is_retry:
            self._made(flight, server_hello, flight.tls if keeps_object else None)
        elif flight.tls.session_reused:
            self._made(flight, server_hello)
        else:
            self._sign()

    # -- with a slow key exchange

    def _try_slowly(self, exchange: SlowExchange) -> None:
        then = self._made if self._plan is None else partial(self._tried, keeps_object=False)
        self._compute(self._tried_context, exchange, then)

    def _compute(
        self, context: "ssl.SSLContext", exchange: SlowExchange, then: Callable[[Flight, ServerHello], None]
    ) -> None:
        # reading goes on: a client that leaves gives its place in the queue to another one
        state = self._state = _Computing(then)
        work = partial(attempt_in_thread, lambda: context, self._transcript)
        state.job = self._services.slow.begin(self._network, exchange, work, self._computed)
        if state.job is None:
            self._crowd_out()

    def _computed(self, job: Job[Flight], result: Flight | BaseException) -> None:
        state = self._state
        if not isinstance(state, _Computing) or state.job is not job:
            return  # it is over
        if isinstance(result, Flight):
            self._services.bios.adopt(result.tls)
            self._stream.resume_reading()
            state.then(result, parse_server_flight(result.data))
        elif isinstance(result, AttemptFailed):
            self._refuse_failed(result)
        elif isinstance(result, GivenUp):
            self._crowd_out()
        elif isinstance(result, RetryDiffers):
            self._refuse(FailureReason.TLS_ERROR, AlertDescription.INTERNAL_ERROR, _NOT_ALIKE)
        else:
            raise result

    def _crowd_out(self) -> None:
        if self._retry:
            self._refuse(FailureReason.SLOW_GROUPS, AlertDescription.INTERNAL_ERROR, _TOO_MANY)
            return
        self._state = _RESTING
        self._owner.flight_crowded_out(self._first + self._held)

    def _made(self, flight: Flight, server_hello: ServerHello, stand_in: TlsObject | None = None) -> None:
        held, self._held = self._held, b""
        if not server_hello.is_retry:
            self._state = _RESTING
            self._owner.flight_ready(flight, server_hello, held)
            return
        self._retry = flight.data
        limits = self._limits
        reader = ClientHelloReader(limits.hello_bytes, limits.wire_bytes, ClientFlight.AFTER_RETRY)
        self._state = _Asking(reader, stand_in)
        self._owner.flight_ready(flight, server_hello, held)
        if held:
            self.data_received(held)

    # -- with one

    @property
    def _transcript(self) -> Transcript:
        return Transcript(self._first, self._retry, self._second)

    def _signers_for_client(self) -> list[Signer]:
        return [] if self._plan is None else self._plan.signers_for(self._schemes)

    def _sign(self) -> None:
        self._signers = self._signers_for_client()
        if self._signers:
            self._sign_by(self._signers.pop(0))
        else:
            self._refuse(FailureReason.SIGNING_UNAVAILABLE, AlertDescription.INTERNAL_ERROR, _NO_KEY_FITS)

    def _sign_by(self, signer: Signer) -> None:
        if isinstance(signer, TokenCredential):
            # reading goes on: a client that leaves gives its place in the queue to another one
            race = SigningRace(self._services.signing, signer, self._transcript, self._network, self)
            self._state = _Racing(race)
            race.begin(self._deadline)
        elif self._slow is not None:
            self._compute(signer, self._slow, self._made)
        else:
            self._enlist(partial(attempt, lambda: signer, self._transcript, self._services.bios), self._made)

    def race_won(self, flight: Flight) -> None:
        """Send the flight."""
        self._services.bios.adopt(flight.tls)
        self._stream.resume_reading()
        self._made(flight, parse_server_flight(flight.data))

    def race_lost(self, reason: FailureReason, detail: str) -> None:
        """Try the client's next credential if no token can be asked; else end."""
        if reason is FailureReason.SIGNING_UNAVAILABLE and self._signers:
            self._sign_by(self._signers.pop(0))
        else:
            self._refuse(reason, AlertDescription.INTERNAL_ERROR, detail)

    def race_refused(self, failure: AttemptFailed) -> None:
        """OpenSSL does not take what the client has sent."""
        self._refuse_failed(failure)

    def judge(self) -> AttemptFailed | None:
        """Try the client's bytes on the context that needs no token; None if they are good.

        Those with a slow key exchange were tried in its thread.
        """
        if self._slow is not None:
            return None
        try:
            attempt(lambda: self._context.current, self._transcript, self._services.bios)
        except AttemptFailed as failure:
            return failure
        except RetryDiffers:
            pass  # of our contexts, which is not the client's fault
        return None
