"""The UDP sockets of a listener: handshakes by OpenSSL's own client, and packets that begin no connection."""

import os
import random
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated

from config.schema import CredentialPreference, SecurityLevel
from proxy.downstream.listeners.listening import ListenerRuntime
from proxy.downstream.listeners.quic_listener import QuicListener
from proxy.limits.connections import ListenerLimits
from proxy.quic.availability import unavailable
from proxy.quic.datagrams import prepare_datagrams
from proxy.quic.post import Post
from proxy.quic.probing import shake_hands
from proxy.quic.tokens import new_token, retry_token
from proxy.tls.handshake.group_choice import cipher_suites
from proxy.tls.handshake.identities import IdentityTable
from proxy.tls.openssl.context import TlsSettings, build_server_context
from proxy.tls.openssl.tickets import TicketSecrets
from proxy.tls.wire.protocols import HTTP_3, ProtocolOffer
from proxy.tls.wire.signature_schemes import sigalgs_list
from tests.fakes import changed_identity, changed_policy
from tests.proxy.downstream.listeners.listener_world import Credential, World, runtime

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))

KEY, NEW_KEY = os.urandom(32), os.urandom(32)
"""New in each run: they make names that are the machine's."""
PACKETS = 5_000
ID = bytes(range(18))
SHORT = b"\x40" + ID + bytes(60)
UNKNOWN_VERSION = b"\xc0\x1a\x1a\x1a\x1a\x08" + bytes(8) + b"\x04call" + bytes(1_200)


def with_quic(credential: Credential) -> ListenerRuntime:
    """A listener that has HTTP/3 as well."""
    one = runtime(credential)
    preference = one.policy.preference
    settings = TlsSettings(preference.openssl_list(), cipher_suites(SecurityLevel.STANDARD), (HTTP_3,), is_quic=True)
    algorithms = sigalgs_list(CredentialPreference.CLASSICAL)
    context = build_server_context("chat", [credential], algorithms, settings, TicketSecrets(bytes(32)))
    identity = one.policy.identities.resolve("chat.test")
    assert identity is not None
    identities = IdentityTable([changed_identity(identity, context=context)], None)
    policy = changed_policy(one.policy, identities=identities, protocols=ProtocolOffer((HTTP_3,), None))
    return replace(one, quic=policy, quic_keys=(KEY,))


class Udp:
    """A UDP socket of a listener, and clients of it."""

    def __init__(self, world: World, credential: Credential) -> None:
        self.world = world
        world.listener.runtime = with_quic(credential)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.sock.bind(("127.0.0.1", 0))
        prepare_datagrams(self.sock)
        self.address: tuple[str, int] = self.sock.getsockname()
        world.listener.receive_on([self.sock])
        self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.client.settimeout(5)
        self.client.connect(self.address)

    @property
    def quic(self) -> QuicListener:
        quic = self.world.listener._quic
        assert quic is not None
        return quic

    def say(self, packet: bytes) -> bytes | None:
        """What a packet is answered with."""
        self.client.send(packet)
        self.world.loop.settle()
        self.client.settimeout(0)
        try:
            return self.client.recv(2_048)
        except BlockingIOError:
            return None

    def meanwhile(self, work: Callable[[], object]) -> object:
        """What a client says that works in a thread, while the loop turns."""
        said: list[object] = []
        thread = threading.Thread(target=lambda: said.append(work()))
        thread.start()
        while thread.is_alive():
            self.world.loop.turn()
            thread.join(0.001)
        self.world.loop.settle()
        return said[0]

    def listener_serves_by(self, **changed: Any) -> None:
        """Change what a reload may change."""
        self.world.listener.serve_by(replace(self.world.listener.runtime, **changed))

    def limit(self, limits: ListenerLimits) -> None:
        self.world.listener.runtime = replace(self.world.listener.runtime, limits=limits)


