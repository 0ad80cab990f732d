"""A connection that began with the header of a client serves that connection of that client alone."""

import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from config.tables.upstream import ProxyHeaderVersion
from proxy.downstream.requests.client import ClientFacts
from proxy.downstream.requests.origin import Origin, RequestLink
from proxy.limits.networks import network_of
from proxy.proxy_protocol.header import Endpoints, ProxyHeader, Relayed
from proxy.upstream.http1.linked_pool import LinkedPool
from proxy.upstream.pooling.client_link import ClientLink
from proxy.upstream.pooling.failures import UpstreamFault
from proxy.upstream.pooling.pools import PoolResources, ServerLimits
from tests.fakes_http import established
from tests.proxy.upstream.http1.test_pool import Guest, Place


def client(number: int) -> ClientFacts:
    """The connection of a client at an address of its own."""
    address = f"192.0.2.{number}"
    facts = ClientFacts(address, "public", established())
    header = ProxyHeader(Relayed.CLIENT, Endpoints(address, 1, "198.51.100.2", 443))
    with socket.socket() as sock:
        facts.origin = Origin(sock, header)
    return facts


class LinkedPlace(Place):
    """The same server, which wants headers of version 1."""

    def __init__(self, loop: uvloop.Loop, directory: Path, limits: ServerLimits) -> None:
        super().__init__(loop, directory, limits, None)
        resources = PoolResources(self.server._resources.io, self.tasks, self.deadlines)
        self.linked = LinkedPool(self.server.settings, resources, ProxyHeaderVersion.TEXT)
        self.linked.owner = self
        self.served: dict[socket.socket, bytes] = {}

    def asks(self, link: ClientLink, address: str = "") -> Guest:
        """One more request of this client's connection."""
        shown = address or (link.address if isinstance(link, ClientFacts) else "192.0.2.99")
        guest = Guest(network_of(shown), link)
        self.guests.append(guest)
        self.linked.acquire(guest)
        return guest

    def figures(self) -> tuple[int, int, int, int]:
        """Open, idle, dialling, waiting."""
        now = self.linked.figures()
        return now.open, now.idle, now.dialling, now.waiting

    def headers(self) -> list[bytes]:
        """The first line of each connection that the server has taken since the last call."""
        assert self._listening is not None
        self._listening.settimeout(0)
        lines: list[bytes] = []
        while True:
            try:
                sock, _ = self._listening.accept()
            except BlockingIOError:
                return lines
            lines.append(sock.recv(1_000).split(b"\r\n")[0])
            sock.close()

    def close(self) -> None:
        """End what is left."""
        self.linked.close_idle()
        super().close()


@pytest.fixture
def pool() -> Iterator[LinkedPlace]:
    """A pool of two connections."""
    with TemporaryDirectory() as directory, closing(uvloop.new_event_loop()) as loop:
        made = LinkedPlace(loop, Path(directory), ServerLimits(2, 2, wait_seconds=5.0))
        yield made
        made.close()
        assert made.errors == []


class TestWhoseItIs:
    def test_the_header_names_the_client_that_it_is_dialled_for(self, pool: LinkedPlace) -> None:
        pool.asks(client(1))
        pool.asks(client(2))
        pool.settle()
        assert sorted(pool.headers()) == [
            b"PROXY TCP4 192.0.2.1 198.51.100.2 1 443",
            b"PROXY TCP4 192.0.2.2 198.51.100.2 1 443",
        ]

    def test_the_same_connection_of_a_client_uses_it_again(self, pool: LinkedPlace) -> None:
        one = client(1)
        first = pool.asks(one)
        pool.settle()
        first.answer()
        assert pool.figures() == (1, 1, 0, 0)
        assert pool.linked.exchanges == 0
        assert pool.asks(one).connection is first.connection
        assert pool.linked.exchanges == 1

    def test_another_connection_of_the_same_client_does_not(self, pool: LinkedPlace) -> None:
        first = pool.asks(client(1))
        pool.settle()
        first.answer()
        second = pool.asks(client(1))
        assert second.connection is None
        pool.settle()
        assert second.is_served
        assert second.connection is not first.connection

    def test_it_ends_with_the_client(self, pool: LinkedPlace) -> None:
        one = client(1)
        first = pool.asks(one)
        pool.settle()
        first.answer()
        one.left()
        assert pool.figures() == (0, 0, 0, 0)
        pool.settle()
        assert not first.connection or not first.connection.is_idle

    def test_an_answer_for_a_client_that_has_left_leaves_nothing(self, pool: LinkedPlace) -> None:
        one = client(1)
        first = pool.asks(one)
        pool.settle()
        one.left()
        first.answer()
        assert pool.figures() == (0, 0, 0, 0)

    def test_a_dial_for_a_client_that_has_left_leaves_nothing(self, pool: LinkedPlace) -> None:
        one = client(1)
        first = pool.asks(one)
        first.leave()
        one.left()
        pool.settle()
        assert pool.figures() == (0, 0, 0, 0)

    def test_a_dial_for_a_request_that_was_given_up_is_kept_for_the_next(self, pool: LinkedPlace) -> None:
        one = client(1)
        pool.asks(one).leave()
        pool.settle()
        assert pool.figures() == (1, 1, 0, 0)
        assert pool.asks(one).is_served

    def test_a_request_that_a_trusted_peer_sends_for_another_has_it_for_itself(self, pool: LinkedPlace) -> None:
        peer = client(1)
        links = [RequestLink(peer.origin, "192.0.2.99", peer.tls) for _ in range(2)]
        first = pool.asks(links[0])
        pool.settle()
        first.answer()
        assert pool.figures() == (0, 0, 0, 0)
        pool.asks(links[1])
        pool.settle()
        assert pool.headers() == [b"PROXY TCP4 192.0.2.99 198.51.100.2 0 443"] * 2

    def test_one_that_the_server_has_closed_is_passed_over(self, pool: LinkedPlace) -> None:
        one = client(1)
        first, second = pool.asks(one), pool.asks(one)
        pool.settle()
        first.answer()
        second.answer()
        assert second.connection is not None
        second.connection._close()  # its stream tells the pool in the next turn
        assert pool.asks(one).connection is first.connection


