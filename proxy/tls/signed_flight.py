"""How the server's flight comes about where a key is in a token: never by waiting for it on the event loop.

Theory of operation. What needs no signature is done here and now, on a context with a throw-away certificate: a resumption, and the
answer to a hello without a share of the group that it will get (a HelloRetryRequest). If such a step turns out to have signed, its
flight is thrown away: that certificate is for nobody. Everything else is a race between tokens (`race`), during which nothing is read
from the client. All that the client sent is kept until then, as each attempt begins with the first ClientHello.
"""

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from proxy.sockets import SocketStream
from proxy.tls.alerts import AlertDescription
from proxy.tls.attempt import AttemptFailed, Flight, RetryDiffers, Transcript, attempt, step
from proxy.tls.client_hello import ClientHello
from proxy.tls.groups import GroupPreference
from proxy.tls.identities import ServerIdentity
from proxy.tls.policy import predicts_retry
from proxy.tls.race import SigningRace, SigningServices
from proxy.tls.records import ClientFlight, ClientHelloReader, HelloError
from proxy.tls.results import FailureReason
from proxy.tls.server_hello import ServerHello, parse_server_flight
from proxy.tls.signing_plan import Signer, SigningPlan, TokenCredential
from proxy.tls.step_queue import StepQueue
from proxy.tls.stream import BioPair

if TYPE_CHECKING:
    from collections.abc import Sequence

_NOT_ALIKE: Final = "the contexts of the identity ask for different groups"
_NOBODY_CAN: Final = "no key fits what the client lists"


@dataclass(frozen=True, slots=True)
class HelloLimits:
    """Of the second ClientHello, in bytes: its message, and all that comes on the wire up to its end."""

    hello_bytes: int
    wire_bytes: int


class FlightOwner(Protocol):
    """The handshake. After `refuse` nothing more comes."""

    def flight_ready(self, flight: Flight, server_hello: ServerHello) -> None:
        """Send it; if it begins with no HelloRetryRequest, the handshake goes on with its object."""

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
        "_identity",
        "_limits",
        "_network",
        "_owner",
        "_plan",
        "_race",
        "_reader",
        "_retry",
        "_schemes",
        "_second",
        "_services",
        "_signers",
        "_stand_in",
        "_stream",
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
        self._schemes: Sequence[int] = ()
        self._signers: list[Signer] = []
        """Those that were not asked."""
        self._stand_in: ssl.SSLObject | None = None
        self._reader: ClientHelloReader | None = None
        self._race: SigningRace | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether a token is asked."""
        return self._race is not None

    def begin(self, hello: ClientHello, wire: bytes, preference: GroupPreference, deadline: float) -> None:
        """Answer a ClientHello; `wire` is all that has come, `deadline` that of the handshake in loop time."""
        self._first, self._deadline, self._schemes = wire, deadline, hello.signature_algorithms
        is_ours = self._identity.context.opens(hello.psk_identities)
        if is_ours or predicts_retry(preference, hello) or not self._plan.signers_for(self._schemes):
            context = self._identity.context.select(hello.psk_identities)
            tls = self._services.bios.server_side(context)
            self._try_without_token(tls, wire)
            if is_ours and self._reader is not None:
                self._stand_in = tls  # it may still resume
        else:
            self._sign()

    def data_received(self, data: bytes) -> None:
        """Take what comes behind a HelloRetryRequest."""
        reader = self._reader
        if reader is None or self._race is not None:
            return  # read out of a socket that is breaking
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
        self._reader, self._second = None, reader.wire
        stand_in, self._stand_in = self._stand_in, None
        if stand_in is None:
            self._sign()
        else:
            self._try_without_token(stand_in, self._second)

    def abandon(self) -> None:
        """The handshake is over: attempts under way are for nobody."""
        race, self._race = self._race, None
        if race is not None:
            race.abandon()

    # -- without a token

    def _try_without_token(self, tls: ssl.SSLObject, data: bytes) -> None:
        try:
            flight = step(tls, self._services.bios, data)
        except AttemptFailed as failure:
            self._refuse(failure)
            return
        server_hello = parse_server_flight(flight.data)
        if tls.session_reused or server_hello.is_retry:
            self._made(flight, server_hello)
        else:
            self._sign()

    def _made(self, flight: Flight, server_hello: ServerHello) -> None:
        if server_hello.is_retry:
            self._retry = flight.data
            limits = self._limits
            self._reader = ClientHelloReader(limits.hello_bytes, limits.wire_bytes, ClientFlight.AFTER_RETRY)
        self._owner.flight_ready(flight, server_hello)

    def _refuse(self, failure: AttemptFailed) -> None:
        alert = failure.alert or AlertDescription.INTERNAL_ERROR
        self._owner.refuse(FailureReason.TLS_ERROR, alert, failure.error.reason or str(failure.error))

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
            self._stream.pause_reading()
            race = SigningRace(self._services.signing, signer, self._transcript, self._network, self)
            self._race = race
            race.begin(self._deadline)
        else:
            try:
                flight = attempt(lambda: signer, self._transcript, self._services.bios)
            except AttemptFailed as failure:
                self._refuse(failure)
            except RetryDiffers:
                self._owner.refuse(FailureReason.TLS_ERROR, AlertDescription.INTERNAL_ERROR, _NOT_ALIKE)
            else:
                self._made(flight, parse_server_flight(flight.data))

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
            self._stream.resume_reading()
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
