"""One TLS handshake: from the first byte to an established stream or a readable refusal.

`states` has the table of its states. Here is what the events do in each of them.

Theory of operation. The ClientHello is parsed before OpenSSL sees a byte, because it decides
everything: the identity, the policy, the context. Only then an SSL object is made, on exactly one
context. It gets the bytes received so far, in a turn with the steps of other handshakes
(`step_queue`). OpenSSL also gets a hello that our parser rejects, because its alert is the better
one; ours is sent if OpenSSL has none. The server's flight is sent only if the step that made it
succeeded, and the group is read from the ServerHello in it. On an error OpenSSL's alert goes out
before the connection lingers and closes.

A key exchange that is too slow for the event loop is made in a thread, at a rate of its own. Where
that is used up, a client gets another group that it offers. OpenSSL then works on a context without
the slow groups, so no client can make the loop compute one.

A CA that looks at a pending challenge (RFC 8737) meets no identity and no policy. It sees a
certificate that proves nothing else, and its connection closes as soon as the handshake is over.
"""

import ssl
from typing import TYPE_CHECKING, ClassVar, Final

from proxy.net.byte_stream import StreamOwner
from proxy.net.counted_bytes import WireStream
from proxy.net.deadlines import NEVER
from proxy.net.sockets import SocketStream
from proxy.tls.handshake.attempt import Flight
from proxy.tls.handshake.challenges import CHALLENGE_ALPN, PendingChallenges
from proxy.tls.handshake.failures import answer_to, reason_of, step_failure
from proxy.tls.handshake.flight_makers import FlightServices
from proxy.tls.handshake.group_choice import SlowExchange
from proxy.tls.handshake.handshake_policy import HandshakePolicy
from proxy.tls.handshake.results import (
    ConnectionRefusal,
    Established,
    Failed,
    FailureReason,
    HandshakeObserver,
    UnopenedHello,
)
from proxy.tls.handshake.server_step import ServerStep, ServerSteps
from proxy.tls.handshake.signed_flight import SignedFlight
from proxy.tls.handshake.states import (
    OVER,
    Answering,
    Challenged,
    Choosing,
    Finishing,
    HandshakeState,
    Over,
    Reading,
    Signing,
)
from proxy.tls.openssl.stream import TlsStream
from proxy.tls.openssl.tls_object import TlsObject
from proxy.tls.wire.alerts import AlertDescription, alert_record
from proxy.tls.wire.client_certificate import UnusableCertificate
from proxy.tls.wire.client_hello import ClientHello, parse_client_hello
from proxy.tls.wire.records import ClientHelloReader, HelloError, HelloLimits
from proxy.tls.wire.server_hello import ServerHello, parse_server_flight

if TYPE_CHECKING:
    from proxy.tls.handshake.identities import ServerIdentity

_CHALLENGE: Final = (CHALLENGE_ALPN,)  # RFC 8737 section 3: "with the single protocol name "acme-tls/1""


