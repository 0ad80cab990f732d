"""The PROXY header before a handshake: who may send one, whose connection it is then, and what
is not a failure."""

import gc
import socket
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from proxy.downstream.listeners.proxy_header import HeaderPhase
from proxy.limits.networks import network_of
from proxy.limits.rates import Rate
from proxy.tls.handshake.challenge import TlsChallenge
from tests.proxy.downstream.listeners.listener_world import LIMITS, World
from tests.proxy.proxy_protocol.headers import LOCAL, TCP4, TCP6, UNSPEC, ends, version2
from tests.proxy.tls.clients import TlsClient

GET = b"GET / HTTP/1.1\r\nHost: other.test\r\n\r\n"
TEXT = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"
OTHER = b"PROXY TCP4 192.0.2.2 198.51.100.2 56324 443\r\n"
UNKNOWN = b"PROXY UNKNOWN\r\n"
CHECK = version2(UNSPEC, b"", LOCAL)
HEADERS = {
    "text": (TEXT, "192.0.2.1"),
    "binary": (version2(TCP4, ends("192.0.2.1", "198.51.100.2")), "192.0.2.1"),
    "binary_ipv6": (version2(TCP6, ends("2001:db8::7", "2001:db8::2")), "2001:db8::7"),
    "unknown": (UNKNOWN, "127.0.0.1"),
    "unspecified": (version2(UNSPEC, b"whatever"), "127.0.0.1"),
    "local": (CHECK, "127.0.0.1"),
}
EACH = pytest.mark.parametrize(("header", "client"), list(HEADERS.values()), ids=list(HEADERS))


@pytest.fixture
def behind(world: World) -> Iterator[World]:
    """The listener takes PROXY headers of this machine."""
    trusted = (ip_network("127.0.0.0/8"),)
    world.listener.runtime = replace(world.listener.runtime, trusted_peers=trusted, header_senders=trusted)
    yield world
    counts = world.listener.counts
    for client in world.clients:
        client.sock.close()
    world.loop.settle()
    assert (counts.open, counts.in_flight, counts._clients, world.listener.tally.open) == (0, 0, {}, 0)
    world.conversation.client.lose()  # the other connection of this service
    assert world.http.count == 0


def limit(world: World, **limits: Any) -> None:
    world.listener.runtime = replace(world.listener.runtime, limits=replace(LIMITS, **limits))


def relayed(world: World, header: bytes) -> TlsClient:
    """A client whose balancer has sent this."""
    client = world.connect()
    client.sock.send(header)
    world.loop.settle()
    return client


def asks(world: World, client: TlsClient) -> None:
    client.sock.send(client.sealed(GET))
    world.loop.settle()


