"""One TLS handshake: from the first byte of a connection to an established stream or a refusal that the peer can read.

Theory of operation. The ClientHello is parsed before OpenSSL sees a byte, because everything is decided by it: the identity,
the policy, the context. Only then is an SSL object made, on exactly one context, and fed the bytes received so far, in a turn
with the steps of other handshakes (`step_queue`). A
hello that our parser rejects goes to OpenSSL all the same, for its alert is the better one; ours is sent when OpenSSL has
none. The server's flight is sent only when the step that produced it succeeded, and the group is read back from the
ServerHello in it. On an error OpenSSL's alert goes out before the connection lingers and closes.

For an identity with a key in a token the way to the server's flight is another one (`signed_flight`); what comes after it is the
same.

A CA that looks at a pending challenge (RFC 8737) comes before all of that: no identity, no policy. It is shown a certificate that
proves nothing else, and its connection is closed as soon as the handshake is over.
"""

import ssl
from typing import TYPE_CHECKING, Final

from proxy.net.deadlines import NEVER
from proxy.net.sockets import SocketStream
from proxy.tls.alerts import AlertDescription, alert_in, alert_record
from proxy.tls.attempt import Flight
from proxy.tls.challenges import CHALLENGE_ALPN, PendingChallenges, goodbye
from proxy.tls.client_hello import ClientHello, parse_client_hello
from proxy.tls.handshake_policy import HandshakePolicy
from proxy.tls.malformed_hello import answer_to, reason_of
from proxy.tls.records import ClientHelloReader, HelloError
from proxy.tls.results import Failed, FailureReason, HandshakeObserver, openssl_reason
from proxy.tls.server_hello import ServerHello, parse_server_flight
from proxy.tls.server_step import ServerStep, server_step
from proxy.tls.signed_flight import FlightServices, HelloLimits, SignedFlight
from proxy.tls.stream import TlsStream

if TYPE_CHECKING:
    from proxy.tls.identities import ServerIdentity

_CHALLENGE: Final = (CHALLENGE_ALPN,)  # RFC 8737 section 3: "with the single protocol name "acme-tls/1""


