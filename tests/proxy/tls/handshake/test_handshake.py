"""Handshakes with real clients: what is settled, what is refused and how the client learns of
it, and every way to stop halfway."""

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from cryptography import x509

from certs.identities.chain import alternative_names
from config.schema import CredentialPreference, HttpProtocol, PqPolicy, SecurityLevel
from proxy.net.deadlines import NEVER
from proxy.signing.executor import JobRefusal
from proxy.signing.race import SigningServices
from proxy.tls.handshake.challenge import TlsChallenge
from proxy.tls.handshake.challenges import PendingChallenges
from proxy.tls.handshake.flight_makers import FlightServices
from proxy.tls.handshake.group_choice import HandshakeOutcome, cipher_suites, group_preference
from proxy.tls.handshake.handshake import Handshake
from proxy.tls.handshake.handshake_policy import HandshakePolicy
from proxy.tls.handshake.identities import IdentityTable, ServerIdentity
from proxy.tls.handshake.results import Established, FailureReason
from proxy.tls.openssl import libssl
from proxy.tls.openssl.client_trust import ClientTrust
from proxy.tls.openssl.context import TICKETS_PER_HANDSHAKE, TlsSettings, build_alert_context, build_server_context
from proxy.tls.openssl.driver import TlsDriver
from proxy.tls.openssl.step_queue import StepQueue
from proxy.tls.openssl.stream import TlsLimits, TlsStream
from proxy.tls.openssl.tickets import TicketSecrets, ticket_key
from proxy.tls.wire.alerts import AlertDescription, alert_record
from proxy.tls.wire.groups import KNOWN, GroupPreference
from proxy.tls.wire.protocols import ProtocolOffer
from proxy.tls.wire.records import HelloFailure
from proxy.tls.wire.signature_schemes import sigalgs_list
from proxy.tls.wire.waiting_data import RECORD_BYTES
from tests.certificates import Authority, CertificateFiles
from tests.client_authorities import ClientAuthority, ClientFiles
from tests.fakes import LINGER, FakeLoop, RecordingObserver, Wire, broken_pipe
from tests.fakes_signing import HandExecutor
from tests.proxy.tls import hellos
from tests.proxy.tls.client_visits import trust
from tests.proxy.tls.clients import TlsClient, allow_early_data
from tests.proxy.tls.drivers import is_empty

A = AlertDescription
H2, H1 = HttpProtocol.HTTP_2, HttpProtocol.HTTP_1
SECRET = bytes(32)
SHARE_OF_X25519_ONLY = "X25519MLKEM768:*X25519"
RECORD_HEADER = 5
STEPS_OF_A_TURN = 8
SSL_OP_NO_ANTI_REPLAY = 1 << 24
"""Tickets for early data that any server with the key can open, openssl/ssl.h."""


class Idle:
    """A handshake before ours in the queue."""

    def step(self) -> None:
        """Nothing."""

    def stepped(self) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Credential:
    """A credential as contexts ask for one."""

    certificate_path: Path
    key_pem_path: Path


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("credentials"))


@pytest.fixture(scope="module")
def files(authority: Authority) -> CertificateFiles:
    return authority.issue("chat", ("chat.example.org", "files.example.org"))


@dataclass
class Attempt:
    """One connection: a client, and a handshake that waits for it."""

    loop: FakeLoop
    wire: Wire
    client: TlsClient
    handshake: Handshake
    observer: RecordingObserver
    driver: TlsDriver

    def feed(self, *pieces: bytes) -> None:
        """Let bytes arrive, each piece in a turn of its own; no byte of it may stay in the
        shared BIOs."""
        for piece in pieces:
            self.wire.peer.sendall(piece)
            self.loop.settle()
            assert is_empty(self.driver)

    def establish(self, cut: Callable[[bytes], list[bytes]] = lambda data: [data]) -> TlsStream:
        """Go through with it, the client's flights cut into pieces."""
        for _ in range(3):
            self.feed(*cut(self.client.handshake_step()))
            if self.observer.streams:
                return self.observer.streams[-1]
            self.client.receive()
        raise AssertionError(self.observer.failures)

    def refused(self, alert: AlertDescription | None, reason: FailureReason) -> None:
        """Check that the client got exactly this alert, unencrypted, then the end; and that the
        observer heard once."""
        self.loop.settle()
        received = self.wire.received()
        if reason in (FailureReason.MALFORMED_HELLO, FailureReason.OLD_VERSION, FailureReason.NOT_TLS):
            received = received.replace(b"\x15\x03\x01", b"\x15\x03\x03", 1)  # as OpenSSL begins its own
        assert received == (b"" if alert is None else alert_record(alert))
        assert self.wire.peer_sees_end
        assert self.observer.calls == 1
        failure = self.observer.failures[0]
        assert (failure.reason, failure.alert) == (reason, alert)
        assert is_empty(self.driver)


@dataclass
class World:
    """A listener's policy, to be varied, and the loop on which its connections are made."""

    loop: FakeLoop
    driver: TlsDriver
    credential: Credential
    pq: PqPolicy = PqPolicy.PREFER
    level: SecurityLevel = SecurityLevel.STANDARD
    groups: tuple[tuple[str, ...], ...] | None = None
    default: str | None = None
    protocols: tuple[HttpProtocol, ...] = (H1,)
    hello_bytes: int = 65_536
    wire_bytes: int = 400_000
    tickets: TicketSecrets = field(default_factory=lambda: TicketSecrets(SECRET))
    wires: list[Wire] = field(default_factory=list)
    challenges: PendingChallenges = field(default_factory=PendingChallenges)
    clients: ClientTrust | None = None
    slow: tuple[str, ...] = ()
    """Groups whose key exchange passes for a slow one."""

    def __post_init__(self) -> None:
        self.services = FlightServices.of(
            self.driver, StepQueue(self.loop.call_soon), SigningServices(self.loop, self.loop.time, {})
        )
        self.thread = self.services.slow.threads = HandExecutor(self.loop, threads=1)

    @property
    def preference(self) -> GroupPreference:
        preference = group_preference(self.level, self.pq, self.groups, KNOWN)
        return replace(preference, slow={KNOWN[name].code_point: 0.05 for name in self.slow})

    @property
    def settings(self) -> TlsSettings:
        return TlsSettings(self.preference.openssl_list(), cipher_suites(self.level), self.protocols, self.clients)

    def identity(self, name: str, settings: TlsSettings) -> ServerIdentity:
        algorithms = sigalgs_list(CredentialPreference.CLASSICAL)
        context = build_server_context(name, [self.credential], algorithms, settings, self.tickets)
        return ServerIdentity(name, frozenset({f"{name}.example.org"}), context, clients=self.clients)

    def policy(self) -> HandshakePolicy:
        identities = [self.identity(name, self.settings) for name in ("chat", "files")]
        left = self.preference.without_slow
        if self.slow and left is not None:
            part = replace(self.settings, groups=left.openssl_list(), all_groups=self.settings.groups)
            for one in identities:
                one.fast = self.identity(one.name, part)
        return HandshakePolicy(
            pq=self.pq,
            preference=self.preference,
            identities=IdentityTable(identities, next((one for one in identities if one.name == self.default), None)),
            hello_bytes=self.hello_bytes,
            wire_bytes=self.wire_bytes,
            alert_context=build_alert_context(),
            tls_limits=TlsLimits(32),
            protocols=ProtocolOffer.of_http(self.protocols),
        )

    def attempt(
        self,
        groups: str | ssl.SSLContext = "X25519MLKEM768:X25519",
        name: str | None = "chat.example.org",
        session: ssl.SSLSession | None = None,
        policy: HandshakePolicy | None = None,
        observer: RecordingObserver | None = None,
    ) -> Attempt:
        """A client with these groups, or with this context, comes."""
        wire = Wire(self.loop, read_bytes=RECORD_BYTES)
        self.wires.append(wire)
        context = groups if isinstance(groups, ssl.SSLContext) else hellos.client_context(groups)
        observer = observer or RecordingObserver()
        handshake = Handshake(policy or self.policy(), self.services, observer, self.loop.now + 10, self.challenges)
        handshake.begin(wire.stream)
        return Attempt(self.loop, wire, TlsClient(wire.peer, context, name, session), handshake, observer, self.driver)