class TestTheClientOfTheHeader:
    @EACH
    def test_it_is_the_client_of_the_connection(self, behind: World, header: bytes, client: str) -> None:
        one = relayed(behind, header)
        one.establish(behind.loop)
        asks(behind, one)
        assert one.read().startswith(b"HTTP/1.1 421 ")
        assert [record.connection.client for record in behind.conversation.records] == [client]
        assert (behind.failures, behind.records) == ({"misdirected_host": 1}, [])

    @EACH
    def test_header_and_hello_may_come_in_one_segment_or_octet_by_octet(
        self, behind: World, header: bytes, client: str
    ) -> None:
        for octet_by_octet in (False, True):
            one = behind.connect()
            data = header + one.handshake_step()
            for piece in [bytes([octet]) for octet in data] if octet_by_octet else [data]:
                one.sock.send(piece)
                behind.loop.settle()
            one.receive()
            one.establish(behind.loop)
            asks(behind, one)
        assert [record.connection.client for record in behind.conversation.records] == [client, client]

    def test_a_failed_handshake_is_told_with_that_client(self, behind: World) -> None:
        one = relayed(behind, TEXT + b"GET / HTTP/1.1\r\n\r\n")
        assert behind.is_ended(one)
        (record,) = behind.records
        assert (record.client, record.reason) == ("192.0.2.1", "not_tls")

    def test_limits_on_single_clients_count_it_and_not_the_balancer(self, behind: World) -> None:
        limit(behind, connections_per_address=1)
        first, second = relayed(behind, TEXT), relayed(behind, OTHER)
        for one in (first, second):
            one.establish(behind.loop)
            asks(behind, one)
            assert one.read().startswith(b"HTTP/1.1 421 ")
        assert set(behind.listener.counts._clients) == {network_of("192.0.2.1"), network_of("192.0.2.2")}
        third = relayed(behind, TEXT)
        assert behind.is_refused(third)
        assert behind.failures["connections_per_address"] == 1
        behind.loop.advance(1.5)
        assert [event["clients"] for event, _ in behind.events] == [{"192.0.2.1": 1}]

    def test_the_rate_of_handshakes_is_the_clients(self, behind: World) -> None:
        limit(behind, handshake_rate=Rate.of(0.001, 1))
        relayed(behind, TEXT).establish(behind.loop)
        relayed(behind, OTHER).establish(behind.loop)
        assert behind.is_refused(relayed(behind, TEXT))
        assert behind.failures == {"handshakes_per_second_per_address": 1}

    def test_exempt_is_judged_by_it(self, behind: World) -> None:
        exempt = (ip_network("192.0.2.1/32"),)
        behind.listener.runtime = replace(behind.listener.runtime, exempt=exempt)
        limit(behind, connections_per_address=1)
        for _ in range(3):
            relayed(behind, TEXT).establish(behind.loop)
        assert behind.failures == {}

    def test_the_balancer_in_exempt_exempts_no_client(self, behind: World) -> None:
        behind.listener.runtime = replace(behind.listener.runtime, exempt=(ip_network("127.0.0.0/8"),))
        limit(behind, connections_per_address=1)
        relayed(behind, TEXT).establish(behind.loop)
        behind.loop.advance(0.1)
        assert behind.is_refused(relayed(behind, TEXT))

    def test_a_client_at_the_address_of_the_balancer_counts_once(self, behind: World) -> None:
        limit(behind, connections_per_address=1)
        relayed(behind, b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n").establish(behind.loop)
        assert behind.failures == {}

    def test_a_ca_gets_its_challenge(self, behind: World) -> None:
        behind.challenges.follow([TlsChallenge("chat.test", bytes(32))])
        one = behind.connect()
        one.offer_protocols(b"\x0aacme-tls/1")
        one.sock.send(TEXT + one.handshake_step())
        behind.loop.settle()
        # the certificate of a challenge is trusted by no client: its flight is proof enough
        assert one.receive()
        one.sock.close()
        behind.loop.settle()
        assert behind.records[0].client == "192.0.2.1"


class TestWhoMayConnect:
    def test_another_peer_is_closed_and_counted(self, behind: World) -> None:
        trusted = (ip_network("192.0.2.0/24"),)
        behind.listener.runtime = replace(behind.listener.runtime, header_senders=trusted)
        assert behind.is_refused(behind.connect())
        assert behind.failures == {"proxy_header_sender": 1}
        behind.loop.advance(1.5)
        ((event, line),) = behind.events
        assert event["reasons"] == {"proxy_header_sender": 1}
        assert event["clients"] == {"127.0.0.1": 1}
        assert "1 refused, not from proxy_protocol_from" in line

    @pytest.mark.parametrize(
        ("data", "detail"),
        [
            (b"\x16\x03\x01", "the connection begins with TLS, and a PROXY header has to come first"),
            (b"GET / HTTP/1.1\r\n", "the connection begins with something else than a PROXY header: 47"),
            (TEXT.replace(b"443", b"0443"), "the PROXY line breaks the format of version 1: "),
        ],
    )
    def test_a_wrong_header_ends_the_connection_with_a_line_in_the_log(
        self, behind: World, data: bytes, detail: str
    ) -> None:
        assert behind.is_refused(relayed(behind, data))
        (record,) = behind.records
        assert (record.client, record.reason, record.groups) == ("127.0.0.1", "proxy_header", ())
        assert record.detail.startswith(detail)
        assert behind.failures == {"proxy_header": 1}

    def test_what_comes_behind_a_wrong_header_means_nothing(self, behind: World) -> None:
        one = behind.connect()
        one.sock.send(b"G")
        (phase,) = (watched for watched in behind.conversation.deadlines._watched if isinstance(watched, HeaderPhase))
        behind.loop.settle()
        phase.data_received(memoryview(TEXT))
        assert behind.failures == {"proxy_header": 1}

    def test_a_second_header_is_no_tls(self, behind: World) -> None:
        assert behind.is_ended(relayed(behind, TEXT + OTHER))
        assert behind.failures == {"not_tls": 1}

    def test_without_proxy_protocol_a_header_is_no_tls(self, world: World) -> None:
        assert world.is_ended(relayed(world, TEXT))
        assert world.failures == {"not_tls": 1}


class TestChecksOfTheBalancer:
    @pytest.mark.parametrize("data", [b"", CHECK, UNKNOWN, b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n"])
    @pytest.mark.parametrize("resets", [False, True])
    def test_one_that_closes_is_no_failure(self, behind: World, data: bytes, *, resets: bool) -> None:
        one = relayed(behind, data)
        if resets:
            one.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        behind.leave(one)
        assert (behind.failures, behind.records) == ({}, [])

    def test_they_are_not_limited_as_a_single_client(self, behind: World) -> None:
        limit(behind, connections_per_address=1, handshake_rate=Rate.of(0.001, 1))
        for _ in range(3):
            relayed(behind, CHECK).establish(behind.loop)
        assert behind.failures == {}

    def test_who_sends_no_address_counts_for_the_balancer(self, behind: World) -> None:
        limit(behind, connections_per_address=1)
        relayed(behind, UNKNOWN).establish(behind.loop)
        one = relayed(behind, UNKNOWN)
        one.sock.send(one.handshake_step())
        behind.loop.settle()
        assert behind.is_refused(one)
        assert behind.failures == {"connections_per_address": 1}

    def test_a_crowd_of_one_client_makes_room_for_them(self, behind: World) -> None:
        limit(behind, handshakes_in_flight=4)
        check = relayed(behind, CHECK)
        crowd = [relayed(behind, TEXT) for _ in range(3)]
        late = relayed(behind, OTHER)
        assert behind.is_ended(crowd[0])
        check.establish(behind.loop)
        late.establish(behind.loop)
        assert behind.failures == {"shed_silent": 1}


class TestEnding:
    @pytest.mark.parametrize("data", [TEXT[:-1], CHECK[:-1], b"P"])
    @pytest.mark.parametrize("resets", [False, True])
    def test_a_part_of_a_header_is_refused(self, behind: World, data: bytes, *, resets: bool) -> None:
        one = relayed(behind, data)
        if resets:
            one.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        behind.leave(one)
        assert behind.failures == {"proxy_header": 1}

    @pytest.mark.parametrize(
        ("data", "missing"), [(b"", "PROXY header"), (TEXT[:-1], "PROXY header"), (CHECK, "ClientHello")]
    )
    def test_the_time_is_that_of_the_handshake(self, behind: World, data: bytes, missing: str) -> None:
        one = relayed(behind, data)
        behind.loop.advance(9.5)
        assert behind.failures == {}
        behind.loop.advance(1.0)
        assert behind.failures == {"timeout": 1}
        assert behind.records[0].detail == f"no {missing} came in time"
        assert behind.is_refused(one)

    def test_the_header_takes_its_time_from_the_handshake(self, behind: World) -> None:
        one = behind.connect()
        behind.loop.advance(6)
        one.sock.send(TEXT)
        behind.loop.settle()
        behind.loop.advance(4.5)
        assert behind.failures == {"timeout": 1}
        assert behind.records[0].duration_ms >= 10_000
        behind.loop.advance(60)

    def test_a_drain_leaves_it_a_short_time(self, behind: World) -> None:
        behind.conversation.client.lose()  # the other connection of this service
        relayed(behind, CHECK)
        relayed(behind, b"P")
        behind.http.connections.drain(60.0)
        behind.http.connections.give_up("the end")
        assert behind.http.count == 2
        behind.loop.advance(2.5)
        assert behind.failures == {"timeout": 2}

    def test_a_connection_that_goes_on_is_drained_once_it_is_established(self, behind: World) -> None:
        behind.conversation.client.lose()
        one = behind.connect()
        quiet = behind.http.connections.drain(60.0)
        one.sock.send(TEXT)
        behind.loop.settle()
        assert not quiet.is_set()
        one.establish(behind.loop)
        asks(behind, one)
        assert b"\r\nConnection: close\r\n" in one.read()
        behind.leave(one)
        assert quiet.is_set()

    def test_a_reload_in_between_is_for_what_follows(self, behind: World) -> None:
        one = behind.connect()
        behind.http.use(behind.http.runtime, 1.0)
        one.sock.send(TEXT)
        behind.loop.settle()
        one.establish(behind.loop)
        assert behind.failures == {}

    def test_silent_ones_make_room_for_others(self, behind: World) -> None:
        limit(behind, handshakes_in_flight=2)
        first = behind.connect()
        behind.connect()
        behind.connect()
        assert behind.is_refused(first)
        assert behind.failures == {"shed_silent": 1}

    def test_bytes_that_wait_for_their_turn_are_seen(self, behind: World) -> None:
        one = behind.connect()
        (phase,) = (watched for watched in behind.conversation.deadlines._watched if isinstance(watched, HeaderPhase))
        assert not phase.is_unread
        one.sock.send(b"P")
        assert phase.is_unread
        behind.loop.settle()
        assert not phase.is_unread

    def test_all_of_it_is_let_go(self, behind: World) -> None:
        gc.collect()
        gc.disable()
        try:
            for data in (CHECK, TEXT, b"x"):
                behind.leave(relayed(behind, data))
                behind.loop.advance(10)
            assert not [one for one in gc.get_objects() if isinstance(one, HeaderPhase)]
        finally:
            gc.enable()

    def test_scarcity_may_end_it(self, behind: World) -> None:
        one = behind.connect()
        behind.loop.advance(1.0)
        (idle,) = behind.http.shed(1)
        assert (idle.client, idle.listener) == (b"", "public")
        assert behind.is_refused(one)
