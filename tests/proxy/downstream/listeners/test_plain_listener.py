"""The listener without TLS of a worker: what a client gets, what is logged and counted, and who
makes room for whom."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from config.tables.plain import PLAIN_LISTENER
from proxy.downstream.listeners.plain_answers import PlainRules
from proxy.downstream.listeners.plain_listener import PlainLimits, PlainListener, PlainServices
from proxy.limits.rates import Rate
from proxy.limits.scarcity import ResourceLimits, Scarcity
from proxy.net.shared_io import SharedIo
from proxy.observe.turned_away import TurnedAway
from tests.fakes import FakeFigures
from tests.fakes_http import LIMITS, Conversation

REQUEST = b"GET /a?b HTTP/1.1\r\nHost: chat.test\r\n\r\n"
CHALLENGE = b"/.well-known/acme-challenge/token"


@dataclass
class World:
    """A plain listener on a real socket, under a clock that the test moves."""

    conversation: Conversation = field(default_factory=Conversation)
    clients: list[socket.socket] = field(default_factory=list)
    limits: PlainLimits | None = None

    def __post_init__(self) -> None:
        """Accept."""
        self.http, self.loop = self.conversation.service, self.conversation.loop
        self.conversation.client.lose()  # that of the conversation itself
        self.loop.settle()
        turned_away = TurnedAway(self.loop, self.http.counters.failure, lambda *_: None)
        scarcity = Scarcity(self.loop, FakeFigures(), self.http, turned_away.add)
        scarcity.start(ResourceLimits(descriptor_reserve=100, memory_bytes=1_000_000))
        self.scarcity = scarcity
        services = PlainServices(SharedIo(self.loop), self.http, scarcity, turned_away, {"token": "token.thumbprint"})
        rules = PlainRules(frozenset({"chat.test"}), 443)
        self.listener = PlainListener(rules, services, *([] if self.limits is None else [self.limits]))
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.listening.settimeout(0)
        self.listener.accept_on([self.listening])

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        """A client whose connection was accepted or refused."""
        sock = socket.create_connection(self.listening.getsockname(), source_address=(source, 0))
        sock.settimeout(0)
        self.clients.append(sock)
        self.loop.settle()
        return sock

    def send(self, client: socket.socket, *pieces: bytes) -> None:
        """Have a client send."""
        for piece in pieces:
            client.send(piece)
            self.loop.settle()

    def received(self, client: socket.socket) -> bytes | None:
        """What a client got until the end; None: it is still open, and got nothing."""
        data = b""
        while True:
            try:
                piece = client.recv(65_536)
            except BlockingIOError:
                assert not data, "an answer without its end"
                return None
            except ConnectionResetError:
                return data
            if not piece:
                return data
            data += piece

    def ask(self, *pieces: bytes, source: str = "127.0.0.1") -> bytes | None:
        """The answer to a request on a connection of its own."""
        client = self.connect(source)
        self.send(client, *pieces)
        return self.received(client)

    @property
    def failures(self) -> dict[str, int]:
        """Failures by reason."""
        rows = self.http.counters.snapshot()["failures"]
        assert {row["listener"] for row in rows} <= {PLAIN_LISTENER}
        return {row["reason"]: row["count"] for row in rows}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left of any connection."""
        tally = self.http.counters.listener(PLAIN_LISTENER)
        counts = self.listener.counts
        left = (tally.open, counts.open, counts.in_flight, len(counts._clients), self.http.count)
        return left == (0, 0, 0, 0, 0) and len(self.listener.room._waiting) == 0


@pytest.fixture
def limits() -> PlainLimits | None:
    """None: those of the product."""
    return None


@pytest.fixture
def world(limits: PlainLimits | None) -> Iterator[World]:
    made = World(limits=limits)
    yield made
    made.listener.accept_on(())
    for client in made.clients:
        client.close()
    made.loop.settle()
    made.loop.advance(100)
    assert made.is_empty