@pytest.fixture
def world(files: CertificateFiles, driver: TlsDriver) -> Iterator[World]:
    world = World(FakeLoop(), driver, Credential(files.certificate, files.key))
    yield world
    for wire in world.wires:
        wire.end()


def whole(data: bytes) -> list[bytes]:
    return [data]


def byte_by_byte(data: bytes) -> list[bytes]:
    return [bytes((byte,)) for byte in data]


def one_byte_records(data: bytes) -> list[bytes]:
    """The ClientHello cut into records of one byte each, all in one segment; what follows stays
    as it is."""
    out, rest = b"", data
    while rest:
        content_type, length = rest[0], int.from_bytes(rest[3:5])
        content, rest = rest[RECORD_HEADER : RECORD_HEADER + length], rest[RECORD_HEADER + length :]
        out += hellos.records(content, 1) if content_type == 22 else hellos.record(content, content_type, 0x0303)
    return [out]


def records_in(wire: bytes) -> list[bytes]:
    """The TLS records of what came."""
    found = []
    while wire:
        length = RECORD_HEADER + int.from_bytes(wire[3:RECORD_HEADER])
        found.append(wire[:length])
        wire = wire[length:]
    return found


CUTS = pytest.mark.parametrize("cut", [whole, byte_by_byte, one_byte_records])


class TestEstablished:
    @CUTS
    def test_facts_are_read_from_what_was_negotiated(self, world: World, cut: Callable[[bytes], list[bytes]]) -> None:
        attempt = world.attempt("X25519MLKEM768")
        attempt.establish(cut)
        (result,) = attempt.observer.results
        assert result.server_name == "chat.example.org"
        assert result.identity.name == "chat"
        assert result.group is KNOWN["x25519mlkem768"]
        assert result.group_name == "X25519MLKEM768"
        assert result.outcome is HandshakeOutcome.HYBRID
        assert not result.is_resumed
        assert attempt.observer.calls == 1

    @CUTS
    def test_client_that_can_do_hybrid_gets_it_by_a_retry(
        self, world: World, cut: Callable[[bytes], list[bytes]]
    ) -> None:
        attempt = world.attempt(SHARE_OF_X25519_ONLY)
        attempt.establish(cut)
        (result,) = attempt.observer.results
        assert result.group is KNOWN["x25519mlkem768"]
        assert result.outcome is HandshakeOutcome.HYBRID_AFTER_RETRY

    @pytest.mark.parametrize(
        ("pq", "groups", "group", "outcome"),
        [
            (PqPolicy.PREFER, "X25519", "x25519", HandshakeOutcome.CLIENT_CANNOT),
            (PqPolicy.PREFER, "P-256", "p-256", HandshakeOutcome.CLIENT_CANNOT),
            (PqPolicy.PREFER, "MLKEM768:X25519", "x25519", HandshakeOutcome.NOT_REQUIRED),
            (PqPolicy.OFF, "X25519MLKEM768:X25519", "x25519", HandshakeOutcome.NOT_REQUIRED),
            (PqPolicy.OFF, "X25519", "x25519", HandshakeOutcome.CLIENT_CANNOT),
            (PqPolicy.REPORT, "X25519", "x25519", HandshakeOutcome.WOULD_REFUSE),
            (PqPolicy.REPORT, "X25519MLKEM768", "x25519mlkem768", HandshakeOutcome.HYBRID),
            (PqPolicy.REQUIRE, "SecP384r1MLKEM1024", "secp384r1mlkem1024", HandshakeOutcome.HYBRID),
            (PqPolicy.REQUIRE, SHARE_OF_X25519_ONLY, "x25519mlkem768", HandshakeOutcome.HYBRID_AFTER_RETRY),
        ],
    )
    def test_outcome_says_why(
        self, world: World, pq: PqPolicy, groups: str, group: str, outcome: HandshakeOutcome
    ) -> None:
        world.pq = pq
        attempt = world.attempt(groups)
        attempt.establish()
        (result,) = attempt.observer.results
        assert (result.group, result.outcome) == (KNOWN[group], outcome)

    @pytest.mark.parametrize("groups", ["X25519MLKEM768", SHARE_OF_X25519_ONLY])
    def test_the_step_that_signs_is_timed(self, world: World, groups: str) -> None:
        attempt = world.attempt(groups)
        attempt.establish()
        seconds = attempt.observer.results[0].signing_seconds
        assert seconds is not None
        assert 0 < seconds < 5

    @pytest.mark.parametrize(
        ("pq", "groups", "breaks"),
        [
            (PqPolicy.PREFER, "X25519", True),
            (PqPolicy.PREFER, "MLKEM768:X25519", True),
            (PqPolicy.REPORT, "X25519", True),
            (PqPolicy.OFF, "X25519", True),
            (PqPolicy.OFF, "X25519MLKEM768:X25519", False),
            (PqPolicy.PREFER, SHARE_OF_X25519_ONLY, False),
        ],
    )
    def test_it_is_known_whom_require_would_refuse(
        self, world: World, pq: PqPolicy, groups: str, *, breaks: bool
    ) -> None:
        world.pq = pq
        attempt = world.attempt(groups)
        attempt.establish()
        assert attempt.observer.results[0].breaks_under_require is breaks

    def test_retry_for_a_classical_group_is_no_hybrid(self, world: World) -> None:
        world.groups = (("X25519",), ("secp256r1",))
        attempt = world.attempt("*secp256r1:X25519")
        attempt.establish()
        assert attempt.observer.results[0].outcome is HandshakeOutcome.CLIENT_CANNOT
        assert attempt.observer.results[0].group is KNOWN["x25519"]

    def test_unknown_name_gets_the_default(self, world: World) -> None:
        world.default = "files"
        for name in (None, "unknown.test"):
            attempt = world.attempt(name=name)
            attempt.establish()
            assert attempt.observer.results[0].identity.name == "files"
            assert attempt.observer.results[0].server_name == name

    @pytest.mark.parametrize("protocols", [["http/1.1"], ["h2", "http/1.1"], []])
    def test_http_1_1_or_no_protocol_is_fine(self, world: World, protocols: list[str]) -> None:
        context = hellos.client_context("X25519")
        if protocols:
            context.set_alpn_protocols(protocols)
        attempt = world.attempt(context)
        attempt.establish()
        assert attempt.client.tls.selected_alpn_protocol() == ("http/1.1" if protocols else None)

    @pytest.mark.parametrize("ours", [(H2, H1), (H1, H2), (H1,), (H2,)])
    @pytest.mark.parametrize("offered", [["h2", "http/1.1"], ["http/1.1", "h2"], ["h2"], ["http/1.1"], []])
    @pytest.mark.parametrize("groups", ["X25519MLKEM768:X25519", "*X25519:X25519MLKEM768"], ids=["direct", "retried"])
    def test_protocol_is_what_openssl_chose_or_http_1_1(
        self, world: World, ours: tuple[HttpProtocol, ...], offered: list[str], groups: str
    ) -> None:
        world.protocols = ours
        context = hellos.client_context(groups)
        if offered:
            context.set_alpn_protocols(offered)
        attempt = world.attempt(context)
        expected = next((one for one in ours if one in offered or (not offered and one is H1)), None)
        if expected is None:
            attempt.feed(attempt.client.handshake_step())
            attempt.refused(A.NO_APPLICATION_PROTOCOL, FailureReason.NO_APPLICATION_PROTOCOL)
            return
        attempt.establish()
        assert attempt.client.tls.selected_alpn_protocol() == (expected if offered else None)
        assert attempt.observer.results[0].protocol is expected

    def test_resumed_session_may_speak_another_protocol(self, world: World) -> None:
        context = hellos.client_context("X25519")
        context.set_alpn_protocols(["h2", "http/1.1"])
        first = world.attempt(context)
        first.establish().write(b"tickets go out with it")
        first.client.read()
        world.protocols = (H2, H1)
        second = world.attempt(context, session=first.client.tls.session)
        second.establish()
        results = [*first.observer.results, *second.observer.results]
        assert [(one.is_resumed, one.protocol) for one in results] == [(False, H1), (True, H2)]

    @pytest.mark.parametrize(
        ("ours", "second", "spoken"),
        [((H2, H1), b"\x08http/1.1", H1), ((H2, H1), b"", H1), ((H2,), b"", None), ((H2,), b"\x08http/1.1", None)],
    )
    def test_what_the_second_hello_offers_counts(
        self, world: World, ours: tuple[HttpProtocol, ...], second: bytes, spoken: HttpProtocol | None
    ) -> None:
        """RFC 8446 section 4.1.2 forbids the change, OpenSSL takes it, and then both sides have
        signed it."""
        world.protocols = ours
        context = hellos.client_context("*X25519:X25519MLKEM768")
        context.set_alpn_protocols(["h2"])
        attempt = world.attempt(context)
        attempt.feed(attempt.client.handshake_step())
        attempt.client.receive()
        attempt.client.offer_protocols(second)
        if spoken is not None:
            attempt.establish()
            assert attempt.observer.results[0].protocol is spoken
            return
        for _ in range(2):
            attempt.feed(attempt.client.handshake_step())
            attempt.client.receive()
        assert attempt.observer.failures[0].reason is FailureReason.NO_APPLICATION_PROTOCOL
        assert attempt.observer.calls == 1
        assert attempt.wire.peer_sees_end

    def test_data_in_the_segment_of_the_finished_is_delivered_when_there_is_an_owner(self, world: World) -> None:
        attempt = world.attempt()
        states: list[bool] = []
        attempt.observer.when_established = lambda _: states.append(is_empty(attempt.driver))
        attempt.feed(attempt.client.handshake_step())
        attempt.client.receive()
        attempt.feed(attempt.client.handshake_step() + attempt.client.sealed(b"GET ") + attempt.client.sealed(b"/"))
        assert attempt.observer.owners[0].data == b"GET /"
        assert states == [True]

    def test_upload_that_comes_before_its_handshake_has_its_turn_waits_in_the_kernel(self, world: World) -> None:
        """It is neither held against the client, nor kept in memory, nor decrypted all at once."""
        world.wire_bytes = 100_000
        attempt = world.attempt("X25519")
        attempt.feed(attempt.client.handshake_step())
        attempt.client.receive()
        for _ in range(20 * STEPS_OF_A_TURN):
            world.services.steps.enlist(Idle())
        body = bytes(150_000)
        wire = attempt.client.handshake_step()
        wire += b"".join(
            attempt.client.sealed(body[at : at + RECORD_BYTES]) for at in range(0, len(body), RECORD_BYTES)
        )
        pieces: list[int] = []
        attempt.observer.when_established = lambda _: setattr(
            attempt.observer.owners[-1], "when_data", lambda data: pieces.append(len(data))
        )
        while wire:
            with contextlib.suppress(BlockingIOError):
                wire = wire[attempt.wire.peer.send(wire) :]
            attempt.loop.turn()
        attempt.loop.settle()
        assert attempt.observer.failures == []
        assert attempt.observer.owners[0].data == body
        assert max(pieces) <= 2 * RECORD_BYTES

    @pytest.mark.parametrize("turns", [0, 1, 5])
    def test_half_closed_client_that_waits_for_its_turn_is_served(self, world: World, turns: int) -> None:
        attempt = world.attempt("X25519")
        attempt.feed(attempt.client.handshake_step())
        attempt.client.receive()
        for _ in range(turns * STEPS_OF_A_TURN):
            world.services.steps.enlist(Idle())
        for piece in (attempt.client.handshake_step(), attempt.client.sealed(b"GET "), attempt.client.sealed(b"/")):
            attempt.wire.peer.sendall(piece)
            attempt.loop.turn()
        attempt.wire.peer.shutdown(socket.SHUT_WR)
        attempt.loop.settle()
        assert attempt.observer.owners[0].events == [("data", b"GET /"), ("eof", None)]
        attempt.observer.streams[0].write(b"answer")
        assert attempt.client.read() == b"answer"

    def test_owner_may_end_the_connection_at_once(self, world: World) -> None:
        attempt = world.attempt()
        attempt.observer.when_established = lambda stream: stream.end()
        attempt.feed(attempt.client.handshake_step())
        attempt.client.receive()
        attempt.feed(attempt.client.handshake_step() + attempt.client.sealed(b"GET /"))
        assert attempt.observer.owners[0].events == []
        assert attempt.client.is_closed

    def test_connection_works_in_both_directions(self, world: World) -> None:
        attempt = world.attempt()
        stream = attempt.establish()
        attempt.feed(attempt.client.sealed(b"request"))
        stream.write(b"response")
        assert attempt.observer.owners[0].data == b"request"
        assert attempt.client.read() == b"response"

    def test_a_large_key_of_the_client_is_not_kept(self, world: World) -> None:
        stream = world.attempt("X25519MLKEM768").establish()
        assert hellos.key_share_bytes(stream._tls) == 0

    def test_many_handshakes_share_the_driver(self, world: World) -> None:
        """Their steps mixed, one of them wrong."""
        policy = world.policy()
        many = [world.attempt(SHARE_OF_X25519_ONLY, policy=policy) for _ in range(6)]
        bad = world.attempt(policy=policy)
        for _ in range(3):
            for attempt in many:
                attempt.client.receive()
                data = attempt.client.handshake_step()
                attempt.feed(data[:7])
                bad.wire.peer.send(b"\x16\x03\x01\x00\x04rub!")
                attempt.feed(data[7:])
        assert [len(attempt.observer.results) for attempt in many] == [1] * 6
        assert bad.observer.failures

    def test_flow_control_is_nothing_to_a_handshake(self, world: World) -> None:
        """A client that reads slowly gets the flight piece by piece."""
        attempt = world.attempt()
        attempt.wire.sock.takes = 100
        attempt.wire.peer.send(attempt.client.handshake_step())
        attempt.loop.turn()  # the hello is read
        attempt.loop.turn()  # OpenSSL answers it
        attempt.wire.io.flush()
        assert attempt.wire.stream.is_blocked
        attempt.wire.sock.takes = None
        attempt.loop.settle()
        attempt.client.receive()
        attempt.establish()