@pytest.fixture
def udp(world: World, credential: Credential) -> Iterator[Udp]:
    udp = Udp(world, credential)
    yield udp
    world.listener.end_datagrams()
    for one in list(world.http.connections.all()):
        one.shed()
    world.loop.settle()
    world.loop.advance(60)
    udp.client.close()
    assert udp.quic._sockets == {}
    udp.listener_serves_by()
    assert udp.quic._posts == {}


def test_a_client_of_another_library_shakes_hands(udp: Udp) -> None:
    assert udp.meanwhile(lambda: shake_hands(udp.address, "chat.test", 10)) is None
    counters = udp.world.counters.listener("public")
    assert (counters.accepted, counters.http3.connections) == (1, 1)
    assert udp.world.records == []
    assert udp.quic._half_open == 0


def test_a_name_that_nobody_has_is_refused_and_logged(udp: Udp) -> None:
    said = udp.meanwhile(lambda: shake_hands(udp.address, "other.test", 10))
    assert said == "the handshake by UDP ended with TLS alert 112"
    (record,) = udp.world.records
    assert (record.reason, record.name) == ("unrecognized_name", "other.test")
    assert udp.world.counters.listener("public").open == 0


def test_many_half_open_handshakes_make_a_client_show_its_address(udp: Udp) -> None:
    udp.quic._half_open = 5
    answer = udp.say(first_datagram())
    udp.quic._half_open = 0
    assert answer is not None
    assert answer[0] & 0xF0 == 0xF0, "a Retry packet (RFC 9000 section 17.2.5)"
    assert udp.quic._transports == {}


def test_a_client_comes_through_a_retry(udp: Udp) -> None:
    udp.quic._half_open = 5
    assert udp.meanwhile(lambda: shake_hands(udp.address, "chat.test", 10)) is None
    udp.quic._half_open = 0


HERE, THERE = socket.inet_aton("127.0.0.1"), socket.inet_aton("192.0.2.1")


def begun_with(udp: Udp, token: bytes) -> tuple[QuicConnection, bytes]:
    """A client with this token, and its first datagram."""
    settings = QuicConfiguration(alpn_protocols=["h3"], server_name="chat.test", token=token)
    client = QuicConnection(configuration=settings)
    client._peer_cid.cid = ID
    client.connect(udp.address, now=0.0)
    ((first, _),) = client.datagrams_to_send(now=0.0)
    return client, first


def code_for(udp: Udp, token: bytes) -> int | None:
    """The error that a client with this token is told; None if its handshake goes on."""
    client, first = begun_with(udp, token)
    answer = udp.say(first)
    assert answer is not None
    client.receive_datagram(answer, udp.address, now=0.0)
    timer = client.get_timer()
    assert timer is not None
    client.handle_timer(timer)  # it has drained
    ended = client.next_event()
    if ended is None:
        return None
    assert isinstance(ended, ConnectionTerminated)
    return ended.error_code


@pytest.mark.parametrize(
    ("address", "used", "seconds"),
    [(THERE, ID, 0), (HERE, b"another ID", 0), (HERE, ID, 12)],
    ids=["address", "connection", "time"],
)
def test_a_bad_token_of_a_retry_ends_the_attempt(udp: Udp, address: bytes, used: bytes, seconds: int) -> None:
    """RFC 9000 section 8.1.2: INVALID_TOKEN, and nothing is kept."""
    made = udp.world.http.wall_clock() - seconds
    assert code_for(udp, retry_token(KEY, address, b"original", used, made)) == 0x0B
    assert (udp.quic._transports, udp.quic._half_open) == ({}, 0)
    assert udp.world.failures["http3_invalid_token"] == 1


@pytest.mark.parametrize("address", [THERE, HERE])
def test_a_bad_token_for_later_is_none(udp: Udp, address: bytes) -> None:
    """RFC 9000 section 8.1.3."""
    assert code_for(udp, new_token(NEW_KEY, address, udp.world.http.wall_clock())) is None
    assert udp.quic._half_open == 1


