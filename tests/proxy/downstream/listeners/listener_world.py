"""One listener on a real socket, with everything around it, and clients that the test plays."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from config.schema import CredentialPreference, HttpProtocol, PqPolicy, SecurityLevel
from proxy.downstream.listeners.listener import Listener
from proxy.downstream.listeners.listening import ListenerRuntime, ListenerServices
from proxy.downstream.service.service import HttpService
from proxy.limits.connections import ListenerLimits
from proxy.limits.rates import Rate
from proxy.limits.scarcity import ResourceLimits, Scarcity
from proxy.net.shared_io import SharedIo
from proxy.observe.counts.counters import Counters
from proxy.observe.events.clients import HandshakeFailed
from proxy.observe.turned_away import TurnedAway
from proxy.signing.race import SigningServices
from proxy.tls.handshake.challenges import PendingChallenges
from proxy.tls.handshake.flight_makers import FlightServices
from proxy.tls.handshake.group_choice import cipher_suites, group_preference
from proxy.tls.handshake.handshake_policy import HandshakePolicy
from proxy.tls.handshake.identities import IdentityTable, ServerIdentity
from proxy.tls.openssl.context import TlsSettings, build_alert_context, build_server_context
from proxy.tls.openssl.driver import new_driver
from proxy.tls.openssl.step_queue import StepQueue
from proxy.tls.openssl.stream import TlsLimits
from proxy.tls.openssl.tickets import TicketSecrets
from proxy.tls.wire.groups import KNOWN
from proxy.tls.wire.protocols import ProtocolOffer
from proxy.tls.wire.signature_schemes import sigalgs_list
from tests.certificates import Authority
from tests.fakes import LINGER, FakeFigures, FakeLoop
from tests.fakes_http import Conversation
from tests.proxy.tls import hellos
from tests.proxy.tls.clients import TlsClient

LIMITS = ListenerLimits(
    connections=100,
    connections_per_address=50,
    handshakes_in_flight=20,
    handshakes_per_address=20,
    handshake_rate=Rate.of(10.0, 1_000),
    handshake_seconds=10.0,
)


@dataclass(frozen=True)
class Credential:
    """A credential as contexts ask for one."""

    certificate_path: Path
    key_pem_path: Path


@pytest.fixture(scope="module")
def credential(tmp_path_factory: pytest.TempPathFactory) -> Credential:
    files = Authority(tmp_path_factory.mktemp("credentials")).issue("chat", ("chat.test",))
    return Credential(files.certificate, files.key)


def runtime(
    credential: Credential,
    pq: PqPolicy = PqPolicy.PREFER,
    name: str = "public",
    protocols: tuple[HttpProtocol, ...] = (HttpProtocol.HTTP_1,),
) -> ListenerRuntime:
    preference = group_preference(SecurityLevel.STANDARD, pq, None, KNOWN)
    context = build_server_context(
        "chat",
        [credential],
        sigalgs_list(CredentialPreference.CLASSICAL),
        TlsSettings(preference.openssl_list(), cipher_suites(SecurityLevel.STANDARD), protocols),
        TicketSecrets(bytes(32)),
    )
    identity = ServerIdentity("chat", frozenset({"chat.test"}), context)
    policy = HandshakePolicy(
        pq,
        preference,
        IdentityTable([identity], None),
        65_536,
        400_000,
        build_alert_context(),
        TlsLimits(32),
        ProtocolOffer.of_http(protocols),
    )
    return ListenerRuntime(name, policy, cipher_suites(SecurityLevel.STANDARD), LIMITS, (), LINGER)


class FailingSocket(socket.socket):
    """A listening socket whose `accept` fails with what the test puts there."""

    errors: list[OSError]

    def _accept(self) -> tuple[int, object]:
        """Fail, or accept."""
        if self.errors:
            raise self.errors.pop(0)
        accepted: tuple[int, object] = super()._accept()  # type: ignore[misc]
        return accepted


@dataclass
class World:
    """One listener on a real socket, and everything that it shares with others."""

    loop: FakeLoop
    listener: Listener
    counters: Counters
    http: HttpService
    conversation: Conversation
    records: list[HandshakeFailed]
    listening: FailingSocket
    challenges: PendingChallenges
    events: list[tuple[dict[str, Any], str]]
    clients: list[TlsClient] = field(default_factory=list)

    def connect(self, groups: str = "X25519", name: str | None = "chat.test") -> TlsClient:
        """A client whose connection was accepted or refused."""
        sock = socket.create_connection(self.listening.getsockname())
        sock.settimeout(0)
        self.clients.append(TlsClient(sock, hellos.client_context(groups), name))
        self.loop.settle()
        return self.clients[-1]

    def established(self, count: int) -> list[TlsClient]:
        """Clients that are connected and have not asked for anything."""
        clients = [self.connect() for _ in range(count)]
        for client in clients:
            client.establish(self.loop)
        return clients

    def answered(self) -> TlsClient:
        """A client that has its flight, and does not answer."""
        client = self.connect()
        client.sock.send(client.handshake_step())
        self.loop.settle()
        return client

    @property
    def accepting(self) -> set[Any]:
        """The sockets on which it accepts."""
        return {sock for sock in self.loop.readers if isinstance(sock, socket.socket)}

    def leave(self, client: TlsClient) -> None:
        """Close a client's socket."""
        client.sock.close()
        self.loop.settle()

    def limit(self, **limits: Any) -> None:
        """Change limits."""
        self.listener.runtime = replace(self.listener.runtime, limits=replace(LIMITS, **limits))

    def is_refused(self, client: TlsClient) -> bool:
        """Whether the connection was closed without a byte."""
        return client.receive() == b"" and (client.sees_end or client.is_reset)

    def is_ended(self, client: TlsClient) -> bool:
        """Whether the connection was closed behind what was sent."""
        while client.receive():
            pass
        return client.sees_end or client.is_reset

    @property
    def failures(self) -> dict[str, int]:
        """Failures by reason."""
        return {str(entry["reason"]): int(entry["count"]) for entry in self.counters.snapshot()["failures"]}

    @property
    def handshakes(self) -> dict[tuple[str, str], int]:
        """Handshakes by identity and outcome."""
        return {
            (str(entry["identity"]), str(entry["outcome"])): int(entry["count"])
            for entry in self.counters.snapshot()["handshakes"]
        }