class TestResumption:
    def session(
        self, world: World, groups: str = "X25519MLKEM768:X25519", name: str = "chat.example.org"
    ) -> tuple[ssl.SSLContext, ssl.SSLSession]:
        context = hellos.client_context(groups)
        attempt = world.attempt(context, name)
        attempt.establish().write(b"tickets come with it")
        assert attempt.client.read() == b"tickets come with it"
        session = attempt.client.tls.session
        assert session is not None
        return context, session

    def test_ticket_of_the_same_identity_resumes_with_a_new_key_exchange(self, world: World) -> None:
        context, session = self.session(world)
        attempt = world.attempt(context, session=session)
        attempt.establish()
        (result,) = attempt.observer.results
        assert result.is_resumed
        assert result.outcome is HandshakeOutcome.HYBRID
        assert result.signing_seconds is None
        assert attempt.client.tls.session_reused

    @pytest.mark.parametrize(("is_resumed", "count"), [(False, 2), (True, 1)])
    def test_tickets_come_with_the_first_bytes(self, world: World, count: int, *, is_resumed: bool) -> None:
        """Two; in place of one that was used, one. Each is a record of its own, as are the
        bytes."""
        context, session = self.session(world) if is_resumed else (hellos.client_context("X25519"), None)
        attempt = world.attempt(context, session=session)
        stream = attempt.establish()
        assert attempt.observer.results[0].is_resumed is is_resumed
        sizes = []
        for _ in range(2):
            stream.write(b"x")
            sizes.append(len(records_in(attempt.wire.received())))
        assert sizes == [count + 1, 1]

    def test_who_asks_for_nothing_gets_no_ticket(self, world: World) -> None:
        attempt = world.attempt()
        stream = attempt.establish()
        assert attempt.wire.received() == b""
        stream.end()
        attempt.loop.settle()
        assert len(records_in(attempt.wire.received())) == 1, "the goodbye"

    @pytest.mark.parametrize("first", ["an answer", "a goodbye", "a KeyUpdate", "an alert"])
    def test_tickets_that_were_made_with_the_last_step_go_out_first(self, world: World, first: str) -> None:
        """They are made when a request comes with the client's Finished. In another order it
        could decrypt nothing."""
        attempt = world.attempt()
        client, request = attempt.client, b"GET / HTTP/1.1\r\nHost: chat.example.org\r\n\r\n"
        attempt.feed(client.handshake_step())
        client.receive()
        attempt.feed(client.handshake_step() + client.sealed(request))
        (stream,) = attempt.observer.streams
        assert attempt.observer.owners[0].data == request
        assert attempt.wire.received() == b"", "nothing goes out before the first answer"
        match first:
            case "an answer":
                stream.write(b"here")
            case "a goodbye":
                stream.end()
            case "a KeyUpdate":
                attempt.feed(client.key_updates(2))  # the second waits for the next thing that OpenSSL does
            case _:
                broken = client.sealed(b"broken")
                attempt.feed(broken[:-1] + bytes([broken[-1] ^ 1]))
        attempt.loop.settle()
        assert len(records_in(client.receive())) == TICKETS_PER_HANDSHAKE + 1
        try:
            client.read()
        except ssl.SSLError as error:
            assert (first, error.reason) == ("an alert", "SSLV3_ALERT_BAD_RECORD_MAC")  # noqa: PT017 - only for one
        assert client.tls.session is not None
        assert client.tls.session.has_ticket

    @pytest.mark.parametrize("last", ["nothing", "a goodbye"])
    def test_no_tickets_are_made_for_who_asks_for_nothing(self, world: World, last: str) -> None:
        attempt = world.attempt()
        attempt.feed(attempt.client.handshake_step())
        attempt.client.receive()
        finished = attempt.client.handshake_step()
        attempt.feed(finished + (attempt.client.close_notify() if last == "a goodbye" else b""))
        (stream,) = attempt.observer.streams
        stream.end()
        attempt.loop.settle()
        assert len(records_in(attempt.wire.received())) == 1, "the goodbye"

    def test_secret_of_before_gives_no_new_tickets(self, world: World) -> None:
        context, session = self.session(world)
        world.tickets = world.tickets.rotated(b"2" * 32)
        attempt = world.attempt(context, session=session)
        attempt.establish().write(b"x")
        assert len(records_in(attempt.wire.received())) == 1

    def test_ticket_survives_a_retry(self, world: World) -> None:
        context, session = self.session(world, SHARE_OF_X25519_ONLY)
        attempt = world.attempt(context, session=session)
        attempt.establish()
        assert attempt.observer.results[0].is_resumed
        assert attempt.observer.results[0].outcome is HandshakeOutcome.HYBRID_AFTER_RETRY

    def test_ticket_of_another_identity_does_not_resume(self, world: World) -> None:
        context, session = self.session(world)
        attempt = world.attempt(context, "files.example.org", session)
        attempt.establish()
        assert attempt.observer.results[0].identity.name == "files"
        assert not attempt.observer.results[0].is_resumed

    def test_ticket_of_the_previous_secret_resumes(self, world: World) -> None:
        context, session = self.session(world)
        world.tickets = world.tickets.rotated(b"2" * 32)
        attempt = world.attempt(context, session=session)
        attempt.establish()
        assert attempt.observer.results[0].is_resumed

    def test_resumption_obeys_the_policy(self, world: World) -> None:
        """A ticket from a time when the listener preferred is no way round its requiring."""
        context, session = self.session(world, "X25519")
        world.pq = PqPolicy.REQUIRE
        attempt = world.attempt(context, session=session)
        attempt.feed(attempt.client.handshake_step())
        attempt.refused(A.HANDSHAKE_FAILURE, FailureReason.POLICY)

    def test_resumption_is_counted_by_its_own_key_exchange(self, world: World) -> None:
        context, session = self.session(world)
        libssl.set_groups(context, "X25519")
        attempt = world.attempt(context, session=session)
        attempt.establish()
        assert attempt.observer.results[0].is_resumed
        assert attempt.observer.results[0].outcome is HandshakeOutcome.CLIENT_CANNOT

    def test_early_data_is_refused_and_never_delivered(self, world: World, files: CertificateFiles) -> None:
        """With a ticket that promises it: made by another server that has our key."""
        foreign = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        foreign.minimum_version = ssl.TLSVersion.TLSv1_3
        foreign.load_cert_chain(files.certificate, files.key)
        libssl.set_groups(foreign, world.settings.groups)
        libssl.set_ticket_key(foreign, ticket_key(SECRET, "chat", world.settings.fingerprint))
        allow_early_data(foreign)
        foreign.options |= SSL_OP_NO_ANTI_REPLAY
        context = hellos.client_context("X25519")
        one, two = hellos.peer(context), hellos.peer(foreign)
        hellos.converse(one, two)
        assert one.tls.session is not None

        attempt = world.attempt(context, session=one.tls.session)
        attempt.feed(attempt.client.early_data(b"POST /pay HTTP/1.1"))
        attempt.client.receive()
        attempt.feed(attempt.client.handshake_step())
        (result,) = attempt.observer.results
        assert result.is_resumed
        assert not attempt.client.is_early_data_accepted
        attempt.feed(attempt.client.sealed(b"POST /pay again"))
        assert attempt.observer.owners[0].data == b"POST /pay again"


