"""What a tunnel continues with of its connection: who it was, whether it may stay, what its line
says."""

from dataclasses import replace
from typing import Any

import pytest

from proxy.downstream.pipeline.exchange import Exchange
from proxy.downstream.requests.client import ClientFacts
from proxy.downstream.requests.refusals import RequestRefusal
from proxy.downstream.requests.request import RequestReader
from proxy.downstream.requests.standing import NoLongerWelcome
from proxy.downstream.requests.targets import RouteTarget
from proxy.downstream.requests.tunnel_places import TunnelPlace
from proxy.downstream.tunnels.upgraded import Upgraded, place_for
from proxy.http.routing import Route, RouteTable
from proxy.http.websocket.frames import CloseCode
from proxy.http.websocket.upgrade import accept_value
from proxy.limits.connections import ClientCounts
from proxy.limits.networks import network_of
from proxy.limits.reasons import ConnectionReason
from proxy.tls.wire.groups import NamedGroup
from tests.fakes_http import (
    CLASSICAL,
    HYBRID,
    LIMITS,
    TRUST,
    Conversation,
    FakeClient,
    FakeStream,
    established,
    handshake_policy,
    request,
    response,
    server_identity,
)

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
WEBSOCKET = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: " + KEY,
)
SWITCHED = response(
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Accept: " + accept_value(KEY),
    start=b"HTTP/1.1 101 Switching Protocols",
)
QUESTION = b"\x81\x82\0\0\0\0hi"
ANSWER = b"\x81\x03you"


class Case:
    """A tunnel whose owner is under test, on the shared things of a conversation that says
    nothing itself."""

    def __init__(
        self,
        *,
        host: bytes = b"chat.test",
        names: tuple[str, ...] = (),
        group: NamedGroup = HYBRID,
        logs_opens: bool = False,
    ) -> None:
        self.talk = Conversation(logs_query=True)
        self.service = self.talk.service
        present = established(group=group)
        self.facts = ClientFacts("192.0.2.7", "public", replace(present, identity=server_identity("chat", *names)))
        route = self.service.runtime.routes.match(b"chat.test", b"/")
        assert route is not None
        self.target = route.payload
        self.use(routes=self.routes(host.decode()), logs_websocket_opens=logs_opens)
        reader = RequestReader()
        self.request = reader.read(request(*WEBSOCKET, start=b"GET /gateway?v=9 HTTP/1.1", host=host), LIMITS.head)
        client = FakeClient()
        self.exchange = Exchange(client, client.writer_for(self.request), self.service, self.request, b"f00-1")
        admitted = self.request.routed(self.facts.tls, self.service.runtime.routes)
        assert isinstance(admitted, RouteTarget)
        self.exchange.refused_by(admitted.body_bytes)
        self.exchange.tally.route = admitted.label
        self.request.requester = self.facts.requester
        self.exchange.target = admitted
        self.exchange.start(self.request.upstream_fields())
        self.server = self.talk.server.lend()
        self.server.receive(SWITCHED)
        _, (_, switched) = client.told()
        self.upgraded = Upgraded(self.service, self.facts, self.request, self.exchange.tally)
        self.client = FakeStream(self.talk.loop)
        self.tunnel = self.upgraded.begin(self.client, switched, b"")

    def routes(self, host: str = "chat.test", **changes: Any) -> RouteTable[RouteTarget]:
        """The route of the conversation for a host, with some of its settings changed."""
        return RouteTable([Route(host, "/", replace(self.target, **changes))])

    def use(self, **changes: Any) -> None:
        """Change what is served by, without a word to anybody."""
        self.service.runtime = replace(self.service.runtime, **changes)

    def unwelcome(self) -> str:
        """Why the tunnel may not stay."""
        with pytest.raises(NoLongerWelcome) as caught:
            self.upgraded.tunnel_stands()
        return caught.value.reason


class TestStanding:
    """Judged as if its request came now, by whoever it came from."""

    def test_it_stays_under_what_it_began_with(self) -> None:
        case = Case()
        case.upgraded.tunnel_stands()
        case.use(routes=case.routes(), policies={"public": handshake_policy(HYBRID)})
        case.upgraded.tunnel_stands()

    def test_it_goes_with_its_listener(self) -> None:
        case = Case()
        before = case.facts.tls
        case.use(policies={"other": handshake_policy()})
        assert case.unwelcome() == "a reload removed its listener"
        assert case.facts.tls is before

    def test_it_goes_with_its_key_exchange(self) -> None:
        case = Case(group=CLASSICAL)
        case.use(policies={"public": handshake_policy(HYBRID)})
        assert case.unwelcome() == "a reload forbids its key exchange group X25519"

    def test_it_goes_with_its_route_and_comes_back_with_it(self) -> None:
        case = Case()
        present = case.service.runtime.routes
        case.use(routes=case.routes("other.test"))
        assert case.unwelcome() == "a reload removed its route or made it stricter: nothing is served here"
        case.use(routes=present)
        case.upgraded.tunnel_stands()

    def test_route_that_became_stricter_keeps_who_is_strict_enough(self) -> None:
        for group, is_welcome in ((HYBRID, True), (CLASSICAL, False)):
            case = Case(group=group)
            case.use(routes=case.routes(requires_pq=True))
            if is_welcome:
                case.upgraded.tunnel_stands()
            else:
                assert case.unwelcome().startswith(
                    "a reload removed its route or made it stricter: this route requires post-quantum key exchange"
                )

    def test_its_host_may_leave_the_identity_that_the_connection_was_made_for(self) -> None:
        """The server name of the handshake is another one, and still there."""
        case = Case(host=b"www.test", names=("chat.test", "www.test"))
        both = server_identity("chat", "chat.test", "www.test", "new.test")
        case.use(routes=case.routes("www.test"), policies={"public": handshake_policy(identities=[both])})
        case.upgraded.tunnel_stands()
        assert case.facts.tls.identity is both
        case.use(routes=case.routes("www.test"), policies={"public": handshake_policy()})
        assert case.unwelcome() == (
            "a reload removed its route or made it stricter: this connection was made for another host name"
        )

    def test_tunnel_that_may_not_stay_says_why_to_its_peers_and_to_the_log(self) -> None:
        case = Case()
        case.use(policies={})
        case.tunnel.configuration_changed(30.0)
        case.talk.advance(15.1)
        assert case.client.sent().endswith(b"a reload removed its listener")
        case.talk.advance(6)
        (record,) = case.talk.records
        assert record.error == "a reload removed its listener"