@pytest.fixture
def world(credential: Credential) -> Iterator[World]:
    conversation = Conversation()
    loop, http = conversation.loop, conversation.service
    counters = http.counters
    records: list[HandshakeFailed] = []
    listening = FailingSocket(socket.AF_INET, socket.SOCK_STREAM)
    listening.errors = []
    listening.bind(("127.0.0.1", 0))
    listening.listen(100)
    listening.settimeout(0)
    events: list[tuple[dict[str, Any], str]] = []
    turned_away = TurnedAway(loop, counters.failure, lambda event: events.append((event.as_json(), event.sentence())))
    scarcity = Scarcity(loop, FakeFigures(), http, turned_away.add)
    scarcity.start(ResourceLimits(descriptor_reserve=100, memory_bytes=1_000_000))
    challenges = PendingChallenges()
    services = ListenerServices(
        SharedIo(loop),
        conversation.deadlines,
        http,
        counters,
        FlightServices.of(new_driver(), StepQueue(loop.call_soon), SigningServices(loop, loop.time, {})),
        records.append,
        scarcity,
        turned_away,
        challenges=challenges,
        tell=lambda event: events.append((event.as_json(), event.sentence())),
    )
    listener = Listener(runtime(credential), services)
    listener.accept_on([listening])
    world = World(loop, listener, counters, http, conversation, records, listening, challenges, events)
    yield world
    listener.accept_on(())
    turned_away.stop()
    for client in world.clients:
        client.sock.close()
    loop.settle()
    loop.advance(200)