class TestAStepThatIsDue:
    """What happens between the turn in which bytes are read and the one in which OpenSSL gets
    them."""

    @pytest.fixture
    def attempt(self, world: World) -> Attempt:
        """Its hello is read, no more."""
        attempt = world.attempt()
        attempt.wire.peer.sendall(attempt.client.handshake_step())
        attempt.loop.turn()
        return attempt

    @pytest.fixture
    def finishing(self, world: World) -> Attempt:
        """Its Finished and a request are read, no more."""
        attempt = world.attempt()
        attempt.feed(attempt.client.handshake_step())
        attempt.client.receive()
        attempt.wire.peer.sendall(attempt.client.handshake_step() + attempt.client.sealed(b"GET /"))
        attempt.loop.turn()
        assert attempt.observer.calls == 0
        return attempt

    def test_what_comes_meanwhile_is_not_lost(self, finishing: Attempt) -> None:
        finishing.feed(finishing.client.sealed(b" more"))
        assert finishing.observer.owners[0].data == b"GET / more"

    def test_too_much_meanwhile_is_refused(self, world: World) -> None:
        world.wire_bytes = 2_000
        attempt = world.attempt()
        attempt.wire.peer.sendall(attempt.client.handshake_step())
        attempt.loop.turn()
        attempt.feed(b"x" * 2_001)
        attempt.refused(A.RECORD_OVERFLOW, FailureReason.MALFORMED_HELLO)

    def test_client_that_ends_its_side_gets_its_answer(self, finishing: Attempt) -> None:
        finishing.wire.peer.shutdown(1)
        finishing.loop.settle()
        owner = finishing.observer.owners[0]
        assert owner.events == [("data", b"GET /"), ("eof", None)]
        finishing.observer.streams[0].write(b"response")
        assert finishing.client.read() == b"response"

    def test_client_that_ends_its_side_too_early_has_left(self, attempt: Attempt) -> None:
        attempt.wire.peer.shutdown(1)
        attempt.loop.settle()
        assert [failure.reason for failure in attempt.observer.failures] == [FailureReason.CLIENT_LEFT]
        assert not attempt.wire.stream.is_open

    def test_reset_makes_it_needless(self, attempt: Attempt) -> None:
        attempt.handshake.connection_lost(ConnectionResetError())
        attempt.loop.settle()
        assert [failure.reason for failure in attempt.observer.failures] == [FailureReason.CLIENT_LEFT]
        assert attempt.wire.received() == b""
        assert is_empty(attempt.driver)

    def test_deadline_that_passes_makes_it_needless(self, attempt: Attempt) -> None:
        attempt.handshake.deadline_passed(attempt.loop.now)
        attempt.loop.settle()
        assert attempt.wire.received() == b""
        assert [failure.reason for failure in attempt.observer.failures] == [FailureReason.TIMEOUT]


