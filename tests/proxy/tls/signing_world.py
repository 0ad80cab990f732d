"""Handshakes with keys that pass for keys in tokens, whose threads the test moves."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from certs.keys.signing_key import KeyAlgorithm, KeyFamily
from config.schema import CredentialPreference, HttpProtocol, PqPolicy, SecurityLevel
from proxy.signing.race import SigningServices
from proxy.tls.handshake.challenges import PendingChallenges
from proxy.tls.handshake.flight_makers import FlightServices
from proxy.tls.handshake.group_choice import cipher_suites, group_preference
from proxy.tls.handshake.handshake import Handshake
from proxy.tls.handshake.handshake_policy import HandshakePolicy
from proxy.tls.handshake.identities import IdentityTable, ServerIdentity
from proxy.tls.openssl import libssl
from proxy.tls.openssl.context import (
    ContextCredential,
    TlsSettings,
    build_alert_context,
    build_server_context,
)
from proxy.tls.openssl.driver import TlsDriver, new_driver
from proxy.tls.openssl.stand_in import stand_in
from proxy.tls.openssl.step_queue import StepQueue
from proxy.tls.openssl.stream import TlsLimits, TlsStream
from proxy.tls.openssl.tickets import KEY_NAME_BYTES, TICKET_KEY_BYTES, TicketSecrets, ticket_key
from proxy.tls.tokens.signing_plan import Signer, SigningPlan, TokenCredential
from proxy.tls.tokens.token_key import KeyContext, TokenKey
from proxy.tls.wire.groups import KNOWN
from proxy.tls.wire.protocols import ProtocolOffer
from proxy.tls.wire.signature_schemes import ranking, sigalgs_list
from proxy.tls.wire.waiting_data import RECORD_BYTES
from tests.certificates import CertificateFiles
from tests.fakes import FakeLoop, RecordingObserver, Wire
from tests.fakes_signing import HandExecutor, HandToken, token_key
from tests.proxy.tls import hellos
from tests.proxy.tls.clients import TlsClient
from tests.proxy.tls.drivers import is_empty

RSA = KeyAlgorithm(KeyFamily.RSA, 2_048)
P256 = KeyAlgorithm(KeyFamily.ECDSA, 256)
ALGORITHMS = sigalgs_list(CredentialPreference.CLASSICAL)
SECRETS = TicketSecrets(bytes(32))
RETRIED_GROUPS = "X25519MLKEM768:*X25519"
SECONDS = 10.0
"""Of a handshake."""


@dataclass(frozen=True)
class FileCredential:
    """A credential as contexts ask for one."""

    certificate_path: Path
    key_pem_path: Path


@dataclass
class Conversation:
    """One client, and its handshake."""

    loop: FakeLoop
    wire: Wire
    client: TlsClient
    handshake: Handshake
    observer: RecordingObserver
    driver: TlsDriver

    def say(self, data: bytes | None = None) -> None:
        """Send what the client has to say next, or this."""
        self.wire.peer.sendall(self.client.handshake_step() if data is None else data)
        self.loop.settle()
        assert is_empty(self.driver)

    def hear(self) -> bytes:
        """Take what has come for the client."""
        return self.client.receive()

    def finish(self) -> TlsStream:
        """Hear the server's flight, and answer it."""
        assert self.hear()
        self.say()
        assert self.client.is_established
        (stream,) = self.observer.streams
        return stream


