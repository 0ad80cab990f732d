"""A client gets a server, or sees a cut; then the log says what became of it."""

from dataclasses import replace

from config.tables.upstream import Balance, HashKind, HashSource
from proxy.downstream.requests.standing import NoLongerWelcome
from proxy.downstream.service.relay_rules import RelayRules
from proxy.downstream.tunnels.relay_visitors import RelayFigures
from proxy.downstream.tunnels.tcp_connection import TcpConnection
from proxy.limits.idleness import Idle, Shown
from proxy.limits.reasons import RelayEnd
from proxy.observe.counts.relay_counters import RelayCounters
from proxy.upstream.pooling.client_link import NO_LINK
from proxy.upstream.pooling.failures import UpstreamFault
from proxy.upstream.tcp_dials import TcpCarrier
from tests.fakes_http import Conversation, FakeServer, FakeStream, upstream

RULES = RelayRules(600.0, 20.0, "chat")


class Client:
    """A `RelayVisitor` that notes what it is told."""

    link = NO_LINK
    address, listener, network = "192.0.2.7", "irc", b"\xc0\x00\x02\x07"

    def __init__(self) -> None:
        self.upstream: str | None = "chat"
        self.counters = RelayCounters()
        self.figures: list[RelayFigures] = []
        self.losses: list[OSError | None] = []
        self.unwelcome: str | None = None

    def idle(self, since: float) -> Idle:
        """It waits."""
        return Idle(Shown.HANDSHAKE, since, self.listener, self.network)

    def stands(self) -> None:
        """Judge as the test wants."""
        if self.unwelcome is not None:
            raise NoLongerWelcome(self.unwelcome)

    def lost(self, error: OSError | None) -> None:
        """Note it."""
        self.losses.append(error)

    def left(self, figures: RelayFigures) -> None:
        """Note it."""
        self.figures.append(figures)


class Scene:
    """One connection to the upstream of a conversation."""

    def __init__(self, servers: int = 1, early: bytes = b"", **rules: object) -> None:
        shared = Conversation(servers=servers)
        self.loop, self.service, self.servers = shared.loop, shared.service, shared.servers
        runtime = replace(self.service.runtime, relays={"irc": RULES})
        if rules:
            runtime = replace(runtime, upstreams={"chat": upstream(*self.servers, **rules)})
        self.service.runtime = runtime
        self.arrive(early)

    def arrive(self, early: bytes = b"") -> None:
        """A client comes."""
        self.visitor, self.client = Client(), FakeStream(self.loop)
        self.connection = TcpConnection(self.service, self.client, self.visitor)
        self.connection.begin(early)

    def connect(self, server: FakeServer | None = None) -> FakeStream:
        """A server takes the connection."""
        stream = FakeStream(self.loop)
        borrower = (server or self.servers[0]).waiting.pop(0)
        assert borrower.is_waiting
        borrower.upstream_acquired(TcpCarrier(stream))
        return stream

    @property
    def end(self) -> RelayFigures:
        """The only line of the log."""
        (figures,) = self.visitor.figures
        return figures


def test_what_the_client_says_first_waits_for_the_server() -> None:
    scene = Scene()
    scene.client.receive(b"NICK")
    assert not scene.client.is_reading
    server = scene.connect()
    assert server.sent() == b"NICK"
    assert scene.client.is_reading
    assert scene.servers[0].server.load == 1
    assert (scene.visitor.counters.connections, scene.visitor.counters.connections_open) == (1, 1)
    scene.client.receive_end()
    server.receive_end()
    assert (scene.end.end, scene.end.server) == (RelayEnd.CLOSED, scene.servers[0].name)
    assert (scene.end.bytes_in, scene.end.bytes_out) == (4, 0)
    assert scene.servers[0].server.load == 0
    assert scene.visitor.counters.connections_open == 0
    assert scene.visitor.counters.ends == {"closed": 1}


def test_client_that_has_ended_still_gets_its_answer() -> None:
    scene = Scene(early=b"question")
    scene.connection.eof_received()
    server = scene.connect()
    assert server.sent() == b"question"
    assert server.is_half_closed
    server.receive(b"answer")
    assert scene.client.sent() == b"answer"


def test_next_server_is_tried_and_the_last_failure_is_a_cut() -> None:
    scene = Scene(servers=2)
    order = [one for one in scene.servers if one.waiting] + [one for one in scene.servers if not one.waiting]
    order[0].fail()
    order[1].fail(UpstreamFault.CONNECT_TIMEOUT)
    assert scene.client.ending == "cut"
    assert scene.end.end is RelayEnd.NO_SERVER
    assert scene.end.server is None
    assert scene.end.detail is not None
    assert scene.service.counters.snapshot()["failures"] == [{"listener": "irc", "reason": "no_server", "count": 1}]


def test_upstream_without_a_server_is_a_cut() -> None:
    scene = Scene()
    scene.servers[0].waiting.clear()
    scene.servers[0].server.check_told(is_up=False)
    other = TcpConnection(scene.service, FakeStream(scene.loop), scene.visitor)
    other.begin()
    assert scene.end.detail == "no server of the upstream takes requests now"