class TestRefusals:
    @CUTS
    @pytest.mark.parametrize("name", [None, "unknown.test", "example.org", "sub.chat.example.org"])
    def test_unknown_name(self, world: World, name: str | None, cut: Callable[[bytes], list[bytes]]) -> None:
        attempt = world.attempt(name=name)
        attempt.feed(*cut(attempt.client.handshake_step()))
        attempt.refused(A.UNRECOGNIZED_NAME, FailureReason.UNRECOGNIZED_NAME)
        failure = attempt.observer.failures[0]
        assert failure.server_name == name
        assert failure.identity is None
        assert failure.offered_groups == (0x11EC, 0x001D)
        assert failure.detail == ("no server name" if name is None else f"server name {name}")

    @CUTS
    @pytest.mark.parametrize("protocols", [["h2"], ["acme-tls/1"], ["http/1.0", "spdy/1"]])
    def test_other_protocols_only(
        self, world: World, protocols: list[str], cut: Callable[[bytes], list[bytes]]
    ) -> None:
        context = hellos.client_context("X25519")
        context.set_alpn_protocols(protocols)
        attempt = world.attempt(context)
        attempt.feed(*cut(attempt.client.handshake_step()))
        attempt.refused(A.NO_APPLICATION_PROTOCOL, FailureReason.NO_APPLICATION_PROTOCOL)
        assert f"'{protocols[0]}'" in attempt.observer.failures[0].detail

    @CUTS
    @pytest.mark.parametrize(
        ("level", "groups"),
        [
            (SecurityLevel.STANDARD, "X25519:P-256"),
            (SecurityLevel.STANDARD, "MLKEM768"),
            (SecurityLevel.QUANTUM_SAFE, "X25519MLKEM768"),
        ],
    )
    def test_policy(self, world: World, level: SecurityLevel, groups: str, cut: Callable[[bytes], list[bytes]]) -> None:
        world.pq, world.level = PqPolicy.REQUIRE, level
        attempt = world.attempt(groups)
        attempt.feed(*cut(attempt.client.handshake_step()))
        attempt.refused(A.HANDSHAKE_FAILURE, FailureReason.POLICY)
        failure = attempt.observer.failures[0]
        assert failure.is_refusal
        assert failure.identity == "chat"

    def test_client_understands_the_alert(self, world: World) -> None:
        attempt = world.attempt(name="unknown.test")
        attempt.feed(attempt.client.handshake_step())
        attempt.client.receive()
        with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
            attempt.client.handshake_step()

    def test_what_the_client_sends_after_a_refusal_is_forgotten(self, world: World) -> None:
        attempt = world.attempt(name="unknown.test")
        attempt.feed(attempt.client.handshake_step(), b"more" * 1_000)
        attempt.refused(A.UNRECOGNIZED_NAME, FailureReason.UNRECOGNIZED_NAME)
        attempt.wire.peer.close()
        attempt.loop.settle()
        assert attempt.observer.calls == 1
        assert not attempt.wire.stream.is_open

    def test_detail_of_strange_protocols_can_be_printed(self, world: World) -> None:
        attempt = world.attempt()
        attempt.feed(
            hellos.record(
                hellos.Hello()
                .with_extensions(hellos.server_name(b"chat.example.org"), hellos.alpn(b"\x1b[2J\xff"))
                .message
            )
        )
        attempt.refused(A.NO_APPLICATION_PROTOCOL, FailureReason.NO_APPLICATION_PROTOCOL)
        assert attempt.observer.failures[0].detail == r"offered '\x1b[2J\xff'"


class TestChallenges:
    """A CA looks (RFC 8737): before and outside of all policy."""

    DIGEST = bytes(range(32))

    def looking(self, world: World, name: str | None = "chat.example.org", groups: str = "X25519") -> Attempt:
        context = hellos.client_context(groups)
        context.set_alpn_protocols(["acme-tls/1"])
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # nobody vouches for the certificate; what counts is in it
        return world.attempt(context, name)

    def pending(self, world: World, *names: str) -> None:
        world.challenges.follow(TlsChallenge(name, self.DIGEST) for name in names)

    @pytest.mark.parametrize("name", ["chat.example.org", "unknown.example.org"])
    @pytest.mark.parametrize("cut", [whole, byte_by_byte])
    def test_ca_without_any_hybrid_is_answered_where_hybrids_are_required(
        self, world: World, name: str, cut: Callable[[bytes], list[bytes]]
    ) -> None:
        world.pq, world.level = PqPolicy.REQUIRE, SecurityLevel.CRITICAL
        self.pending(world, name)
        attempt = self.looking(world, name)
        attempt.feed(*cut(attempt.client.handshake_step()))
        attempt.client.receive()
        attempt.feed(*cut(attempt.client.handshake_step()))
        certificate = x509.load_der_x509_certificate(attempt.client.tls.getpeercert(binary_form=True) or b"")
        assert list(alternative_names(certificate)) == [name]
        extension = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31"))
        assert isinstance(extension.value, x509.UnrecognizedExtension)
        assert (extension.critical, extension.value.value) == (True, b"\x04\x20" + self.DIGEST)
        assert attempt.client.tls.selected_alpn_protocol() == "acme-tls/1"
        assert attempt.client.read() == b""  # close_notify, and no ticket before it
        assert attempt.wire.peer_sees_end
        assert (attempt.observer.challenges, attempt.observer.calls) == ([name], 1)

    def test_request_behind_the_handshake_is_not_looked_at(self, world: World) -> None:
        self.pending(world, "chat.example.org")
        attempt = self.looking(world)
        attempt.feed(attempt.client.handshake_step())
        attempt.client.receive()
        attempt.feed(attempt.client.handshake_step() + attempt.client.sealed(b"GET / HTTP/1.1\r\n\r\n"))
        assert attempt.client.read() == b""
        assert (attempt.observer.challenges, attempt.observer.calls) == (["chat.example.org"], 1)

    @pytest.mark.parametrize("name", ["chat.example.org", None])
    def test_without_a_pending_challenge_there_is_no_such_protocol(self, world: World, name: str | None) -> None:
        self.pending(world, "files.example.org")
        attempt = self.looking(world, name)
        attempt.feed(attempt.client.handshake_step())
        attempt.refused(A.NO_APPLICATION_PROTOCOL, FailureReason.NO_APPLICATION_PROTOCOL)

    @pytest.mark.parametrize("protocols", [[], ["http/1.1"], ["acme-tls/1", "http/1.1"]])
    def test_others_see_nothing_of_it(self, world: World, protocols: list[str]) -> None:
        self.pending(world, "chat.example.org")
        context = hellos.client_context("X25519")
        if protocols:
            context.set_alpn_protocols(protocols)
        attempt = world.attempt(context)
        attempt.establish()
        assert attempt.client.tls.selected_alpn_protocol() == ("http/1.1" if protocols else None)
        assert attempt.observer.challenges == []

    def test_ca_that_does_not_like_it_is_a_handshake_that_failed(self, world: World) -> None:
        self.pending(world, "chat.example.org")
        context = hellos.client_context("X25519")
        context.set_alpn_protocols(["acme-tls/1"])
        context.verify_mode = ssl.CERT_REQUIRED
        attempt = world.attempt(context)
        attempt.feed(attempt.client.handshake_step())
        attempt.client.receive()
        with pytest.raises(ssl.SSLCertVerificationError):
            attempt.client.tls.do_handshake()
        attempt.feed(attempt.client.outgoing.read())
        assert attempt.observer.failures[0].reason is FailureReason.TLS_ERROR
        assert attempt.observer.calls == 1


def _without(index: int) -> hellos.Hello:
    kept = [part for number, part in enumerate(hellos.MINIMAL_EXTENSIONS) if number != index]
    return hellos.Hello(extensions=kept)