class TestEnd:
    """One line for all that it was."""

    def test_one_that_opens_is_logged_if_asked_for_and_never_counted(self) -> None:
        assert Case().talk.records == []
        case = Case(logs_opens=True)
        (record,) = case.talk.records
        assert (record.opens, record.status, record.messages, record.route) == (True, 101, None, "chat.test/")
        assert case.service.counters.snapshot()["listener_requests"] == []

    def test_the_line_has_the_request_and_what_went_through_the_tunnel(self) -> None:
        case = Case()
        case.talk.advance(100)
        case.client.receive(QUESTION * 2)
        case.server.receive(ANSWER)
        assert case.talk.records == []
        case.tunnel.end("the client was lost")
        (record,) = case.talk.records
        assert record.connection is case.facts.requester.record
        assert record.target is not None
        assert (record.target.host, record.target.path, record.target.query) == ("chat.test", "/gateway", "v=9")
        assert (record.status, record.error, record.messages) == (101, "the client was lost", (2, 1))
        assert (record.request_bytes, record.response_bytes) == (2 * len(QUESTION), len(ANSWER))
        assert (record.first_byte, record.duration) == (0.0, 100.0)
        assert (record.route, record.upstream) == ("chat.test/", "http://127.0.0.1:8000")
        assert record.request_id == "f00-1"

    def test_proper_close_has_no_reason(self) -> None:
        case = Case()
        case.client.receive(b"\x88\x82\0\0\0\0\x03\xe8")
        case.server.receive(b"\x88\x02\x03\xe8")
        case.server.receive_end()
        (record,) = case.talk.records
        assert (record.error, record.messages) == (None, (0, 0))

    def test_its_server_forgets_it(self) -> None:
        case = Case()
        assert case.talk.server.server.tunnels == {case.tunnel}
        case.tunnel.close(CloseCode.GOING_AWAY, "over")
        assert case.talk.server.server.tunnels == {case.tunnel}
        case.talk.advance(6)
        assert case.talk.server.server.tunnels == set()
        assert case.service.count == 1, "the conversation's own connection"


class Counted:
    """The connections of a listener."""

    def __init__(self) -> None:
        self.open: list[bytes] = []

    def admit_tunnel(self, network: bytes) -> ClientCounts | ConnectionReason:
        """Count one in; two are too many."""
        if len(self.open) == 2:
            return ConnectionReason.CONNECTIONS
        self.open.append(network)
        return ClientCounts(network, (0, 0), (0, 0))

    def tunnel_over(self, client: ClientCounts) -> None:
        """Count it out."""
        self.open.remove(client.network)


class TestPlace:
    """A WebSocket that is not a counted connection of its client becomes one."""

    def place(self, case: Case, *lines: bytes, is_stream: bool = False) -> TunnelPlace | RequestRefusal:
        """That of a request on this connection."""
        asked = RequestReader().read(request(*WEBSOCKET, *lines), LIMITS.head)
        asked.requester = case.facts.client_of(asked.framing.fields)
        return place_for(case.service, case.facts, asked, case.talk.server.server, is_stream=is_stream)

    def test_streams_and_clients_that_a_trusted_peer_names_are_counted(self) -> None:
        case, counted = Case(), Counted()
        case.facts = ClientFacts("192.0.2.7", "public", established(), TRUST)
        case.facts.listener_places = counted
        assert isinstance(self.place(case), TunnelPlace)
        assert counted.open == [], "its connection is counted"
        assert isinstance(self.place(case, b"X-Forwarded-For: 203.0.113.5"), TunnelPlace)
        stream = self.place(case, is_stream=True)
        assert isinstance(stream, TunnelPlace)
        assert counted.open == [network_of("203.0.113.5"), network_of("192.0.2.7")]
        refused = self.place(case, is_stream=True)
        assert isinstance(refused, RequestRefusal)
        assert (refused.status, refused.reason) == (503, "too_many_websockets: connections")
        stream.release()
        case.talk.loop.settle()
        assert counted.open == [network_of("203.0.113.5")]