@pytest.mark.parametrize("cut", [lambda data: [data], lambda data: [bytes((one,)) for one in data]])
def test_challenge_is_answered_whole_and_octet_by_octet(world: World, cut: Callable[[bytes], list[bytes]]) -> None:
    answer = world.ask(*cut(b"GET " + CHALLENGE + b" HTTP/1.1\r\nHost: chat.test\r\n\r\n"))
    assert answer is not None
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[:3] == [b"HTTP/1.1 200 OK", b"Content-Type: application/octet-stream", b"Content-Length: 16"]
    assert lines[3].startswith(b"Date: ")
    assert lines[4:] == [b"Connection: close"]
    assert body == b"token.thumbprint"
    (record,) = world.conversation.records
    assert record.target is not None
    assert (record.status, record.response_bytes, record.target.path) == (200, 16, CHALLENGE.decode())


def test_head_gets_no_body(world: World) -> None:
    answer = world.ask(b"HEAD " + CHALLENGE + b" HTTP/1.1\r\nHost: chat.test\r\n\r\n")
    assert answer is not None
    assert b"\r\nContent-Length: 16\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_redirect_has_a_line_in_the_log(world: World) -> None:
    answer = world.ask(REQUEST)
    assert answer is not None
    assert answer.startswith(
        b"HTTP/1.1 308 Permanent Redirect\r\nLocation: https://chat.test/a?b\r\nContent-Length: 0\r\n"
    )
    (record,) = world.conversation.records
    assert record.target is not None
    client = record.connection
    assert (client.client, client.listener, client.group, client.outcome) == (
        "127.0.0.1",
        PLAIN_LISTENER,
        "none",
        "plain",
    )
    assert (record.status, record.target.host, record.target.path, record.error) == (308, "chat.test", "/a", None)
    assert record.target.query is None, "queries are not logged"


def test_rules_of_a_reload_are_for_the_next_request(world: World) -> None:
    client = world.connect()
    world.listener.rules = PlainRules(frozenset({"other.test"}), 443)
    world.send(client, REQUEST)
    assert (world.received(client) or b"").startswith(b"HTTP/1.1 404 ")
    (record,) = world.conversation.records
    assert (record.status, record.error) == (404, "no_route")


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * LIMITS.head_bytes, 431),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * LIMITS.head_bytes + b"\r\n\r\n", 431),
    ],
)
def test_what_cannot_be_understood_is_refused_and_logged(world: World, asked: bytes, status: int) -> None:
    answer = world.ask(asked)
    assert answer is not None
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    (record,) = world.conversation.records
    assert record.status == status
    assert record.target is not None, "the log shows what there is"
    assert (record.target.method, record.target.path) == ("GET", "/")


def test_second_request_and_body_are_not_looked_at(world: World) -> None:
    assert (world.ask(REQUEST + REQUEST) or b"").count(b"HTTP/1.1") == 1
    big = b"POST / HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 60000\r\n\r\n"
    client = world.connect()
    world.send(client, big, *[b"x" * 10_000] * 6)
    assert (world.received(client) or b"").startswith(b"HTTP/1.1 308 ")
    assert len(world.conversation.records) == 2


def test_silent_client_is_let_go_with_a_line_in_the_log(world: World) -> None:
    silent, half = world.connect(), world.connect()
    world.send(half, REQUEST[:20])
    world.loop.advance(LIMITS.head_seconds - 0.5)
    assert (world.received(silent), world.received(half)) == (None, None)
    world.loop.advance(1)
    assert world.received(silent) == b""
    assert (world.received(half) or b"").startswith(b"HTTP/1.1 408 ")
    assert [(record.status, record.error) for record in world.conversation.records] == [(408, "head_timeout")] * 2


def test_client_that_leaves_is_counted_out(world: World) -> None:
    for begun in (b"", REQUEST[:20]):
        client = world.connect()
        client.send(begun)
        client.close()
        world.loop.settle()
    world.loop.advance(1)
    assert world.is_empty
    assert world.conversation.records == []