@dataclass
class World:
    """A listener with one identity, whose key is in the tokens plexi and spare."""

    loop: FakeLoop
    files: CertificateFiles
    plexi: HandToken
    spare: HandToken
    keys: tuple[TokenKey, ...]
    groups: tuple[tuple[str, ...], ...] | None = None
    tickets: TicketSecrets = SECRETS
    driver: TlsDriver = field(default_factory=new_driver)
    wires: list[Wire] = field(default_factory=list)
    rsa: CertificateFiles | None = None
    """An RSA key in a file beside the one in tokens."""
    protocols: tuple[HttpProtocol, ...] = (HttpProtocol.HTTP_1,)
    slow: tuple[str, ...] = ()
    """Groups whose key exchange passes for a slow one."""
    opens_tickets: bool = True
    """Whether tickets can be opened whose key name is ours."""

    @classmethod
    def make(cls, files: CertificateFiles, threads: int = 2) -> "World":
        """Two tokens that work."""
        loop = FakeLoop()
        tokens = [HandToken.make(loop, name, threads) for name in ("plexi", "spare")]
        keys = tuple(token_key(files, one.token.name) for one in tokens)
        return cls(loop, files, tokens[0], tokens[1], keys)

    def __post_init__(self) -> None:
        """One queue of steps for all conversations, and one thread for slow groups, as they are of one loop."""
        self._steps = StepQueue(self.loop.call_soon)
        self.thread = HandExecutor(self.loop, threads=1)

    def policy(self) -> HandshakePolicy:
        """What the listener demands."""
        known = group_preference(SecurityLevel.STANDARD, PqPolicy.PREFER, self.groups, KNOWN)
        preference = replace(known, slow={KNOWN[name].code_point: 0.05 for name in self.slow})
        settings = TlsSettings(preference.openssl_list(), cipher_suites(SecurityLevel.STANDARD), self.protocols)
        identity = self._identity(settings)
        left = preference.without_slow
        if self.slow and left is not None:
            part = replace(settings, groups=left.openssl_list(), all_groups=settings.groups)
            identity.fast = self._identity(part)
        return HandshakePolicy(
            pq=PqPolicy.PREFER,
            preference=preference,
            identities=IdentityTable([identity], None),
            hello_bytes=65_536,
            wire_bytes=200_000,
            alert_context=build_alert_context(),
            tls_limits=TlsLimits(32),
            protocols=ProtocolOffer.of_http(self.protocols),
        )

    def _identity(self, settings: TlsSettings) -> ServerIdentity:
        secret = ticket_key(self.tickets.current, "chat", settings.fingerprint)
        if not self.opens_tickets:
            secret = secret[:KEY_NAME_BYTES] + bytes(TICKET_KEY_BYTES - KEY_NAME_BYTES)
        contexts = tuple(KeyContext(key, settings, ALGORITHMS, secret) for key in self.keys)
        credential = TokenCredential(contexts)
        kinds = [P256]
        signers: list[Signer] = [credential]
        shown: list[ContextCredential] = [stand_in(P256)]
        if self.rsa is not None:
            in_file = FileCredential(self.rsa.certificate, self.rsa.key)
            kinds.append(RSA)
            signers.append(build_server_context("chat", [in_file], ALGORITHMS, settings, self.tickets).current)
            shown.append(in_file)
        ranked = ranking(CredentialPreference.CLASSICAL, kinds)
        plan = SigningPlan(tuple((scheme, signers[position]) for scheme, position in ranked))
        context = build_server_context("chat", shown, ALGORITHMS, settings, self.tickets)
        if not self.opens_tickets:
            libssl.set_ticket_key(context.current, secret)
        return ServerIdentity("chat", frozenset({"chat.example.org"}), context, plan)

    def services(self) -> FlightServices:
        """The tokens, and the driver of the loop."""
        tokens = {one.token.name: one.token for one in (self.plexi, self.spare)}
        services = FlightServices.of(self.driver, self._steps, SigningServices(self.loop, self.loop.time, tokens))
        services.slow.threads = self.thread
        return services

    def conversation(
        self,
        groups: str = "X25519MLKEM768:X25519",
        client: TlsClient | None = None,
        policy: HandshakePolicy | None = None,
    ) -> Conversation:
        """A client comes."""
        wire = Wire(self.loop, read_bytes=RECORD_BYTES)
        self.wires.append(wire)
        observer = RecordingObserver()
        deadline = self.loop.now + SECONDS
        handshake = Handshake(policy or self.policy(), self.services(), observer, deadline, PendingChallenges(), b"net")
        handshake.begin(wire.stream)
        if client is None:
            client = TlsClient(wire.peer, hellos.client_context(groups))
        else:
            client.sock = wire.peer
        return Conversation(self.loop, wire, client, handshake, observer, self.driver)

    def close(self) -> None:
        """Give the sockets back."""
        for wire in self.wires:
            wire.end()