class TestRoom:
    def test_the_longest_idle_one_makes_room_for_another_client(self, pool: LinkedPlace) -> None:
        one, two = client(1), client(2)
        guests = [pool.asks(one), pool.asks(two)]
        pool.settle()
        for guest in guests:
            guest.answer()
        third = pool.asks(client(3))
        assert pool.figures() == (1, 1, 1, 0)
        pool.settle()
        assert third.is_served
        assert pool.asks(two).connection is guests[1].connection

    def test_a_request_waits_while_all_are_in_use(self, pool: LinkedPlace) -> None:
        one = client(1)
        first, second = pool.asks(one), pool.asks(client(2))
        third = pool.asks(client(3))
        pool.settle()
        assert pool.figures() == (2, 0, 0, 1)
        assert repr(pool.linked).endswith("open=2 idle=0 dialling=0 waiting=1>")
        first.answer()  # it becomes idle, and makes room at once
        assert pool.figures() == (1, 0, 1, 0)
        pool.settle()
        assert third.is_served
        assert second.is_served

    def test_one_that_is_lost_makes_room(self, pool: LinkedPlace) -> None:
        first, second = pool.asks(client(1)), pool.asks(client(2))
        third = pool.asks(client(3))
        pool.settle()
        assert first.connection is not None
        first.connection.abandon()
        pool.settle()
        assert third.is_served
        assert second.is_served

    def test_an_idle_one_that_is_lost_is_forgotten(self, pool: LinkedPlace) -> None:
        one = client(1)
        first = pool.asks(one)
        pool.settle()
        first.answer()
        pool.headers()
        pool.settle()
        assert pool.figures() == (0, 0, 0, 0)

    def test_who_has_too_many_waits_for_its_own(self, pool: LinkedPlace) -> None:
        one = client(1)
        guests = [pool.asks(one) for _ in range(4)]
        pool.settle()
        assert pool.figures()[3] == 2
        assert pool.asks(one).failures == [UpstreamFault.BUSY]
        guests[0].answer()
        pool.settle()
        assert sum(guest.is_served for guest in guests) == 2

    def test_a_server_that_is_not_there_costs_no_place(self, pool: LinkedPlace) -> None:
        pool.refuse()
        guest = pool.asks(client(1))
        pool.settle()
        assert guest.failures == [UpstreamFault.UNREACHABLE]
        assert pool.figures() == (0, 0, 0, 0)

    def test_a_server_that_leaves_keeps_none(self, pool: LinkedPlace) -> None:
        first = pool.asks(client(1))
        pool.settle()
        pool.keeps_idle = False
        first.answer()
        assert pool.figures() == (0, 0, 0, 0)

    def test_an_unexpected_error_is_told_and_costs_no_place(self, pool: LinkedPlace) -> None:
        broken = replace(pool.linked.settings.dialling, connect_seconds="soon")  # type: ignore[arg-type]
        resources = PoolResources(pool.server._resources.io, pool.tasks, pool.deadlines)
        linked = LinkedPool(replace(pool.linked.settings, dialling=broken), resources, ProxyHeaderVersion.BINARY)
        linked.owner = pool
        guest, left = Guest(link=client(1)), Guest(link=client(1))
        linked.acquire(guest)
        linked.acquire(left)
        left.leave()
        pool.settle()
        assert guest.failures == [UpstreamFault.UNREACHABLE]
        assert linked.figures().open == linked.figures().dialling == 0
        pool.errors.clear()


STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "answer", "leave", "settle", "abandon"]), st.integers(0, 3)), max_size=30
)


def step(pool: LinkedPlace, what: str, one: ClientLink) -> None:
    """Do something that may happen to this client."""
    mine = [guest for guest in pool.guests if guest.link is one and guest.is_served]
    match what:
        case "ask" if one.keeps_servers:
            pool.asks(one)
        case "answer" if mine:
            mine[0].answer()
        case "abandon" if mine and mine[0].connection is not None:
            mine[0].connection.abandon()
            mine[0].exchange.events.append(("abandoned", None))
        case "settle":
            pool.settle()
        case _:
            pass


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_no_client_ever_gets_the_connection_of_another(steps: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as directory, closing(uvloop.new_event_loop()) as loop:
        pool = LinkedPlace(loop, Path(directory), ServerLimits(2, 2, wait_seconds=5.0))
        clients = [client(number) for number in range(1, 5)]
        owners: dict[object, ClientLink] = {}
        for what, number in steps:
            step(pool, what, clients[number])
            if what == "leave":
                clients[number].left()
                clients[number] = client(number + 1)
            for guest in pool.guests:
                if guest.connection is not None:
                    assert owners.setdefault(guest.connection, guest.link) is guest.link
            now = pool.linked.figures()
            assert now.open + now.dialling <= 2
        pool.close()
        assert pool.errors == []