MESSAGE = hellos.Hello().message
LISTS_OTHER_GROUP = hellos.Hello(
    extensions=(
        hellos.supported_versions(),
        hellos.supported_groups([23]),
        hellos.key_share((29, b"k" * 32)),
        hellos.signature_algorithms(),
    )
)
TWO_SHARES = hellos.Hello(
    extensions=(
        hellos.supported_versions(),
        hellos.supported_groups([29]),
        hellos.key_share((29, b"k" * 32), (29, b"k" * 32)),
        hellos.signature_algorithms(),
    )
)
TICKET = hellos.pre_shared_key([b"t" * 100], [b"b" * 32])
MALFORMED: dict[str, tuple[bytes, AlertDescription]] = {
    "tls_1_2_only": (hellos.record(_without(0).message), A.PROTOCOL_VERSION),
    "no_groups": (hellos.record(_without(1).message), A.MISSING_EXTENSION),
    "no_key_share": (hellos.record(_without(2).message), A.MISSING_EXTENSION),
    "no_signature_algorithms": (hellos.record(_without(3).message), A.MISSING_EXTENSION),
    "extension_twice": (
        hellos.record(hellos.Hello().with_extensions(hellos.supported_groups([29])).message),
        A.ILLEGAL_PARAMETER,
    ),
    "unknown_extension_twice": (
        hellos.record(hellos.Hello().with_extensions(hellos.extension(0x6A6A), hellos.extension(0x6A6A)).message),
        A.ILLEGAL_PARAMETER,
    ),
    "share_of_a_group_not_listed": (hellos.record(LISTS_OTHER_GROUP.message), A.ILLEGAL_PARAMETER),
    "share_twice": (hellos.record(TWO_SHARES.message), A.ILLEGAL_PARAMETER),
    "ticket_not_last": (
        hellos.record(
            hellos.Hello().with_extensions(hellos.PSK_KEY_EXCHANGE_MODES, TICKET, hellos.extension(0x6A6A)).message
        ),
        A.ILLEGAL_PARAMETER,
    ),
    "ticket_without_modes": (hellos.record(hellos.Hello().with_extensions(TICKET).message), A.MISSING_EXTENSION),
    "compression": (hellos.record(hellos.Hello(compression=b"\1").message), A.ILLEGAL_PARAMETER),
    "empty_alpn": (
        hellos.record(hellos.Hello().with_extensions(hellos.extension(16, b"\0\0")).message),
        A.DECODE_ERROR,
    ),
    "no_suites": (hellos.record(hellos.Hello(cipher_suites=b"").message), A.DECODE_ERROR),
    "trailing_byte": (hellos.record(hellos.handshake(1, MESSAGE[4:] + b"x")), A.DECODE_ERROR),
    "cut_short": (hellos.record(hellos.handshake(1, MESSAGE[4:-1])), A.DECODE_ERROR),
    "empty": (hellos.record(hellos.handshake(1, b"")), A.DECODE_ERROR),
    "too_long": (hellos.record(b"\1\2\0\0" + MESSAGE[4:]), A.DECODE_ERROR),
    "empty_record": (hellos.record(b""), A.UNEXPECTED_MESSAGE),
    "record_too_long": (b"\x16\x03\x01\x50\x00" + bytes(0x5000), A.RECORD_OVERFLOW),
    "another_message": (hellos.record(hellos.handshake(2, MESSAGE[4:])), A.UNEXPECTED_MESSAGE),
    "data_behind_the_hello": (hellos.record(MESSAGE + b"\1"), A.UNEXPECTED_MESSAGE),
    "application_data": (hellos.record(b"hello", 23), A.UNEXPECTED_MESSAGE),
    "change_cipher_spec_first": (hellos.record(b"\1", 20) + hellos.record(MESSAGE), A.UNEXPECTED_MESSAGE),
    "change_cipher_spec_inside": (
        hellos.record(MESSAGE[:10]) + hellos.record(b"\1", 20) + hellos.record(MESSAGE[10:]),
        A.UNEXPECTED_MESSAGE,
    ),
}
FOREIGN: dict[str, tuple[bytes, AlertDescription]] = {
    "http": (b"GET / HTTP/1.1\r\nHost: chat.example.org\r\n\r\n", A.UNEXPECTED_MESSAGE),
    "http_2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", A.UNEXPECTED_MESSAGE),
    "ssh": (b"SSH-2.0-OpenSSH_9.2\r\n", A.UNEXPECTED_MESSAGE),
    "ssl_2": (bytes.fromhex("802e010002001500000010") + bytes(40), A.PROTOCOL_VERSION),
    "zeros": (bytes(64), A.UNEXPECTED_MESSAGE),
}


class TestMalformedHello:
    @CUTS
    @pytest.mark.parametrize("case", MALFORMED)
    def test_gets_its_alert(self, world: World, case: str, cut: Callable[[bytes], list[bytes]]) -> None:
        data, alert = MALFORMED[case]
        if cut is one_byte_records:
            cut = whole  # these are cut by the record already
        attempt = world.attempt()
        attempt.feed(*cut(data))
        is_old = case == "tls_1_2_only"
        attempt.refused(alert, FailureReason.OLD_VERSION if is_old else FailureReason.MALFORMED_HELLO)
        assert attempt.observer.failures[0].detail
        assert attempt.observer.failures[0].offered_groups == ()

    @pytest.mark.parametrize("cut", [whole, byte_by_byte])
    @pytest.mark.parametrize("case", FOREIGN)
    def test_other_protocols_are_told_from_it(
        self, world: World, case: str, cut: Callable[[bytes], list[bytes]]
    ) -> None:
        data, alert = FOREIGN[case]
        attempt = world.attempt()
        attempt.feed(*cut(data))
        if cut is byte_by_byte and case == "ssl_2":
            alert = A.UNEXPECTED_MESSAGE  # two bytes are enough for us, and too few for OpenSSL
        attempt.refused(alert, FailureReason.NOT_TLS)

    def test_alert_of_the_client_is_the_end(self, world: World) -> None:
        attempt = world.attempt()
        attempt.feed(b"\x15\x03\x01\x00\x02\x02\x28")
        attempt.refused(A.UNEXPECTED_MESSAGE, FailureReason.MALFORMED_HELLO)
        assert str(HelloFailure.CLIENT_ALERT) not in attempt.observer.failures[0].detail

    def test_hello_over_the_limit_is_refused(self, world: World) -> None:
        world.hello_bytes = 1_000
        attempt = world.attempt("X25519MLKEM768")
        data = attempt.client.handshake_step()
        attempt.feed(data[:1_000])
        assert attempt.observer.calls == 0  # the record is not complete, and only with it anything is decided
        attempt.feed(data[1_000:])
        attempt.refused(A.DECODE_ERROR, FailureReason.MALFORMED_HELLO)

    def test_hello_of_many_tiny_records_is_bounded_on_the_wire(self, world: World) -> None:
        world.wire_bytes = 1_000
        attempt = world.attempt("X25519")
        attempt.feed(*one_byte_records(attempt.client.handshake_step()))
        attempt.refused(A.RECORD_OVERFLOW, FailureReason.MALFORMED_HELLO)

    def test_so_is_what_follows_it(self, world: World) -> None:
        world.wire_bytes = 1_000
        attempt = world.attempt(SHARE_OF_X25519_ONLY)
        attempt.feed(attempt.client.handshake_step())
        retry = attempt.client.receive()
        assert len(retry) > 90
        attempt.feed(attempt.client.handshake_step())
        attempt.refused(A.RECORD_OVERFLOW, FailureReason.MALFORMED_HELLO)


