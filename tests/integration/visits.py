"""A program that counts the work for a connection: its handshake, one request, its end.

The connections are real, on a loop that waits for nothing. What the loop calls is counted; the loop
itself is not, and neither are the clients, which are in the same process. It runs under callgrind,
with the library of `callgrind_marks.c` as its argument and a directory for certificates. Callgrind
writes one file for each of `KINDS`. The program prints which code ran.
"""

import ctypes
import gc
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.schema import CredentialPreference, HttpProtocol, PqPolicy, SecurityLevel
from proxy.downstream.listeners.listener import Listener
from proxy.downstream.listeners.listening import ListenerRuntime, ListenerServices
from proxy.limits.connections import ListenerLimits
from proxy.limits.rates import Rate
from proxy.limits.scarcity import ResourceLimits, Scarcity
from proxy.limits.shared import SharedTable
from proxy.net.shared_io import SharedIo
from proxy.observe.turned_away import TurnedAway
from proxy.processes.hot_path import hot_path
from proxy.signing.race import SigningServices
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
from tests.fakes import LINGER, FakeFigures, FakeLoop, ready_of
from tests.fakes_http import Conversation, request
from tests.proxy.tls.clients import TlsClient

VISITS: Final = 16
KINDS: Final = ("full handshake", "resumed")

_LEVEL: Final = SecurityLevel.STANDARD
_LIMITS: Final = ListenerLimits(100, 50, 20, 20, Rate.of(1_000.0, 1_000), 10.0)
_COLUMNS: Final = 3
_PROTOCOLS: Final = (HttpProtocol.HTTP_1,)


@dataclass(frozen=True)
class Credential:
    """A credential as contexts ask for one."""

    certificate_path: Path
    key_pem_path: Path


class CountedLoop(FakeLoop):
    """Marks where each of its calls begins and ends."""

    def __init__(self, mark: Callable[[], object]) -> None:
        super().__init__()
        self._mark = mark

    def turn(self) -> bool:
        """The same turn, without writers, as the kernel takes all that is written here."""
        ready, self.ready = self.ready, []
        readable, _ = ready_of(self.readers)
        for callback in (
            *(self.readers[one] for one in readable),
            *(handle._run for handle in ready if not handle.cancelled()),
        ):
            self._mark()
            callback()
            self._mark()
        return bool(ready or readable)


def visits(directory: Path, mark: Callable[[], object]) -> list[Callable[[], None]]:
    """Listen. Returns functions that make `VISITS` visits of each of `KINDS`.

    They call `mark` where our work begins and ends.
    """
    authority = Authority(directory)
    files = authority.issue("chat", ("chat.test",))
    talk = Conversation(loop=CountedLoop(mark))
    loop, http = talk.loop, talk.service
    preference = group_preference(_LEVEL, PqPolicy.PREFER, None, KNOWN)
    context = build_server_context(
        "chat",
        [Credential(files.certificate, files.key)],
        sigalgs_list(CredentialPreference.CLASSICAL),
        TlsSettings(preference.openssl_list(), cipher_suites(_LEVEL), _PROTOCOLS),
        TicketSecrets.fresh(),
    )
    identities = IdentityTable([ServerIdentity("chat", frozenset({"chat.test"}), context)], None)
    policy = HandshakePolicy(
        PqPolicy.PREFER,
        preference,
        identities,
        65_536,
        400_000,
        build_alert_context(),
        TlsLimits(32),
        ProtocolOffer.of_http(_PROTOCOLS),
    )
    turned_away = TurnedAway(loop, http.counters.failure, lambda *_: None)
    scarcity = Scarcity(loop, FakeFigures(), http, turned_away.add)
    scarcity.start(ResourceLimits(descriptor_reserve=100, memory_bytes=1_000_000))
    io = SharedIo(loop)
    services = ListenerServices(
        io,
        talk.deadlines,
        http,
        http.counters,
        FlightServices.of(new_driver(), StepQueue(io.after_reports), SigningServices(loop, loop.time, {})),
        lambda *_: None,
        scarcity,
        turned_away,
        SharedTable.create(_COLUMNS),
    )
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(0)
    Listener(ListenerRuntime("public", policy, "", _LIMITS, (), LINGER), services).accept_on([listening])
    trusting = authority.client_context()

    def visit(session: ssl.SSLSession | None) -> ssl.SSLSession:
        with socket.create_connection(listening.getsockname()) as sock:
            sock.settimeout(0)
            client = TlsClient(sock, trusting, "chat.test", session)
            loop.settle()
            sock.sendall(client.handshake_step())
            loop.settle()
            client.receive()
            sock.sendall(
                client.handshake_step()
                + client.sealed(request(b"Connection: close", start=b"GET /none HTTP/1.1", host=b"no.test"))
            )
            loop.settle()
            answer = client.read()
            assert answer.startswith(b"HTTP/1.1 421 "), answer
            assert client.tls.session_reused is (session is not None)
            assert client.tls.session is not None
            assert client.sees_end
        loop.settle()
        talk.records.clear()
        return client.tls.session

    def full() -> None:
        for _ in range(VISITS):
            visit(None)

    def resumed() -> None:
        session = visit(None) if not sessions else sessions.pop()
        for _ in range(VISITS):
            session = visit(session)
        sessions.append(session)

    sessions: list[ssl.SSLSession] = []
    return [full, resumed]


if __name__ == "__main__":
    library = ctypes.PyDLL(sys.argv[1])  # no other thread waits for the interpreter
    runs = visits(Path(sys.argv[2]), library.turn)
    for one in runs:
        one()  # the interpreter specialises what runs often
    gc.collect()
    gc.disable()  # it would come now and then
    for one in runs:
        library.begin()
        one()
        library.end()
    print(hot_path())  # noqa: T201 - its answer