class Handshake(StreamOwner[memoryview]):
    """Owns a `SocketStream` until the handshake is over."""

    __deletable__: ClassVar = ("_observer",)  # for mypyc
    _observer: HandshakeObserver
    _stream: WireStream
    _socket: SocketStream

    def __init__(
        self,
        policy: HandshakePolicy,
        services: FlightServices,
        observer: HandshakeObserver,
        deadline: float,
        challenges: PendingChallenges,
        network: bytes = b"",
    ) -> None:
        """`begin` hands over the stream. `deadline` is in loop time, `network` the client's."""
        self._policy = policy
        self._services = services
        self._observer = observer  # deleted when it was told how the handshake ended
        self._challenges = challenges
        self._network = network
        self.deadline = deadline
        self._wire_left = policy.wire_bytes  # behind the ClientHello: a second one, the Finished
        self._state: HandshakeState = Reading(ClientHelloReader(policy.hello_bytes, policy.wire_bytes))

    def begin(self, stream: SocketStream) -> None:
        """Start reading the ClientHello from `stream`."""
        self._stream = self._socket = stream
        stream.owner = self
        stream.resume_reading()

    # -- what happens to it

    def data_received(self, data: memoryview) -> None:
        state = self._state
        match state:
            case Reading():
                self._read_hello(state.reader, bytes(data))
            case Answering() | Finishing() | Challenged():
                if self._is_within_limit(data):
                    if state.steps.has_waiting:  # other handshakes step first: what comes meanwhile stays in the kernel
                        self._stream.pause_reading()
                    state.steps.receive_data(bytes(data))
            case Signing():
                if self._is_within_limit(data):
                    state.flight.data_received(bytes(data))
            case Choosing() | Over():
                pass

    def _is_within_limit(self, data: memoryview) -> bool:
        self._wire_left -= len(data)
        if self._wire_left < 0:
            detail = "too many bytes in the handshake"
            self.refuse(FailureReason.MALFORMED_HELLO, AlertDescription.RECORD_OVERFLOW, detail)
            return False
        return True

    def eof_received(self) -> None:
        """The client gave up, or its last bytes still wait for their step."""
        match self._state:
            case Answering(steps=steps) | Finishing(steps=steps) | Challenged(steps=steps) if steps.has_waiting:
                return  # reading is paused; the end is reported again when it goes on
            case _:
                self._fail(FailureReason.CLIENT_LEFT, "the client closed the connection during the handshake")
                self._stream.abort()

    def connection_lost(self, error: OSError | None) -> None:
        detail = "the connection was lost during the handshake" if error is None else str(error)
        self._fail(FailureReason.CLIENT_LEFT, detail)

    def pause_writing(self) -> None:
        """The flight waits in the stream; we write nothing more before the client answers."""

    def resume_writing(self) -> None: ...

    def deadline_passed(self, now: float) -> None:
        del now
        self.deadline = NEVER
        match self._state:
            case Signing(flight=flight) if flight.is_waiting:
                self.refuse(FailureReason.SIGNING_TIMEOUT, AlertDescription.INTERNAL_ERROR, "no signature came in time")
            case _:
                self._fail(FailureReason.TIMEOUT, "the handshake did not finish in time")
                self._stream.end()

    # -- others need its place

    @property
    def awaits_client(self) -> bool:
        """Whether it is the client's turn: nothing waits for OpenSSL or a token."""
        match self._state:
            case Reading() | Choosing() | Over():
                return True
            case Answering(steps=steps) | Finishing(steps=steps) | Challenged(steps=steps):
                return not steps.has_waiting
            case Signing(flight=flight):
                return flight.awaits_client

    @property
    def is_unread(self) -> bool:
        """Whether the first bytes of the client are there and were not read."""
        match self._state:
            case Reading(reader=reader):
                return not reader.wire_bytes and self._stream.unread_bytes > 0
            case _:
                return False

    def give_way(self) -> None:
        """Close at once. The observer is not told, because it asks for this."""
        if isinstance(self._state, Over):
            return
        self._leave()
        self._stream.drop()

    # -- Reading, Choosing

    def _read_hello(self, reader: ClientHelloReader, data: bytes) -> None:
        try:
            reader.receive_data(data)
            if reader.message is None:
                return
            hello = parse_client_hello(reader.message)
        except HelloError as error:
            if self._hands_on(self._policy.unopened(error.server_name, (), reader)):
                return
            answer = answer_to(reader.wire, error, self._services.driver, self._policy.alert_context)
            self._end(answer, reason_of(error), str(error), AlertDescription(answer[-1]))
            return
        self._state = Choosing(hello)
        if self._observer.hello_complete():
            self._choose(self._state, reader)
        else:
            detail = "too many handshakes of this client are in flight"
            self.refuse(FailureReason.HANDSHAKES_PER_ADDRESS, AlertDescription.INTERNAL_ERROR, detail)

    def _hands_on(self, hello: UnopenedHello | None) -> bool:
        """Leave a connection to the observer if its TLS is for a server; whether it is."""
        if hello is not None:
            self._leave().left_unopened(hello, self._socket)
        return hello is not None

    def _choose(self, state: Choosing, reader: ClientHelloReader) -> None:
        hello = state.hello
        name = hello.server_name
        if hello.alpn == _CHALLENGE and name is not None and (context := self._challenges.context_for(name)):
            steps = self._steps(context)
            self._state = Challenged(hello, name, steps)
            steps.receive_data(reader.wire)
            return
        if self._hands_on(self._policy.unopened(name, hello.supported_groups, reader)):
            return
        state.identity = self._policy.identities.resolve(name)
        identity = self._policy.judge(hello, state.identity)
        if isinstance(identity, ConnectionRefusal):
            self.refuse(*identity)
        elif self._policy.preference.slow:
            slow = self._policy.slow_exchange(hello, identity)
            if slow is None or not self._observer.slow_exchange_begins():
                self._answer_without_slow(hello, identity, reader)
            else:
                self._make_flight(hello, identity, reader, slow)
        else:
            self._answer(hello, identity, reader)

    def _answer_without_slow(self, hello: ClientHello, identity: "ServerIdentity", reader: ClientHelloReader) -> None:
        fast = self._policy.without_slow(hello, identity)
        if isinstance(fast, ConnectionRefusal):
            self.refuse(*fast)
        else:
            self._answer(hello, fast, reader)

    def _answer(self, hello: ClientHello, identity: "ServerIdentity", reader: ClientHelloReader) -> None:
        if identity.plan is not None:
            self._make_flight(hello, identity, reader, None)
        else:
            steps = self._steps(identity.context.select(hello.psk_identities))
            self._state = Answering(hello, identity, steps)
            steps.receive_data(reader.wire)

    def _steps(self, source: ssl.SSLContext | TlsObject) -> ServerSteps:
        return ServerSteps(source, self._services.driver, self._services.steps, self)

    def refuse(self, reason: FailureReason, alert: AlertDescription, detail: str) -> None:
        self._end(alert_record(alert), reason, detail, alert)

    # -- Answering, Finishing, Challenged: OpenSSL's steps on the loop

    def stepped(self, made: ServerStep) -> None:
        """Send what OpenSSL has for the client, and continue or end (`server_step.StepOwner`)."""
        if made.error is not None:
            self._end(made.output, *step_failure(made, made.error))
            return
        self._stream.resume_reading()
        state = self._state
        if isinstance(state, Answering) and made.output:
            server_hello = parse_server_flight(made.output)
            if server_hello.is_retry:
                state.is_retried = True
            else:
                self._state = Finishing(state, state.steps, server_hello, made)
        if made.output:
            self._stream.write(made.output)
        if made.is_finished:  # OpenSSL finishes nothing before the server's flight
            if isinstance(state, Finishing):
                self._finish(state, made)
            elif isinstance(state, Challenged):
                self._close_answered(state, made.tls)

    # -- Signing

    def _make_flight(
        self, hello: ClientHello, identity: "ServerIdentity", reader: ClientHelloReader, slow: SlowExchange | None
    ) -> None:
        policy = self._policy
        limits = HelloLimits(policy.hello_bytes, policy.wire_bytes)
        flight = SignedFlight(identity.plan, identity.context, self._services, limits, self, self._stream)
        self._state = Signing(hello, identity, flight)
        self._observer.token_asked()
        preference = policy.preference.without_slow or policy.preference
        flight.begin(hello, reader, preference, self.deadline, self._network, slow)

    def flight_crowded_out(self, wire: bytes) -> None:
        """Answer without slow groups what the client has sent (`FlightOwner`)."""
        state = self._state
        policy = self._policy
        if not isinstance(state, Signing):
            return  # it is over
        self._observer.token_answered()
        self._stream.resume_reading()
        reader = ClientHelloReader(policy.hello_bytes, policy.wire_bytes)
        reader.receive_data(wire)
        self._answer_without_slow(state.hello, state.identity, reader)

    def flight_ready(self, flight: Flight, server_hello: ServerHello, held: bytes) -> None:
        """Send a flight; go on with its object unless it is a HelloRetryRequest (`FlightOwner`)."""
        state = self._state
        if not isinstance(state, Signing):
            return  # it is over
        self._observer.token_answered()
        if server_hello.is_retry:
            state.is_retried = True
        else:
            steps = self._steps(flight.tls)
            self._state = Finishing(state, steps, server_hello, flight)
            if held:
                steps.receive_data(held)
        self._stream.write(flight.data)

    # -- Over

    def _finish(self, state: Finishing, made: ServerStep) -> None:
        tls = made.tls
        driver = self._services.driver
        server_hello = state.server_hello
        policy = self._policy
        protocol = policy.protocols.spoken(tls.selected_alpn_protocol())
        if protocol is None:
            self._end(b"", FailureReason.NO_APPLICATION_PROTOCOL, "the second ClientHello offers less", None)
            return
        seconds = None if server_hello.psk_selected else state.seconds
        result = policy.settled(state.hello, state.identity, server_hello, seconds, protocol, retried=state.is_retried)
        tickets: int | bytes = made.tickets or state.steps.tickets
        if (clients := state.identity.clients) is not None:
            try:
                result.client = clients.shown(tls)
            except UnusableCertificate as error:
                self._end(b"", FailureReason.CLIENT_CERTIFICATE_REFUSED, str(error), None)
                return
            tickets = state.tickets if result.client is None or clients.seal(tls, result.client) else 0
        if result.group is not None and result.group.is_quantum_safe:  # else its key is small
            driver.forget_key_share(tls)
        self._open(result, tls, tickets, made.rest)

    def _open(self, result: Established, tls: TlsObject, tickets: int | bytes, rest: bytes) -> None:
        """Hand the connection to the observer, with what came behind the handshake."""
        services = self._services
        observer = self._leave()
        clock = services.signing.clock
        stream = TlsStream(self._socket, tls, services.driver, self._policy.tls_limits, clock, tickets=tickets)
        observer.handshake_established(result, stream)
        if rest:
            stream.data_received(memoryview(rest))
        else:
            self._socket.acknowledge()  # no tickets go out that would

    def _close_answered(self, state: Challenged, tls: TlsObject) -> None:
        # RFC 8737 section 3: "Once the TLS handshake has been completed, the connection MUST be
        # immediately closed"
        self._stream.write(self._services.driver.close_notify(tls))
        self._leave().challenge_answered(state.server_name)
        self._stream.end()

    def _end(self, answer: bytes, reason: FailureReason, detail: str, alert: AlertDescription | None) -> None:
        """Send the client the record of an alert, if there is one, and close."""
        if answer:
            self._stream.write(answer)
        self._fail(reason, detail, alert)
        self._stream.end()

    def _fail(self, reason: FailureReason, detail: str, alert: AlertDescription | None = None) -> None:
        state = self._state
        if isinstance(state, Over):
            return
        self._leave().handshake_failed(Failed.of(state.hello, state.identity, reason, detail, alert))

    def _leave(self) -> HandshakeObserver:
        """End all that is in flight; returns the observer, which is told once."""
        state, self._state = self._state, OVER
        # each handshake comes here: a pattern with an attribute would take a look-up by name
        if isinstance(state, (Answering, Finishing, Challenged)):  # `|` would make an object each time
            state.steps.abandon()
        elif isinstance(state, Signing):
            state.flight.abandon()
        observer = self._observer
        del self._observer
        return observer