def test_upstream_that_a_reload_removed_is_a_cut() -> None:
    scene = Scene()
    scene.visitor.upstream = None
    other = TcpConnection(scene.service, FakeStream(scene.loop), scene.visitor)
    other.begin()
    assert scene.end.end is RelayEnd.NO_SERVER


def test_listener_that_a_reload_removed_meanwhile_is_a_cut() -> None:
    scene = Scene()
    scene.service.runtime = replace(scene.service.runtime, relays={})
    assert scene.connect().ending == "end"
    assert scene.client.ending == "cut"


def test_the_address_is_what_is_hashed() -> None:
    source = HashSource(HashKind.ADDRESS)
    scene = Scene(servers=3, balance=Balance.CONSISTENT_HASH, hash_on=source)
    (chosen,) = (one for one in scene.servers if one.waiting)
    for _ in range(5):
        TcpConnection(scene.service, FakeStream(scene.loop), scene.visitor).begin()
    assert len(chosen.waiting) == 6


def test_client_that_leaves_before_a_server_is_there() -> None:
    scene = Scene()
    scene.client.lose()
    assert (scene.end.end, scene.end.detail) == (RelayEnd.CLIENT_LOST, "before a server was reached")
    assert not scene.servers[0].waiting[0].is_waiting
    scene = Scene()
    scene.client.lose(ConnectionResetError("reset"))
    assert scene.end.detail == "reset"
    scene.connection.give_up("the end")
    assert len(scene.visitor.figures) == 1


class TestService:
    """What the process wants of it."""

    def test_drain(self) -> None:
        scene = Scene()
        server = scene.connect()
        scene.connection.drain(10.0)
        scene.loop.advance(5.0)
        assert scene.client.is_half_closed
        scene.client.receive_end()
        assert scene.end.end is RelayEnd.DRAINED
        assert server.ending == "end"
        scene = Scene()
        scene.connection.drain(10.0, gently=True)
        assert (scene.end.end, scene.client.ending) == (RelayEnd.DRAINED, "cut")

    def test_end_of_a_drain(self) -> None:
        scene = Scene()
        scene.connect()
        scene.connection.give_up("the time is over")
        assert (scene.end.end, scene.end.detail) == (RelayEnd.DRAINED, "the time is over")

    def test_drain_of_its_server(self) -> None:
        scene = Scene()
        scene.connect()
        scene.servers[0].server.drain(0.0)
        scene.loop.advance(1.0)
        assert scene.client.is_half_closed

    def test_reload(self) -> None:
        scene = Scene()
        scene.connection.configuration_changed(10.0)
        scene.connect()
        scene.service.runtime = replace(scene.service.runtime, relays={"irc": RelayRules(5.0, 1.0)})
        scene.connection.configuration_changed(10.0)
        scene.visitor.upstream = "other"
        scene.loop.advance(6.0)
        assert (scene.end.end, scene.end.upstream) == (RelayEnd.IDLE, "chat"), "it stays with its server"

    def test_reload_that_forbids_it(self) -> None:
        scene = Scene()
        scene.visitor.unwelcome = "why"
        scene.connection.configuration_changed(10.0)
        assert (scene.end.end, scene.end.detail) == (RelayEnd.RELOADED, "why")
        scene = Scene()
        scene.connect()
        scene.visitor.unwelcome = "why"
        scene.connection.configuration_changed(10.0)
        scene.loop.advance(11.0)
        assert (scene.end.end, scene.end.detail) == (RelayEnd.RELOADED, "why")

    def test_it_may_make_room_first_as_one_whose_client_said_nothing(self) -> None:
        scene = Scene()
        assert scene.connection.idle is None  # it waits for us
        scene.connection.shed()
        assert not scene.visitor.figures
        scene.connect()
        assert scene.connection.idle is not None
        scene.client.receive(b"x")
        said = scene.loop.time()
        assert scene.connection.idle == Idle(Shown.MESSAGES, said, "irc", Client.network)
        scene.loop.advance(60.1)
        assert scene.connection.idle == Idle(Shown.SILENCE, said, "irc", Client.network)
        scene.connection.drain(1.0)
        scene.loop.advance(0.6)
        assert scene.connection.idle is None  # it ends
        scene = Scene(early=b"a hello")
        scene.connect()
        assert scene.connection.idle is not None
        scene.connection.shed()
        assert scene.end.end is RelayEnd.SHED

    def test_who_finds_no_room_is_cut_and_for_a_moment_no_server_is_asked(self) -> None:
        scene = Scene()
        scene.service.bound_tunnels(1)
        scene.connect()
        late = Scene.__new__(Scene)
        late.loop, late.service, late.servers = scene.loop, scene.service, scene.servers
        late.arrive()
        server = late.connect()
        assert (server.ending, late.client.ending) == ("abort", "cut")
        assert (late.end.end, late.end.detail) == (RelayEnd.NO_ROOM, "out_of_descriptors")
        late.arrive()
        assert (late.end.end, late.servers[0].waiting) == (RelayEnd.NO_ROOM, [])
        scene.client.lose()
        scene.loop.advance(0.25)
        late.arrive()
        late.connect()
        assert late.connection.idle is not None