class TestErrorsOfTheSecondFlight:
    def test_spoiled_finished_gets_a_sealed_alert_that_the_client_reads(self, world: World) -> None:
        attempt = world.attempt()
        attempt.feed(attempt.client.handshake_step())
        attempt.client.receive()
        data = bytearray(attempt.client.handshake_step())
        data[-1] ^= 1
        attempt.feed(bytes(data))
        assert attempt.observer.failures[0].reason is FailureReason.TLS_ERROR
        assert attempt.observer.failures[0].alert is None
        assert "record layer failure" in attempt.observer.failures[0].detail.lower().replace("_", " ")
        with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
            attempt.client.read()
        assert attempt.client.sees_end

    def test_client_that_does_not_trust_us_says_so(self, world: World, tmp_path: Path) -> None:
        context = Authority(tmp_path).client_context()
        attempt = world.attempt(context)
        attempt.feed(attempt.client.handshake_step())
        attempt.client.receive()
        with pytest.raises(ssl.SSLCertVerificationError):
            attempt.client.handshake_step()
        attempt.feed(attempt.client.outgoing.read())
        (failure,) = attempt.observer.failures
        assert failure.reason is FailureReason.TLS_ERROR
        assert "UNKNOWN_CA" in failure.detail
        assert failure.server_name == "chat.example.org"
        assert failure.identity == "chat"

    def test_client_that_says_goodbye_instead(self, world: World) -> None:
        attempt = world.attempt()
        attempt.feed(attempt.client.handshake_step())
        attempt.feed(b"\x15\x03\x03\x00\x02\x01\x00")
        assert attempt.observer.calls == 1
        assert attempt.observer.failures[0].reason is FailureReason.TLS_ERROR
        attempt.loop.advance(LINGER.seconds)
        assert not attempt.wire.stream.is_open

    def test_second_hello_that_ignores_the_retry(self, world: World) -> None:
        attempt = world.attempt(SHARE_OF_X25519_ONLY)
        first = attempt.client.handshake_step()
        attempt.feed(first)
        attempt.client.receive()
        attempt.feed(first)
        (failure,) = attempt.observer.failures
        assert failure.reason is FailureReason.TLS_ERROR
        assert failure.alert is A.ILLEGAL_PARAMETER
        assert attempt.wire.peer_sees_end or attempt.wire.received()

    def test_no_cipher_suite_in_common(self, world: World) -> None:
        world.level = SecurityLevel.HIGH
        context = hellos.client_context("X25519MLKEM768")
        libssl.set_ciphersuites(context, "TLS_AES_128_GCM_SHA256")
        attempt = world.attempt(context)
        attempt.feed(attempt.client.handshake_step())
        attempt.refused(A.HANDSHAKE_FAILURE, FailureReason.NO_COMMON_SUITE)

    def test_no_group_in_common(self, world: World) -> None:
        attempt = world.attempt("X448")
        attempt.feed(attempt.client.handshake_step())
        attempt.refused(A.HANDSHAKE_FAILURE, FailureReason.NO_COMMON_GROUP)

    def test_next_connection_starts_on_an_empty_driver(self, world: World) -> None:
        bad, good = world.attempt(), world.attempt()
        hello = bad.client.handshake_step()
        bad.feed(hello)
        bad.feed(b"\x17\x03\x03\x00\x20" + bytes(32) + b"rubbish behind it")
        good.establish()
        assert bad.observer.failures[0].reason is FailureReason.TLS_ERROR


class TestTheClientLeaves:
    def flights(self, world: World, groups: str) -> list[bytes]:
        """What a client sends, flight by flight."""
        attempt = world.attempt(groups)
        sent: list[bytes] = []
        while not attempt.observer.results:
            attempt.client.receive()
            sent.append(attempt.client.handshake_step())
            attempt.feed(sent[-1])
        attempt.observer.streams[0].abort()
        attempt.loop.settle()
        return sent

    @pytest.mark.parametrize("groups", ["X25519", SHARE_OF_X25519_ONLY])
    def test_at_every_byte_by_a_fin_or_a_reset(self, world: World, groups: str) -> None:
        world.groups = (("X25519MLKEM768",), ("X25519",))
        policy = world.policy()
        lengths = [len(flight) for flight in self.flights(world, groups)]
        for flight, length in enumerate(lengths):
            step = 1 if length < 500 else 97
            for cut in range(0, length, step):
                attempt = world.attempt(groups, policy=policy)
                for _ in range(flight):
                    attempt.feed(attempt.client.handshake_step())
                    attempt.client.receive()
                attempt.feed(attempt.client.handshake_step()[:cut])
                if cut % 2:
                    attempt.wire.peer.close()
                else:
                    attempt.wire.peer.shutdown(1)
                attempt.loop.settle()
                assert attempt.observer.calls == 1
                assert attempt.observer.failures[0].reason is FailureReason.CLIENT_LEFT
                assert not attempt.wire.stream.is_open
                assert not attempt.wire.is_watched
                assert not attempt.loop.timers
                attempt.wire.close()

    def test_while_the_flight_is_sent(self, world: World) -> None:
        attempt = world.attempt()
        attempt.wire.sock.send_error = broken_pipe()
        attempt.feed(attempt.client.handshake_step())
        (failure,) = attempt.observer.failures
        assert failure.reason is FailureReason.CLIENT_LEFT
        assert "Broken pipe" in failure.detail
        assert failure.server_name == "chat.example.org"

    def test_while_its_refusal_is_sent(self, world: World) -> None:
        attempt = world.attempt(name="unknown.test")
        attempt.wire.sock.send_error = broken_pipe()
        attempt.feed(attempt.client.handshake_step())
        assert attempt.observer.calls == 1
        assert attempt.observer.failures[0].reason is FailureReason.UNRECOGNIZED_NAME


class TestDeadline:
    @pytest.mark.parametrize("sent", [0, 1, 5, 100])
    def test_client_that_dawdles_is_left(self, world: World, sent: int) -> None:
        attempt = world.attempt()
        attempt.feed(attempt.client.handshake_step()[:sent])
        assert attempt.handshake.deadline == attempt.loop.now + 10
        attempt.handshake.deadline_passed(attempt.handshake.deadline)
        assert attempt.handshake.deadline == NEVER
        attempt.refused(None, FailureReason.TIMEOUT)

    def test_after_the_flight_too(self, world: World) -> None:
        attempt = world.attempt()
        attempt.feed(attempt.client.handshake_step())
        attempt.handshake.deadline_passed(attempt.handshake.deadline)
        attempt.client.receive()
        assert attempt.client.sees_end
        attempt.feed(attempt.client.handshake_step())
        assert attempt.observer.calls == 1
        assert attempt.observer.failures[0].reason is FailureReason.TIMEOUT

    def test_bytes_that_come_too_late_are_forgotten(self, world: World) -> None:
        attempt = world.attempt()
        attempt.handshake.deadline_passed(0)
        attempt.handshake.data_received(memoryview(attempt.client.handshake_step()))
        attempt.handshake.eof_received()
        attempt.handshake.pause_writing()
        attempt.handshake.resume_writing()
        assert attempt.observer.calls == 1


def test_result_without_a_known_group_says_so(world: World) -> None:
    """A provider's group would be known; this is for what nobody foresaw."""
    attempt = world.attempt()
    attempt.establish()
    assert replace(attempt.observer.results[0], group=None).group_name == "unknown"