class TestFull:
    """Nobody is locked out by those who are silent."""

    @pytest.fixture
    def limits(self) -> PlainLimits:
        return PlainLimits(4, 3, Rate.of(100.0, 1_000))

    def test_oldest_silent_one_of_the_largest_network_makes_room(self, world: World) -> None:
        waiting = world.connect("127.0.0.2")
        silent = [world.connect("127.0.0.3") for _ in range(3)]
        assert (world.ask(REQUEST, source="127.0.0.4") or b"").startswith(b"HTTP/1.1 308 ")
        assert [world.received(one) for one in silent] == [b"", None, None]
        assert world.received(waiting) is None, "one of one is not a crowd"
        assert world.failures == {"shed_silent": 1}

    def test_an_address_with_its_share_makes_room_for_itself(self, world: World) -> None:
        silent = [world.connect() for _ in range(3)]
        assert (world.ask(REQUEST) or b"").startswith(b"HTTP/1.1 308 ")
        assert [world.received(one) for one in silent] == [b"", None, None]

    def test_who_was_answered_and_does_not_close_makes_room_and_keeps_its_answer(self, world: World) -> None:
        answered = [world.connect(source) for source in ("127.0.0.2", "127.0.0.3", "127.0.0.3")]
        for one in answered:
            world.send(one, REQUEST)
        asking = world.connect("127.0.0.4")
        for _ in range(5):
            assert (world.ask(REQUEST, source="127.0.0.5") or b"").startswith(b"HTTP/1.1 308 ")
        world.send(asking, REQUEST)
        assert all((world.received(one) or b"").startswith(b"HTTP/1.1 308 ") for one in [*answered, asking])
        assert world.failures == {}
        world.loop.advance(2)
        assert world.is_empty

    def test_who_was_answered_makes_room_for_its_own_address(self, world: World) -> None:
        answered = [world.connect() for _ in range(3)]
        for one in answered:
            world.send(one, REQUEST)
        assert (world.ask(REQUEST) or b"").startswith(b"HTTP/1.1 308 ")
        assert all((world.received(one) or b"").startswith(b"HTTP/1.1 308 ") for one in answered)

    def test_dripping_is_as_good_as_silence(self, world: World) -> None:
        dripping = [world.connect() for _ in range(3)]
        for one in dripping:
            world.send(one, b"G")
        assert (world.ask(REQUEST) or b"").startswith(b"HTTP/1.1 308 ")
        assert world.received(dripping[0]) == b""


@pytest.mark.parametrize("limits", [PlainLimits(512, 64, Rate.of(1.0, 1))])
def test_rate_of_an_address_is_limited(world: World) -> None:
    assert world.ask(REQUEST) != b""
    assert world.ask(REQUEST) == b""
    assert world.failures == {"handshakes_per_second_per_address": 1}


def test_drain_waits_for_a_request_under_way_and_not_for_silence(world: World) -> None:
    silent, half = world.connect(), world.connect()
    world.send(half, REQUEST[:20])
    quiet = world.http.connections.drain(30.0, gently=True)
    world.send(half, REQUEST[20:])
    assert (world.received(half) or b"").startswith(b"HTTP/1.1 308 ")
    half.close()
    world.loop.advance(2.5)
    assert world.received(silent) == b""
    assert quiet.is_set()


def test_end_of_a_drain_cuts_who_is_there(world: World) -> None:
    client = world.connect()
    world.http.connections.give_up("the time to drain is over")
    world.loop.settle()
    assert world.received(client) == b""
    assert world.is_empty


def test_silent_ones_make_room_where_descriptors_are_short(world: World) -> None:
    silent, answered = world.connect(), world.connect()
    world.send(answered, REQUEST)
    world.loop.advance(0.7)
    world.http.use(world.http.runtime, 1.0)
    assert [one.listener for one in world.http.shed(10)] == [PLAIN_LISTENER]
    world.loop.settle()
    assert world.received(silent) == b""
