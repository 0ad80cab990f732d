"""Clients whose bytes are relayed: what the log says about them, and how a reload judges them."""

import ssl
from dataclasses import replace

import pytest

from proxy.downstream.requests.client import ClientFacts
from proxy.downstream.requests.standing import NoLongerWelcome
from proxy.downstream.service.relay_rules import RelayRules
from proxy.downstream.tunnels.relay_visitors import PassedVisitor, RelayFigures, TcpVisitor
from proxy.limits.idleness import Idle, Shown
from proxy.limits.reasons import RelayEnd
from proxy.observe.events.clients import ConnectionCut
from proxy.observe.events.relays import PassthroughClosed, TcpClosed
from proxy.tls.handshake.results import UnopenedHello
from proxy.tls.wire.passthrough import PassthroughTable
from proxy.tls.wire.protocols import ProtocolOffer
from tests.fakes import changed_policy
from tests.fakes_http import HYBRID, Conversation, established, handshake_policy

FIGURES = RelayFigures(RelayEnd.CLOSED, None, "irc", "tcp://127.0.0.1:6667", 1.5)
HELLO = UnopenedHello("turn.test", "tcp://127.0.0.1:1", (HYBRID.code_point, 0x9999), b"hello")


class World:
    """A service whose configuration the test changes."""

    def __init__(self) -> None:
        shared = Conversation()
        self.service = shared.service
        self.shared = shared
        self.configure("tcp", {"turn.test": "a"})

    @property
    def cuts(self) -> list[ConnectionCut]:
        """The lines about connections that ended for a fault of the client."""
        return self.shared.cuts

    @property
    def lines(self) -> list[TcpClosed | PassthroughClosed]:
        """The lines about connections that were relayed."""
        return [one for one in self.shared.log_events if isinstance(one, TcpClosed | PassthroughClosed)]

    def configure(self, protocol: str | None, passthrough: dict[str, str], upstream: str | None = "irc") -> None:
        """One listener with this protocol, and these names that are passed on."""
        policy = changed_policy(
            handshake_policy(),
            protocols=ProtocolOffer((), protocol),
            passthrough=PassthroughTable(passthrough, ()) if passthrough else None,
        )
        self.service.runtime = replace(
            self.service.runtime, policies={"public": policy}, relays={"public": RelayRules(1.0, 1.0, upstream)}
        )


def tcp(world: World) -> TcpVisitor:
    tls = replace(established(), protocol="tcp")
    return TcpVisitor(world.service, ClientFacts("192.0.2.7", "public", tls))


def passed(world: World) -> PassedVisitor:
    return PassedVisitor(world.service, "public", "192.0.2.7", b"net", HELLO, {HYBRID.code_point: HYBRID.name})


def test_line_of_a_connection_that_was_opened() -> None:
    world = World()
    visitor = tcp(world)
    FIGURES.bytes_in, FIGURES.bytes_out = 3, 4
    visitor.left(FIGURES)
    (line,) = world.lines
    assert isinstance(line, TcpClosed)
    assert (line.client, line.name, line.group, line.protocol) == ("192.0.2.7", "chat.test", HYBRID.name, "tcp")
    assert (line.upstream, line.server, line.bytes_in, line.bytes_out) == ("irc", "tcp://127.0.0.1:6667", 3, 4)
    assert (line.duration_ms, line.reason, line.detail) == (1_500.0, "closed", None)
    assert visitor.counters is world.service.counters.listener("public").tcp
    assert visitor.idle(5.0) == Idle(Shown.HANDSHAKE, 5.0, "public", visitor.network)


def test_broken_tls_has_a_line_of_its_own() -> None:
    world = World()
    tcp(world).lost(ssl.SSLError(1, "[SSL] bad"))
    assert len(world.cuts) == 1
    passed(world).lost(ssl.SSLError(1, "[SSL] bad"))
    assert len(world.cuts) == 1


def test_reload_judges_name_protocol_and_listener() -> None:
    world = World()
    visitor = tcp(world)
    visitor.stands()
    world.configure(None, {})
    with pytest.raises(NoLongerWelcome, match="protocol"):
        visitor.stands()
    world.configure("tcp", {}, None)
    with pytest.raises(NoLongerWelcome, match="server name"):
        visitor.stands()
    world.service.runtime = replace(world.service.runtime, relays={})
    assert visitor.upstream is None


def test_line_of_a_connection_that_was_passed_on() -> None:
    world = World()
    visitor = passed(world)
    visitor.left(FIGURES)
    (line,) = world.lines
    assert isinstance(line, PassthroughClosed)
    assert (line.name, list(line.groups)) == ("turn.test", [HYBRID.name, "0x9999"])
    assert visitor.counters.groups == {HYBRID.name: 1}  # a client cannot add a label
    assert visitor.idle(5.0).client == b"net"
    assert visitor.upstream == "tcp://127.0.0.1:1"


def test_reload_judges_the_name_that_is_passed_on() -> None:
    world = World()
    visitor = passed(world)
    visitor.stands()
    for names in ({"other.test": "a"}, {}):
        world.configure("tcp", names)
        with pytest.raises(NoLongerWelcome, match="passthrough"):
            visitor.stands()
    world.service.runtime = replace(world.service.runtime, policies={})
    with pytest.raises(NoLongerWelcome):
        visitor.stands()