class TestClientCertificates:
    ROOT = ClientAuthority("Root")

    def client(self, files: ClientFiles | None) -> ssl.SSLContext:
        context = hellos.client_context("X25519MLKEM768")
        if files is not None:
            context.load_cert_chain(files.certificate, files.key)
        return context

    @CUTS
    def test_what_a_client_has_shown_is_a_fact(
        self, world: World, tmp_path: Path, cut: Callable[[bytes], list[bytes]]
    ) -> None:
        world.clients, bot = trust(self.ROOT), self.ROOT.issue(tmp_path, "bot")
        attempt = world.attempt(self.client(bot))
        attempt.establish(cut)
        shown = attempt.observer.results[0].client
        assert shown is not None
        assert (shown.leaf, shown.subject) == (bot.der, "CN=bot")

    def test_client_that_shows_none_is_known_by_that(self, world: World) -> None:
        for world.clients in (None, trust(self.ROOT, is_required=False)):
            attempt = world.attempt(self.client(None))
            attempt.establish()
            assert attempt.observer.results[0].client is None

    def test_refusal_says_whom_the_certificate_names(self, world: World, tmp_path: Path) -> None:
        world.clients = trust(self.ROOT)
        stranger = ClientAuthority("Stranger").issue(tmp_path, "bot")
        for files, reason, detail in (
            (stranger, FailureReason.CLIENT_CERTIFICATE_UNTRUSTED, "unable to get local issuer certificate: CN=bot"),
            (None, FailureReason.CLIENT_CERTIFICATE_MISSING, "the client showed no certificate"),
        ):
            attempt = world.attempt(self.client(files))
            for _ in range(2):
                attempt.feed(attempt.client.handshake_step())
                attempt.client.receive()
            with pytest.raises(ssl.SSLError, match="ALERT"):
                attempt.client.read()
            (failure,) = attempt.observer.failures
            assert (failure.reason, failure.detail, failure.identity) == (reason, detail, "chat")
            assert failure.alert in (AlertDescription.UNKNOWN_CA, AlertDescription.CERTIFICATE_REQUIRED)
            assert attempt.wire.peer_sees_end

    def test_certificate_that_only_openssl_can_read_opens_nothing(self, world: World, tmp_path: Path) -> None:
        world.clients, bot = trust(self.ROOT), self.ROOT.issue(tmp_path, "bot")
        bot.certificate.write_bytes(self.ROOT.of_another_version(bot))
        attempt = world.attempt(self.client(bot))
        for _ in range(2):
            attempt.feed(attempt.client.handshake_step())
            attempt.client.receive()
        attempt.loop.settle()
        (failure,) = attempt.observer.failures
        assert failure.reason is FailureReason.CLIENT_CERTIFICATE_REFUSED
        assert "version" in failure.detail
        assert not attempt.observer.results
        assert attempt.wire.peer_sees_end


class TestSlowGroups:
    """A key exchange that is too slow for the loop: in a thread, at a rate, or not at all."""

    SLOW, BOTH = "X25519MLKEM768", "X25519MLKEM768:X25519"

    @pytest.fixture(autouse=True)
    def slow(self, world: World) -> None:
        world.groups, world.slow = (("X25519MLKEM768",), ("X25519", "secp256r1")), ("x25519mlkem768",)

    @staticmethod
    def begun(world: World, groups: str = SLOW, observer: RecordingObserver | None = None) -> Attempt:
        """A hello was sent, and the thread works for it."""
        attempt = world.attempt(groups, observer=observer)
        attempt.feed(attempt.client.handshake_step())
        assert len(world.thread.running) == 1
        assert attempt.wire.received() == b""
        return attempt

    @staticmethod
    def finished(attempt: Attempt) -> Established:
        """The flight has come; the handshake continues without a thread."""
        attempt.establish()
        (result,) = attempt.observer.results
        return result

    def test_flight_comes_from_the_thread(self, world: World) -> None:
        attempt = self.begun(world)
        attempt.feed(b"")
        world.thread.finish()
        assert attempt.client.receive()
        assert self.finished(attempt).group is KNOWN["x25519mlkem768"]
        assert attempt.observer.token_turns == ["asked", "answered"]
        assert attempt.observer.slow_exchanges == 1

    def test_client_of_another_group_never_needs_it(self, world: World) -> None:
        attempt = world.attempt("X25519:secp256r1")
        attempt.establish()
        assert attempt.observer.results[0].group is KNOWN["x25519"]
        assert attempt.observer.slow_exchanges == 0
        assert attempt.observer.token_turns == []

    def test_share_is_asked_for_and_computed_there(self, world: World) -> None:
        attempt = self.begun(world, SHARE_OF_X25519_ONLY)
        world.thread.finish()
        assert attempt.client.receive()
        attempt.feed(attempt.client.handshake_step())
        assert len(world.thread.running) == 1
        world.thread.finish()
        assert attempt.client.receive()
        assert self.finished(attempt).outcome is HandshakeOutcome.HYBRID_AFTER_RETRY
        assert attempt.observer.slow_exchanges == 1

    @pytest.mark.parametrize("when", ["rate", "queue", "crowded", "late"])
    def test_beyond_the_rate_or_the_queue_a_client_gets_another_group(self, world: World, when: str) -> None:
        observer = RecordingObserver()
        observer.takes_slow_exchange = when != "rate"
        world.thread.refuses = JobRefusal.TOO_LATE if when == "queue" else None
        if when in ("crowded", "late"):
            self.begun(world)
        attempt = world.attempt(self.BOTH, observer=observer)
        attempt.feed(attempt.client.handshake_step())
        if when == "crowded":
            world.thread.crowd_out()
        elif when == "late":
            world.thread.give_up_waiting()
            world.loop.settle()
        assert attempt.client.receive()
        attempt.establish()
        assert observer.results[0].group is KNOWN["x25519"]
        assert observer.results[0].outcome is HandshakeOutcome.NOT_REQUIRED

    @pytest.mark.parametrize("policy", [PqPolicy.REQUIRE, PqPolicy.PREFER])
    def test_client_that_cannot_have_another_group_is_refused(self, world: World, policy: PqPolicy) -> None:
        world.pq = policy
        observer = RecordingObserver()
        observer.takes_slow_exchange = False
        attempt = world.attempt(self.BOTH if policy is PqPolicy.REQUIRE else self.SLOW, observer=observer)
        attempt.feed(attempt.client.handshake_step())
        attempt.refused(AlertDescription.INTERNAL_ERROR, FailureReason.SLOW_GROUPS)
        assert "x25519mlkem768" in observer.failures[0].detail.lower()
        assert not world.thread.running

    def test_who_was_asked_for_a_share_cannot_have_another_group(self, world: World) -> None:
        attempt = self.begun(world, SHARE_OF_X25519_ONLY)
        world.thread.finish()
        assert attempt.client.receive()
        world.thread.refuses = JobRefusal.QUEUE_FULL
        attempt.feed(attempt.client.handshake_step())
        attempt.refused(AlertDescription.INTERNAL_ERROR, FailureReason.SLOW_GROUPS)

    def test_client_that_leaves_gives_its_place_to_another_one(self, world: World) -> None:
        first, second = self.begun(world), world.attempt(self.SLOW)
        second.feed(second.client.handshake_step())
        assert len(world.thread.waiting) == 1
        for attempt in (second, first):
            attempt.wire.peer.close()
            world.loop.settle()
            assert attempt.observer.failures[0].reason is FailureReason.CLIENT_LEFT
        assert not world.thread.waiting
        world.thread.finish()
        assert first.observer.calls == 1

    def test_hello_that_openssl_refuses_gets_its_alert(self, world: World) -> None:
        attempt = world.attempt(self.SLOW)
        hello = bytearray(attempt.client.handshake_step())
        share = bytes(hello).index(b"\x11\xec\x04\xc0") + 4
        hello[share : share + 1_184] = b"\xff" * 1_184  # no key of ML-KEM
        attempt.feed(bytes(hello))
        world.thread.finish()
        attempt.refused(AlertDescription.ILLEGAL_PARAMETER, FailureReason.TLS_ERROR)

    def test_fault_of_the_thread_is_no_silence(self, world: World) -> None:
        self.begun(world)
        world.loop.failures = []
        world.thread.finish(RuntimeError("broken"))
        assert [str(one) for one in world.loop.failures] == ["broken"]

    def test_ticket_of_a_fast_handshake_is_good_for_a_slow_one(self, world: World) -> None:
        first = world.attempt("X25519")
        stream = first.establish()
        stream.write(b"x")
        assert first.client.read() == b"x"
        context, session = first.client.tls.context, first.client.tls.session
        libssl.set_groups(context, self.SLOW)
        again = world.attempt(context, session=session)
        again.feed(again.client.handshake_step())
        world.thread.finish()
        assert again.client.receive()
        assert self.finished(again).is_resumed

    def test_listener_without_another_group_computes_nothing_on_the_loop(self, world: World) -> None:
        world.groups = (("X25519MLKEM768",),)
        attempt = self.begun(world, SHARE_OF_X25519_ONLY)
        world.thread.finish()
        assert attempt.client.receive()