def test_a_limit_on_connections_holds(udp: Udp) -> None:
    udp.limit(replace(udp.world.listener.runtime.limits, connections_per_address=0))
    assert udp.say(first_datagram()) is None
    assert udp.quic._transports == {}


def test_without_http_3_nothing_begins(udp: Udp) -> None:
    udp.world.listener.runtime = replace(udp.world.listener.runtime, quic=None)
    assert udp.say(first_datagram()) is None


def test_an_unknown_version_is_told_those_that_we_speak(udp: Udp) -> None:
    answer = udp.say(UNKNOWN_VERSION)
    assert answer is not None
    assert answer[1:5] == bytes(4)
    assert answer.endswith(b"\0\0\0\1")
    assert udp.say(UNKNOWN_VERSION[:600]) is None


def test_ids_of_an_unknown_version_may_have_255_octets(udp: Udp) -> None:
    """RFC 8999 section 5.1."""
    answer = udp.say(b"\xc0\x1a\x1a\x1a\x1a\xff" + b"t" * 255 + b"\xff" + b"f" * 255 + bytes(1_000))
    assert answer is not None
    assert answer[1:] == bytes(4) + b"\xff" + b"f" * 255 + b"\xff" + b"t" * 255 + b"\0\0\0\1"


def test_a_packet_of_a_connection_that_nobody_knows_is_reset_but_never_longer(udp: Udp) -> None:
    answer = udp.say(SHORT)
    assert answer is not None
    assert len(answer) < len(SHORT)
    assert answer[-16:] == (udp.say(SHORT) or b"")[-16:]
    assert udp.say(SHORT[:30]) is None


def test_nothing_is_reset_for_a_process_that_cannot_be_reached(udp: Udp) -> None:
    """Its connection may live."""
    taken = Post("public", b"\0\0", NEW_KEY)
    udp.listener_serves_by(quic_keys=(KEY, NEW_KEY))
    assert udp.say(SHORT) is None
    taken.close()
    udp.listener_serves_by()
    assert udp.say(SHORT) is not None


def test_resets_are_few(udp: Udp) -> None:
    answers = [udp.say(SHORT) for _ in range(150)]
    assert sum(one is not None for one in answers) == 100
    assert udp.world.failures["http3_unknown_connections"] == 50
    udp.world.loop.advance(1.0)
    assert udp.world.events[-1][0]["reasons"] == {"http3_unknown_connections": 50}
    assert udp.say(SHORT) is not None


def test_answers_to_other_versions_are_few_and_take_none_of_resets(udp: Udp) -> None:
    answers = [udp.say(UNKNOWN_VERSION) for _ in range(150)]
    assert sum(one is not None for one in answers) == 100
    assert udp.say(SHORT) is not None
    udp.world.loop.advance(1.0)
    assert udp.say(UNKNOWN_VERSION) is not None


def test_refusals_of_tokens_are_few_and_all_are_counted(udp: Udp) -> None:
    _, first = begun_with(udp, retry_token(KEY, THERE, b"original", ID, udp.world.http.wall_clock()))
    answers = [udp.say(first) for _ in range(150)]
    assert sum(one is not None for one in answers) == 100
    assert udp.world.failures["http3_invalid_token"] == 150


@pytest.mark.parametrize("garbage", [b"", b"\x00", b"\xc0", b"\xc0\0\0\0\1\xff", bytes(1_500)], ids=repr)
def test_garbage_is_ignored(udp: Udp, garbage: bytes) -> None:
    udp.say(garbage)
    assert udp.quic._transports == {}


def mutated(packet: bytes, chance: random.Random) -> bytes:
    """One with some bytes changed, cut off or put in; often in its head."""
    made = bytearray(packet)
    for _ in range(chance.randrange(1, 6)):
        place = min(int(chance.expovariate(1 / 40)), len(made) - 1)
        made[place] = chance.choice((0, 1, 0x3F, 0x40, 0x7F, 0x80, 0xC0, 0xFF, chance.randrange(256)))
    if chance.random() < 0.3:
        del made[chance.randrange(len(made)) :]
    if chance.random() < 0.2:
        place = chance.randrange(len(made) + 1)
        made[place:place] = chance.randbytes(chance.randrange(64))
    return bytes(made[:1_500])


