"""How the server's flight comes about where a key is in a token: never by waiting for it on the event loop.

Theory of operation. What needs no token is done on the loop, in a turn with the steps of other handshakes (`step_queue`): on a
context with a throw-away certificate a resumption, and the answer to a hello without a share of the group that it will get (a
HelloRetryRequest); with a key in a file the whole flight. If a step without a key turns out to have signed, its flight is thrown away:
that certificate is for nobody. Everything else is a race between tokens (`race`). Nothing is read from the client meanwhile. All that
it sent is kept until then, as each attempt begins with the first ClientHello.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from proxy.net.sockets import SocketStream
from proxy.tls.alerts import AlertDescription
from proxy.tls.attempt import AttemptFailed, Flight, RetryDiffers, Transcript, attempt, step
from proxy.tls.client_hello import ClientHello
from proxy.tls.groups import GroupPreference
from proxy.tls.identities import ServerIdentity
from proxy.tls.policy import predicts_retry
from proxy.tls.race import SigningRace, SigningServices
from proxy.tls.records import ClientFlight, ClientHelloReader, HelloError
from proxy.tls.results import FailureReason, openssl_reason
from proxy.tls.server_hello import ServerHello, parse_server_flight
from proxy.tls.signing_plan import Signer, SigningPlan, TokenCredential
from proxy.tls.step_queue import StepQueue
from proxy.tls.stream import BioPair

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

_NOT_ALIKE: Final = "the contexts of the identity ask for different groups"
_NOBODY_CAN: Final = "no key fits what the client lists"
# So much early data servers allow as a rule. Whoever sends more is not seen to leave: it would take another byte to look.
_MOST_HELD_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True)
class HelloLimits:
    """Of the second ClientHello, in bytes: its message, and all that comes on the wire up to its end."""

    hello_bytes: int
    wire_bytes: int


class FlightOwner(Protocol):
    """The handshake. After `refuse` nothing more comes."""

    def flight_ready(self, flight: Flight, server_hello: ServerHello, held: bytes) -> None:
        """Send it; if it begins with no HelloRetryRequest, the handshake goes on with its object, which gets what is held next."""

    def refuse(self, reason: FailureReason, alert: AlertDescription, detail: str) -> None:
        """There will be no flight: end with this alert."""


@dataclass(frozen=True, slots=True)
class FlightServices:
    """What the flights of one process share: the BIOs and the steps of its loop, and its tokens."""

    bios: BioPair
    steps: StepQueue
    signing: SigningServices


class SignedFlight:
    """Of one handshake, from its first ClientHello to the flight with the ServerHello."""

    __slots__ = (
        "_deadline",
        "_first",
        "_held",
        "_identity",
        "_limits",
        "_network",
        "_owner",
        "_plan",
        "_race",
        "_reader",
        "_result",
        "_retry",
        "_schemes",
        "_second",
        "_services",
        "_signers",
        "_stand_in",
        "_stream",
        "_then",
        "_work",
    )

    def __init__(
        self,
        identity: ServerIdentity,
        services: FlightServices,
        network: bytes,
        limits: HelloLimits,
        owner: FlightOwner,
        stream: SocketStream,
    ) -> None:
        """Nothing happens before `begin`. `network` is the client's, for the order in the queues; `identity` has a plan."""
        assert identity.plan is not None  # as the caller says
        self._identity = identity
        self._plan: SigningPlan = identity.plan
        self._services = services
        self._network = network
        self._limits = limits
        self._owner = owner
        self._stream = stream
        self._deadline = 0.0
        self._first = self._retry = self._second = b""
        self._held = b""
        """What the client has said before our flight was there."""
        self._schemes: Sequence[int] = ()
        self._signers: list[Signer] = []
        """Those that were not asked."""
        self._stand_in: ssl.SSLObject | None = None
        self._reader: ClientHelloReader | None = None
        self._race: SigningRace | None = None
        # of the next step on the loop: what it is, and who gets its flight
        self._work: Callable[[], Flight] | None = None
        self._then: Callable[[Flight, ServerHello], None] | None = None
        self._result: Flight | AttemptFailed | RetryDiffers | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether a token is asked."""
        return self._race is not None

    @property
    def awaits_client(self) -> bool:
        """Whether it is the client's turn: it has been asked for another ClientHello."""
        return self._reader is not None

    def begin(
        self, hello: ClientHello, reader: ClientHelloReader, preference: GroupPreference, deadline: float
    ) -> None:
        """Answer a ClientHello; `reader` has read it, `deadline` is that of the handshake in loop time."""
        self._first = self._take(reader)
        self._deadline, self._schemes = deadline, hello.signature_algorithms
        is_ours = self._identity.context.opens(hello.psk_identities)
        if is_ours or predicts_retry(preference, hello) or not self._plan.signers_for(self._schemes):
            context = self._identity.context.select(hello.psk_identities)
            work = partial(attempt, lambda: context, self._transcript, self._services.bios)
            # one that asks for another hello may still resume
            self._enlist(work, partial(self._tried, keeps_object=is_ours))
        else:
            self._sign()

    def data_received(self, data: bytes) -> None:
        """Take what comes behind a HelloRetryRequest; or before our flight, as early data does: that waits, what is too much in the kernel."""
        reader = self._reader
        if reader is None:
            self._held += data
            if len(self._held) >= _MOST_HELD_BYTES:
                self._stream.pause_reading()
            return
        try:
            reader.receive_data(data)
        except HelloError as error:
            self._second = reader.wire
            failure = self.judge()
            alert = None if failure is None else failure.alert
            self._owner.refuse(FailureReason.TLS_ERROR, alert or error.alert, str(error))
            return
        if reader.message is None:
            return
        self._reader, self._second = None, self._take(reader)
        stand_in, self._stand_in = self._stand_in, None
        if stand_in is None:
            self._sign()
        else:
            work = partial(step, stand_in, self._services.bios, self._second)
            self._enlist(work, partial(self._tried, keeps_object=False))

    def _take(self, reader: ClientHelloReader) -> bytes:
        """The records of a hello. What is behind them is for whoever comes after it, to whom it may be half a record."""
        self._held = rest = reader.rest
        return reader.wire[: -len(rest)] if rest else reader.wire

    def abandon(self) -> None:
        """The handshake is over: attempts under way are for nobody."""
        race, self._race = self._race, None
        self._work = self._then = None
        if race is not None:
            race.abandon()

    # -- without a token

    def _enlist(self, work: Callable[[], Flight], then: Callable[[Flight, ServerHello], None]) -> None:
        self._stream.pause_reading()
        self._work, self._then = work, then
        self._services.steps.enlist(self)

    def step(self) -> None:
        """Do what was enlisted (`step_queue.Stepping`)."""
        if self._work is None:
            return  # it is over
        try:
            self._result = self._work()
        except (AttemptFailed, RetryDiffers) as failure:
            self._result = failure

    def stepped(self) -> None:
        """Go on with the flight (`step_queue.Stepping`)."""
        result, then = self._result, self._then
        self._work = self._then = self._result = None
        if then is None:
            return  # it is over
        if isinstance(result, AttemptFailed):
            self._refuse(result)
        elif isinstance(result, RetryDiffers):
            self._owner.refuse(FailureReason.TLS_ERROR, AlertDescription.INTERNAL_ERROR, _NOT_ALIKE)
        else:
            assert result is not None  # this follows `step`
            self._stream.resume_reading()
            then(result, parse_server_flight(result.data))

    def _tried(self, flight: Flight, server_hello: ServerHello, *, keeps_object: bool) -> None:
        if server_hello.is_retry and keeps_object:
            self._stand_in = flight.tls
        if server_hello.is_retry or flight.tls.session_reused:
            self._made(flight, server_hello)
        else:
            self._sign()

    def _made(self, flight: Flight, server_hello: ServerHello) -> None:
        if server_hello.is_retry:
            self._retry = flight.data
            limits = self._limits
            self._reader = ClientHelloReader(limits.hello_bytes, limits.wire_bytes, ClientFlight.AFTER_RETRY)
        held, self._held = self._held, b""
        self._owner.flight_ready(flight, server_hello, held)
        if held and server_hello.is_retry:
            self.data_received(held)

    def _refuse(self, failure: AttemptFailed) -> None:
        alert = failure.alert or AlertDescription.INTERNAL_ERROR
        code = failure.error.reason
        self._owner.refuse(openssl_reason(code), alert, code or str(failure.error))

    # -- with one

    @property
    def _transcript(self) -> Transcript:
        return Transcript(self._first, self._retry, self._second)

    def _sign(self) -> None:
        self._signers = self._plan.signers_for(self._schemes)
        if self._signers:
            self._sign_by(self._signers.pop(0))
        else:
            self._owner.refuse(FailureReason.SIGNING_UNAVAILABLE, AlertDescription.INTERNAL_ERROR, _NOBODY_CAN)

    def _sign_by(self, signer: Signer) -> None:
        if isinstance(signer, TokenCredential):
            # reading goes on, so that a client that leaves gives its place in the queue to another one
            race = SigningRace(self._services.signing, signer, self._transcript, self._network, self)
            self._race = race
            race.begin(self._deadline)
        else:
            self._enlist(partial(attempt, lambda: signer, self._transcript, self._services.bios), self._made)

    def race_won(self, flight: Flight) -> None:
        """Send it."""
        self._race = None
        self._services.bios.adopt(flight.tls)
        self._stream.resume_reading()
        self._made(flight, parse_server_flight(flight.data))

    def race_lost(self, reason: FailureReason, detail: str) -> None:
        """Nobody can sign, or not in time. Where its tokens are gone, another credential that the client takes is better than none."""
        self._race = None
        if reason is FailureReason.SIGNING_UNAVAILABLE and self._signers:
            self._sign_by(self._signers.pop(0))
            return
        self._owner.refuse(reason, AlertDescription.INTERNAL_ERROR, detail)

    def race_refused(self, failure: AttemptFailed) -> None:
        """OpenSSL does not take what the client has sent."""
        self._race = None
        self._refuse(failure)

    def judge(self) -> AttemptFailed | None:
        """Try the client's bytes on the context that needs no token; None if they are good."""
        try:
            attempt(lambda: self._identity.context.current, self._transcript, self._services.bios)
        except AttemptFailed as failure:
            return failure
        except RetryDiffers:
            pass  # of our contexts, which is not the client's fault
        return None