class Handshake:
    """Owns a `SocketStream` until the handshake is over."""

    __slots__ = (
        "_bios",
        "_challenged",
        "_challenges",
        "_context",
        "_hello",
        "_identity",
        "_made",
        "_network",
        "_observer",
        "_over",
        "_policy",
        "_reader",
        "_retried",
        "_server_hello",
        "_services",
        "_signed",
        "_signing_seconds",
        "_stream",
        "_tls",
        "_waiting",
        "_wire_left",
        "deadline",
    )

    def __init__(
        self,
        policy: HandshakePolicy,
        services: FlightServices,
        observer: HandshakeObserver,
        deadline: float,
        challenges: PendingChallenges,
        network: bytes = b"",
    ) -> None:
        """Set up for one connection; `begin` hands over its stream. `deadline` is in loop time, `network` is the client's."""
        self._policy = policy
        self._challenges = challenges
        self._challenged: str | None = None
        self._services = services
        self._bios = services.bios
        self._observer: HandshakeObserver | None = observer
        self._network = network
        self.deadline = deadline
        self._reader = ClientHelloReader(policy.hello_bytes, policy.wire_bytes)
        self._hello: ClientHello | None = None
        self._identity: ServerIdentity | None = None
        self._server_hello: ServerHello | None = None
        self._retried = False
        self._signed: SignedFlight | None = None
        self._signing_seconds: float | None = None
        self._context: ssl.SSLContext | None = None
        self._tls: ssl.SSLObject | None = None
        self._over = False
        # of the next step: what OpenSSL gets
        self._waiting = b""
        self._made: ServerStep | None = None
        # what the client may still send behind its ClientHello: a second one, its Finished
        self._wire_left = policy.wire_bytes
        self._stream: SocketStream

    def begin(self, stream: SocketStream) -> None:
        """Start reading the ClientHello from `stream`."""
        self._stream = stream
        stream.owner = self
        stream.resume_reading()

    # -- the stream's side

    def data_received(self, data: memoryview) -> None:
        """Take the next bytes of the handshake."""
        if self._over:
            return
        if self._hello is None:
            self._read_hello(bytes(data))
            return
        self._wire_left -= len(data)
        if self._wire_left < 0:
            self.refuse(
                FailureReason.MALFORMED_HELLO, AlertDescription.RECORD_OVERFLOW, "too many bytes in the handshake"
            )
        elif self._signed is not None:
            self._signed.data_received(bytes(data))
        else:
            if self._waiting:  # others are before it: what comes behind the handshake is not to gather here meanwhile
                self._stream.pause_reading()
            self._enlist(bytes(data))

    def eof_received(self) -> None:
        """The client gave up; or it sends nothing behind the end of its handshake, which is not stepped yet."""
        if self._waiting and not self._over:
            return  # it is told again when reading goes on
        self._fail(FailureReason.CLIENT_LEFT, "the client closed the connection during the handshake")
        self._stream.abort()

    def connection_lost(self, error: OSError | None) -> None:
        """The socket is gone."""
        self._fail(
            FailureReason.CLIENT_LEFT, "the connection was lost during the handshake" if error is None else str(error)
        )

    def pause_writing(self) -> None:
        """The flight waits in the stream; we write nothing more before the client answers."""

    def resume_writing(self) -> None:
        """The flight is on its way."""

    def deadline_passed(self, now: float) -> None:
        """The handshake took too long."""
        del now
        self.deadline = NEVER
        if self._signed is not None and self._signed.is_waiting:
            self.refuse(FailureReason.SIGNING_TIMEOUT, AlertDescription.INTERNAL_ERROR, "no signature came in time")
            return
        self._fail(FailureReason.TIMEOUT, "the handshake did not finish in time")
        self._end()

    # -- others need its place

    @property
    def awaits_client(self) -> bool:
        """Whether it is the client's turn: nothing waits for OpenSSL or a token."""
        return not self._waiting and (self._signed is None or self._signed.awaits_client)

    @property
    def is_unread(self) -> bool:
        """Whether the first bytes of the client are there and were not read."""
        return not self._reader.wire_bytes and self._stream.unread_bytes > 0

    def give_way(self) -> None:
        """Close at once. The observer is not told: it is who wants it."""
        self._over, self._observer = True, None
        if self._signed is not None:
            self._signed.abandon()
        self._stream.drop()

    # -- the ClientHello

    def _read_hello(self, data: bytes) -> None:
        try:
            self._reader.receive_data(data)
            if self._reader.message is None:
                return
            hello = parse_client_hello(self._reader.message)
        except HelloError as error:
            self._refuse_malformed(error)
            return
        self._hello = hello
        assert self._observer is not None  # it is told once, at the end
        if not self._observer.hello_complete():
            self.refuse(
                FailureReason.HANDSHAKES_PER_ADDRESS, AlertDescription.INTERNAL_ERROR, "too many of this client"
            )
            return
        if hello.alpn == _CHALLENGE and (context := self._challenges.context_for(hello.server_name)) is not None:
            self._challenged = hello.server_name
            self._begin_tls(context)
            return
        self._identity = self._policy.identities.resolve(hello.server_name)
        refusal = self._policy.judge(hello, self._identity)
        if refusal is not None:
            self.refuse(*refusal)
            return
        assert self._identity is not None  # or it is refused
        if self._identity.plan is not None:
            limits = HelloLimits(self._policy.hello_bytes, self._policy.wire_bytes)
            self._signed = SignedFlight(self._identity, self._services, self._network, limits, self, self._stream)
            self._observer.token_asked()
            self._signed.begin(hello, self._reader, self._policy.preference, self.deadline)
        else:
            self._begin_tls(self._identity.context.select(hello.psk_identities))

    def _begin_tls(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._enlist(self._reader.wire)

    def _refuse_malformed(self, error: HelloError) -> None:
        answer = answer_to(self._reader.wire, error, self._bios, self._policy.alert_context)
        self._stream.write(answer)
        self._fail(reason_of(error), str(error), AlertDescription(answer[-1]))
        self._end()

    def refuse(self, reason: FailureReason, alert: AlertDescription, detail: str) -> None:
        """End with an alert."""
        self._stream.write(alert_record(alert))
        self._fail(reason, detail, alert)
        self._end()

    # -- the steps of OpenSSL, called by the queue

    def _enlist(self, data: bytes) -> None:
        if not self._waiting:
            self._services.steps.enlist(self)
        self._waiting += data

    def step(self) -> None:
        """Give OpenSSL what the client sent, and take out of the BIOs what it made of it."""
        data, self._waiting = self._waiting, b""
        if self._over:
            return
        if self._tls is None:
            assert self._context is not None  # set before the first step
            self._tls = self._bios.server_side(self._context)
        self._made = server_step(self._tls, self._bios, data)

    def stepped(self) -> None:
        """Send what OpenSSL has for the client, and go on or end."""
        made, self._made = self._made, None
        if self._over:
            return
        assert made is not None  # this follows `step`
        if made.error is not None:
            self._step_failed(made.error, made.output)
            return
        self._stream.resume_reading()
        if made.output:
            if not made.is_finished:
                self._settle(parse_server_flight(made.output), made.seconds)
            self._stream.write(made.output)
        if made.is_finished:
            self._finish(made.rest)

    def _settle(self, server_hello: ServerHello, seconds: float) -> None:
        self._server_hello = server_hello
        if server_hello.is_retry:
            self._retried = True
        elif not server_hello.psk_selected:
            self._signing_seconds = seconds

    def _close_answered(self, tls: ssl.SSLObject, server_name: str) -> None:
        self._stream.write(goodbye(tls, self._bios))
        self._over = True
        observer, self._observer = self._observer, None
        assert observer is not None  # it is told once
        observer.challenge_answered(server_name)
        self._end()

    def _step_failed(self, error: ssl.SSLError, alert: bytes) -> None:
        if alert:
            self._stream.write(alert)
        self._fail(openssl_reason(error.reason), error.reason or str(error), alert_in(alert))
        self._end()

    def flight_ready(self, flight: Flight, server_hello: ServerHello, held: bytes) -> None:
        """Send what a `SignedFlight` has brought about. The object goes on with the handshake unless it only asked for another hello."""
        self._settle(server_hello, flight.seconds)
        assert self._observer is not None  # it is told once, at the end
        self._observer.token_answered()
        if not server_hello.is_retry:
            self._tls, self._signed = flight.tls, None
            if held:
                self._enlist(held)
        self._stream.write(flight.data)

    # -- success

    def _finish(self, rest: bytes) -> None:
        tls = self._tls
        assert tls is not None  # it has made the last step
        if self._challenged is not None:
            self._close_answered(tls, self._challenged)
            return
        assert self._hello is not None  # set before the first step
        assert self._identity is not None  # set before the first step
        assert self._server_hello is not None  # a server cannot finish without having sent one
        policy, signing_seconds = self._policy, self._signing_seconds
        result = policy.settled(self._hello, self._identity, self._server_hello, signing_seconds, retried=self._retried)
        self._over = True
        # one for a resumption: the client has used up one
        tickets = min(tls.context.num_tickets, 1) if result.is_resumed else tls.context.num_tickets
        clock = self._services.signing.clock
        stream = TlsStream(self._stream, tls, self._bios, policy.tls_limits, clock, tickets=tickets)
        observer, self._observer = self._observer, None
        assert observer is not None  # it is told once
        observer.handshake_established(result, stream)
        if rest:
            stream.data_received(memoryview(rest))
        else:
            self._stream.acknowledge()  # no tickets go out that would

    # -- the end

    def _fail(self, reason: FailureReason, detail: str, alert: AlertDescription | None = None) -> None:
        if self._over:
            return
        self._over = True
        if self._signed is not None:
            self._signed.abandon()
        hello = self._hello
        observer, self._observer = self._observer, None
        assert observer is not None  # it is told once
        observer.handshake_failed(
            Failed(
                reason,
                detail,
                None if hello is None else hello.server_name,
                () if hello is None else hello.supported_groups,
                None if self._identity is None else self._identity.name,
                alert,
            )
        )

    def _end(self) -> None:
        self._stream.end()