def test_mutated_datagrams_leave_room_for_an_honest_client(udp: Udp) -> None:
    """No crash, and no more connections than the limits allow: a process that ends here fails the run."""
    chance = random.Random(9_000)  # noqa: S311 - a seed that is the same each time
    seeds = [first_datagram(), SHORT, UNKNOWN_VERSION]
    local, remote = local_and_remote(udp)
    for _ in range(PACKETS):
        udp.quic.received(udp.sock, mutated(chance.choice(seeds), chance), local, remote, 0)
    limits = udp.world.listener.runtime.limits
    assert udp.world.counters.listener("public").open <= limits.connections_per_address
    udp.world.loop.settle()
    udp.world.loop.advance(30)  # the half-open ones are ended
    assert udp.quic._half_open == 0
    assert udp.meanwhile(lambda: shake_hands(udp.address, "chat.test", 10)) is None


def local_and_remote(udp: Udp) -> tuple[bytes, bytes]:
    """Both addresses as the kernel writes them."""
    return tuple(  # type: ignore[return-value]
        socket.AF_INET.to_bytes(2, "little") + port.to_bytes(2) + socket.inet_aton(host) + bytes(8)
        for host, port in (udp.address, udp.client.getsockname())
    )


def test_what_another_process_reads_is_handed_on(udp: Udp) -> None:
    """The other one has not changed its secret yet."""
    took: list[bytes] = []
    udp.quic.handed_on(SHORT, b"", b"", 0)  # of a connection that has ended
    other = Post("public", ID[:2], KEY)
    udp.listener_serves_by(quic_keys=(NEW_KEY, KEY))
    assert udp.say(SHORT) is None
    other.deliver(lambda data, *_: took.append(data), 8)
    other.close()
    assert took == [SHORT]
    assert udp.say(SHORT) is not None, "the other one has ended"


def test_each_present_secret_leads_here_and_no_older_one(udp: Udp) -> None:
    other = {key: Post("public", ID[:2], key) for key in (KEY, NEW_KEY)}
    led = {}
    for keys in ((KEY,), (NEW_KEY, KEY), (NEW_KEY,)):
        udp.listener_serves_by(quic_keys=keys)
        led[keys] = [one.hand_on(b"\0\0", SHORT, b"l", b"r", 0) for one in other.values()]
    assert led == {(KEY,): [True, False], (NEW_KEY, KEY): [True, True], (NEW_KEY,): [False, True]}
    for one in other.values():
        one.close()


def test_a_name_that_cannot_be_taken_is_logged_and_tried_again(udp: Udp) -> None:
    taken = Post("public", b"\0\0", NEW_KEY)
    udp.listener_serves_by(quic_keys=(NEW_KEY,))
    assert [event for event, _ in udp.world.events] == [
        {"event": "http3_hand_on_failed", "listener": "public", "error": "Address already in use"}
    ]
    taken.close()
    udp.listener_serves_by(quic_keys=(NEW_KEY,))
    assert len(udp.world.events) == 1
    assert list(udp.quic._posts) == [NEW_KEY]


def test_sockets_stay_until_the_last_connection_has_ended(udp: Udp) -> None:
    assert udp.meanwhile(lambda: shake_hands(udp.address, "chat.test", 10)) is None
    udp.world.listener.receive_on(())
    assert udp.say(first_datagram()) is None
    assert udp.quic._sockets
    for one in list(udp.world.http.connections.all()):
        one.shed()
    udp.world.loop.advance(60)
    assert udp.quic._sockets == {}


def first_datagram() -> bytes:
    """The first one of OpenSSL's client."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.settimeout(5)
        shake_hands(silent.getsockname(), "chat.test", 0.1)
        return silent.recv(2_048)
