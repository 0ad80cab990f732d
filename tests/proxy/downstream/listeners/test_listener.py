"""Accepting connections: what is counted and when it is counted out, which limits hold, what is
handed on."""

import errno
import gc
import itertools
import socket
import ssl
from dataclasses import replace
from functools import partial
from ipaddress import ip_network

import pytest

from config.schema import HttpProtocol, PqPolicy
from proxy.downstream.http1.connection import Http1Connection
from proxy.limits.networks import EXEMPT, network_of
from proxy.limits.rates import Rate
from proxy.limits.reasons import ConnectionReason
from proxy.net.sockets import SocketStream
from proxy.net.tcp_options import MOST_UNSENT_BYTES
from proxy.observe.events.clients import HandshakeFailed
from proxy.tls.handshake.challenge import TlsChallenge
from proxy.tls.handshake.handshake import Handshake
from proxy.tls.openssl.stream import TlsStream
from proxy.tls.wire.groups import KNOWN
from tests.fakes import LINGER, FakeFigures, changed_identity, changed_policy
from tests.fakes_http import HYBRID, handshake_policy, server_identity
from tests.fakes_signing import HandExecutor
from tests.proxy.downstream.listeners.listener_world import LIMITS, Credential, World, runtime
from tests.proxy.tls import hellos
from tests.proxy.tls.clients import TlsClient

REQUEST = b"GET /missing HTTP/1.1\r\nHost: chat.test\r\n\r\n"


def connection_parts() -> int:
    """How many objects there are that belong to one connection."""
    kinds = (Handshake, SocketStream, TlsStream, Http1Connection)
    return sum(isinstance(one, kinds) for one in gc.get_objects())


def test_ca_that_looked_is_told_of_and_gone(world: World) -> None:
    world.challenges.follow([TlsChallenge("unknown.test", bytes(32))])
    context = hellos.client_context("X25519")
    context.set_alpn_protocols(["acme-tls/1"])
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    sock = socket.create_connection(world.listening.getsockname())
    sock.settimeout(0)
    client = TlsClient(sock, context, "unknown.test")
    world.clients.append(client)
    world.loop.settle()
    for _ in range(2):
        sock.send(client.handshake_step())
        world.loop.settle()
        client.receive()
    assert client.read() == b""
    assert client.sees_end
    ((event, line),) = world.events
    expected = {"event": "challenge_answered", "client": "127.0.0.1", "listener": "public", "name": "unknown.test"}
    assert event == expected
    assert line == "127.0.0.1 fetched the tls-alpn-01 challenge for unknown.test"
    assert (world.failures, world.handshakes, world.records) == ({}, {}, [])
    world.leave(client)
    assert world.listener.tally.open == 0


class TestAccepting:
    def test_client_gets_a_handshake_and_then_http(self, world: World) -> None:
        client = world.connect("X25519MLKEM768")
        client.establish(world.loop)
        assert world.handshakes == {("chat", "hybrid"): 1}
        client.sock.send(client.sealed(b"GET / HTTP/1.1\r\nHost: other.test\r\n\r\n"))
        world.loop.settle()
        assert client.read().startswith(b"HTTP/1.1 421 ")
        (record,) = world.conversation.records
        assert record.connection.client == "127.0.0.1"
        assert record.connection.listener == "public"
        assert record.connection.name == "chat.test"
        assert record.connection.group == "X25519MLKEM768"
        assert record.connection.outcome == "hybrid"

    def test_open_connections_are_counted_for_a_scrape(self, world: World) -> None:
        counts = world.counters.listener("public")
        first, second = world.connect(), world.connect()
        assert (counts.accepted, counts.open) == (2, 2)
        world.leave(first)
        assert (counts.accepted, counts.open) == (2, 1)
        world.leave(second)
        world.limit(connections=0)
        world.connect()
        assert (counts.accepted, counts.open) == (2, 0)
        assert world.failures["connections"] == 1

    def test_client_that_require_would_refuse_is_counted_once_with_its_user_agent(self, world: World) -> None:
        for groups in ("X25519", "X25519MLKEM768"):
            client = world.connect(groups)
            client.establish(world.loop)
            for _ in range(2):
                client.sock.send(client.sealed(b"GET / HTTP/1.1\r\nHost: other.test\r\nUser-Agent: old/1.0\r\n\r\n"))
                world.loop.settle()
        (breaking,) = [day["public"] for day in world.counters.breaking.snapshot().values()]
        assert breaking["networks"]["entries"] == [["127.0.0.0/24", 1, 0]]
        assert breaking["agents"]["entries"] == [["old/1.0", 1, 0]]

    def test_a_crowd_is_accepted_in_several_turns(self, world: World) -> None:
        socks = [socket.create_connection(world.listening.getsockname()) for _ in range(40)]
        counts = []
        for _ in range(3):
            world.loop.turn()
            counts.append(world.listener.counts.open)
        assert counts == [16, 20, 20]  # the limit on handshakes holds from then on
        assert world.failures == {"shed_silent": 20}
        for sock in socks:
            sock.close()

    def test_a_crowd_that_waited_gets_through_though_it_is_larger_than_the_limit_on_handshakes(
        self, world: World
    ) -> None:
        """As after a restart: who is not seen to yet waits in the kernel, and not among the
        handshakes in flight."""
        world.limit(handshakes_in_flight=40, handshakes_per_address=40, connections_per_address=100)
        crowd = []
        for _ in range(90):
            sock = socket.create_connection(world.listening.getsockname())
            sock.settimeout(0)
            crowd.append(TlsClient(sock, hellos.client_context("X25519"), "chat.test"))
        world.clients.extend(crowd)
        for _ in range(150):
            for client in crowd:
                client.receive()
                if not client.is_established and (data := client.handshake_step()):
                    client.sock.sendall(data)
            world.loop.turn()
        assert world.failures == {}
        assert sum(world.handshakes.values()) == 90

    def test_who_keeps_handshakes_waiting_does_not_shut_others_out(self, world: World) -> None:
        class Endless:
            """A handshake that has many more steps to make."""

            left = 100

            def step(self) -> None:
                """Nothing."""

            def stepped(self) -> None:
                """Come again."""
                self.left -= 1
                if self.left:
                    steps.enlist(self)

        steps = world.listener._services.flights.steps
        for _ in range(50):
            steps.enlist(Endless())
        socks = [socket.create_connection(world.listening.getsockname()) for _ in range(3)]
        for _ in range(3):
            world.loop.turn()
        assert world.listener.counts.open == 3
        for sock in socks:
            sock.close()

    def test_all_of_a_connection_is_let_go_when_it_ends(self, world: World) -> None:
        """Not by a garbage collection later: thousands a second would wait for it, 40 KB each,
        and die cold."""
        gc.collect()
        gc.disable()
        try:
            before = connection_parts()
            client = world.connect("X25519MLKEM768")
            client.establish(world.loop)
            assert connection_parts() == before + 3
            world.leave(client)
            assert connection_parts() == before
        finally:
            gc.enable()

    def test_all_of_a_failed_handshake_is_let_go(self, world: World) -> None:
        gc.collect()
        gc.disable()
        try:
            before = connection_parts()
            world.leave(world.connect("X25519MLKEM768", name="unknown.test"))
            world.loop.advance(10)
            assert connection_parts() == before
        finally:
            gc.enable()

    def test_a_client_is_read_by_a_record_at_a_time(self, world: World) -> None:
        """So that one that floods us has its turn no longer than others (KeyUpdates cost 15 µs
        for 27 bytes)."""
        world.connect("X25519MLKEM768")
        (handshake,) = (one for one in world.conversation.deadlines._watched if isinstance(one, Handshake))
        assert len(handshake._socket._view) == 16_406

    @pytest.mark.parametrize(
        ("offer", "protocol", "is_set"), [(b"\x02h2", "h2", True), (b"\x08http/1.1", "http/1.1", False)]
    )
    def test_the_kernel_buffers_little_for_a_client_with_many_answers(
        self, world: World, credential: Credential, offer: bytes, protocol: str, *, is_set: bool
    ) -> None:
        world.listener.runtime = runtime(credential, protocols=(HttpProtocol.HTTP_2, HttpProtocol.HTTP_1))
        client = world.connect("X25519MLKEM768")
        (handshake,) = (one for one in world.conversation.deadlines._watched if isinstance(one, Handshake))
        sock = handshake._socket._sock
        assert sock is not None
        usual = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
        client.offer_protocols(offer)
        client.establish(world.loop)
        assert client.tls.selected_alpn_protocol() == protocol
        set_to = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
        assert set_to == (MOST_UNSENT_BYTES if is_set else usual)

    def test_socket_that_is_left_out_is_emptied_and_closed(self, world: World) -> None:
        """Whoever closes a listening socket last resets the connections that wait on it."""
        address = world.listening.getsockname()
        waiting = [socket.create_connection(address) for _ in range(19)]
        world.limit(handshakes_in_flight=100, handshakes_per_address=100, connections=100, connections_per_address=100)
        world.listener.accept_on(())
        assert world.listening.fileno() == -1
        assert world.listener.counts.open == 19
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        for sock in waiting:
            sock.close()

    def test_socket_that_stays_is_not_registered_twice(self, world: World) -> None:
        with socket.create_server(("127.0.0.1", 0)) as more:
            more.settimeout(0)
            world.listener.accept_on([world.listening, more])
            world.listener.accept_on([world.listening, more])
            assert world.accepting == {world.listening, more}
            world.listener.accept_on([world.listening])
            assert world.accepting == {world.listening}
            assert more.fileno() == -1
        world.connect().establish(world.loop)

    def test_drain_waits_for_handshakes_under_way_and_for_what_they_were_made_for(self, world: World) -> None:
        world.conversation.client.lose()  # the other connection of this service
        client = world.connect("X25519MLKEM768")
        quiet = world.http.connections.drain(30.0)
        assert not quiet.is_set()
        client.establish(world.loop)
        world.loop.advance(1.5)
        client.sock.send(client.sealed(b"GET / HTTP/1.1\r\nHost: other.test\r\n\r\n"))
        world.loop.settle()
        answer = client.read()
        assert answer.startswith(b"HTTP/1.1 421 ")
        assert b"\r\nConnection: close\r\n" in answer
        world.leave(client)
        assert quiet.is_set()

    def test_drain_does_not_wait_for_a_handshake_that_failed(self, world: World) -> None:
        world.conversation.client.lose()
        client = world.connect("X25519MLKEM768", name="unknown.test")
        quiet = world.http.connections.drain(30.0)
        client.sock.send(client.handshake_step())
        world.loop.settle()
        assert world.failures == {"unrecognized_name": 1}
        assert quiet.is_set()

    def test_handshake_under_way_at_a_swap_is_judged_by_the_new_policy(self, world: World) -> None:
        """It ends as it began, by the old one; whoever would have been refused is not served for
        hours, though."""
        spared, struck = world.connect("X25519MLKEM768"), world.connect("X25519")
        only_hybrid = {"public": handshake_policy(HYBRID, identities=[server_identity("chat", "chat.test")])}
        world.http.use(replace(world.http.runtime, policies=only_hybrid), 30.0)
        for client in (spared, struck):
            client.establish(world.loop)
        assert struck.read() == b""
        assert struck.sees_end
        assert not spared.sees_end

    def test_so_is_one_that_ends_before_its_turn_to_be_told(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Thousands of connections are told in many turns of the loop."""
        struck = [world.connect("X25519"), world.connect("X25519")]
        only_hybrid = {"public": handshake_policy(HYBRID, identities=[server_identity("chat", "chat.test")])}
        later: list[partial[object]] = []
        with monkeypatch.context() as patched:
            patched.setattr(world.http, "stopwatch", itertools.count().__next__)
            patched.setattr(world.loop, "call_soon", lambda call, *given: later.append(partial(call, *given)))
            world.http.use(replace(world.http.runtime, policies=only_hybrid), 30.0)
        assert len(later) == 1
        for client in struck:
            client.establish(world.loop)
        for call in later:
            call()
        assert [client.read() for client in struck] == [b"", b""]
        assert [client.sees_end for client in struck] == [True, True]

    def test_new_runtime_is_for_new_connections(self, world: World, credential: Credential) -> None:
        before = world.connect("X25519")
        world.listener.runtime = runtime(credential, PqPolicy.REQUIRE)
        before.establish(world.loop)
        after = world.connect("X25519")
        after.sock.send(after.handshake_step())
        world.loop.settle()
        assert world.handshakes == {("chat", "client_cannot"): 1, ("chat", "refused"): 1}


class TestLimits:
    def test_connections(self, world: World) -> None:
        world.limit(connections=2)
        clients = world.established(2)
        assert world.is_refused(world.connect())
        assert world.failures == {"connections": 1}
        world.leave(clients[0])
        assert not world.is_refused(world.connect())

    def test_connections_per_address(self, world: World) -> None:
        world.limit(connections_per_address=2)
        clients = world.established(2)
        assert world.is_refused(world.connect())
        assert world.failures == {"connections_per_address": 1}
        world.leave(clients[0])
        assert not world.is_refused(world.connect())

    @pytest.mark.parametrize("limit", ["connections", "handshakes_in_flight", "connections_per_address"])
    def test_the_oldest_that_has_shown_no_hello_makes_room(self, world: World, limit: str) -> None:
        """A limit that refused the newest would be a gift to whoever is silent."""
        world.limit(**{limit: 2})
        silent, half = world.connect(), world.connect()
        half.sock.send(half.handshake_step()[:50])
        world.loop.settle()
        newest = world.connect()
        assert [world.is_refused(one) for one in (silent, half, newest)] == [True, False, False]
        assert world.failures == {"shed_silent": 1}
        newest.establish(world.loop)
        assert world.records == [], "a flood is not logged one by one"

    def test_one_whose_hello_is_there_is_not_silent(self, world: World) -> None:
        world.limit(handshakes_in_flight=2)
        quick, silent = world.connect(), world.connect()
        quick.sock.send(quick.handshake_step())
        with socket.create_connection(world.listening.getsockname()):
            world.listener._acceptor._accept_some(world.listening, 1)
            world.loop.settle()
            assert world.is_refused(silent)
            quick.establish(world.loop)

    def test_one_that_was_answered_and_says_no_more_makes_room_too(self, world: World) -> None:
        """A copied ClientHello is not a proof of anything."""
        world.limit(handshakes_in_flight=2)
        answered = world.answered()
        world.connect()
        newest = world.connect()
        assert world.failures == {"shed_unfinished": 1}
        assert world.is_ended(answered)
        newest.establish(world.loop)

    def test_one_that_waits_for_us_never_makes_room(self, world: World) -> None:
        world.limit(handshakes_in_flight=1)
        client = world.connect()
        client.sock.send(client.handshake_step())
        (handshake,) = (one for one in world.conversation.deadlines._watched if isinstance(one, Handshake))
        while handshake.awaits_client:
            world.loop.readers[world.listener._services.io.readiness._epoll]()
        with socket.create_connection(world.listening.getsockname()):
            world.listener._acceptor._accept_some(world.listening, 1)
        assert world.failures == {"handshakes_in_flight": 1}
        client.establish(world.loop)

    def test_handshakes_per_address_count_from_the_hello_on(self, world: World) -> None:
        world.limit(handshakes_per_address=1)
        silent = [world.connect() for _ in range(3)]
        first = world.answered()
        world.loop.advance(0.1)
        second = world.answered()
        assert not any(world.is_refused(client) for client in silent)
        assert world.is_ended(first)
        assert world.failures == {"shed_unfinished": 1}
        second.establish(world.loop)

    def test_a_handshake_too_many_of_one_client_whose_others_wait_for_us_is_told_so(self, world: World) -> None:
        world.limit(handshakes_per_address=1)
        first, second = world.connect(), world.connect()
        for client in (first, second):
            client.sock.send(client.handshake_step())
        world.loop.settle()
        assert world.failures == {"handshakes_per_address": 1}
        assert [record.alert for record in world.records] == ["internal_error"]
        assert sorted(client.receive()[:1] for client in (first, second)) == [b"\x15", b"\x16"]

    def test_an_idle_connection_makes_room(self, world: World) -> None:
        world.limit(connections=3)
        (oldest,) = world.established(1)
        world.loop.advance(0.1)
        world.established(2)
        world.loop.advance(0.6)
        newest = world.connect()
        assert oldest.read() == b""
        assert oldest.is_closed
        newest.establish(world.loop)
        assert world.failures == {"shed_idle": 1}
        assert (world.listener.counts.open, world.listener.counts._leaving) == (3, 0)

    def test_the_time_for_a_hello_shrinks_as_the_limit_is_taken(self, world: World) -> None:
        world.limit(handshakes_in_flight=4)
        clients = [world.connect() for _ in range(2)]
        world.loop.advance(3)
        assert world.failures == {}
        clients += [world.connect() for _ in range(2)]
        world.loop.advance(0.3)
        assert [world.is_refused(client) for client in clients] == [True, True, False, False]
        assert world.failures == {"shed_silent": 2}
        world.loop.advance(6)
        assert world.failures == {"shed_silent": 2}

    def test_a_flood_is_told_of_once_in_a_while(self, world: World) -> None:
        world.limit(handshakes_in_flight=1)
        for _ in range(10):
            world.connect()
        world.loop.advance(1.1)
        ((event, line),) = world.events
        assert (event["event"], event["reasons"]) == ("turned_away", {"shed_silent": 9})
        assert line.endswith("9 closed before their ClientHello; most of them: 127.0.0.1 9 times")
        assert world.records == []

    def test_handshakes_per_second_per_address(self, world: World) -> None:
        world.limit(handshake_rate=Rate.of(0.5, 2))
        clients = [world.connect() for _ in range(3)]
        assert [world.is_refused(client) for client in clients] == [False, False, True]
        assert world.failures == {"handshakes_per_second_per_address": 1}
        world.loop.advance(1.9)
        assert world.is_refused(world.connect())
        world.loop.advance(0.2)
        assert not world.is_refused(world.connect())

    def test_rate_of_slow_groups_is_not_for_networks_that_are_exempt(self, world: World) -> None:
        world.limit(slow_rate=Rate.of(0.5, 1))
        policy = world.listener.runtime.policy
        slow = replace(policy.preference, slow={KNOWN["x25519"].code_point: 0.05})
        identity = policy.identities.resolve("chat.test")
        assert identity is not None
        identity.fast = changed_identity(identity)
        policy = changed_policy(policy, preference=slow)
        thread = world.listener._services.flights.slow.threads = HandExecutor(world.loop)
        for exempt, counted in (("192.0.2.0/24", 1), ("127.0.0.0/8", 3)):
            world.listener.runtime = replace(world.listener.runtime, policy=policy, exempt=(ip_network(exempt),))
            for _ in range(3):
                world.answered()
            assert len(thread.running + thread.waiting) == counted
            thread.running.clear()
            thread.waiting.clear()
        assert world.failures == {"slow_groups_rate": 2}

    @pytest.mark.parametrize("limit", ["connections_per_address", "handshakes_per_address"])
    def test_networks_that_are_exempt_have_no_share(self, world: World, limit: str) -> None:
        world.limit(**{limit: 1})
        world.listener.runtime = replace(world.listener.runtime, exempt=(ip_network("127.0.0.0/8"),))
        clients = [world.answered() for _ in range(3)]
        assert world.failures == {}
        for client in clients:
            client.establish(world.loop)
        world.listener.runtime = replace(world.listener.runtime, exempt=(ip_network("192.0.2.0/24"),))
        world.answered()
        world.answered()
        assert world.failures.keys() == {"shed_unfinished" if limit.startswith("handshakes") else limit}

    def test_networks_that_are_exempt_have_no_share_of_the_queue_of_a_token(self, world: World) -> None:
        for exempt, network in (("127.0.0.0/8", EXEMPT), ("192.0.2.0/24", network_of("127.0.0.1"))):
            world.listener.runtime = replace(world.listener.runtime, exempt=(ip_network(exempt),))
            known = set(world.http.connections.connected)
            world.connect()
            (arrival,) = set(world.http.connections.connected) - known
            assert arrival._handshake._network == network  # type: ignore[attr-defined] # it is one

    def test_networks_that_are_exempt_have_no_rate(self, world: World) -> None:
        world.limit(handshake_rate=Rate.of(0.1, 1))
        world.listener.runtime = replace(world.listener.runtime, exempt=(ip_network("127.0.0.1/32"),))
        assert not [client for client in [world.connect() for _ in range(3)] if world.is_refused(client)]

    @pytest.mark.parametrize("limit", ["connections", "handshakes_in_flight"])
    def test_what_all_have_together_is_no_more_for_networks_that_are_exempt(self, world: World, limit: str) -> None:
        world.limit(**{limit: 1})
        world.listener.runtime = replace(world.listener.runtime, exempt=(ip_network("127.0.0.0/8"),))
        assert [world.is_refused(client) for client in [world.connect() for _ in range(2)]] == [True, False]
        assert world.failures == {"shed_silent": 1}

    def test_everything_is_counted_out_however_a_connection_ends(self, world: World) -> None:
        for _ in range(3):
            established, refused, silent, rude = (world.connect() for _ in range(4))
            established.establish(world.loop)
            refused.sock.send(b"GET / HTTP/1.1\r\n\r\n")
            world.loop.settle()
            world.leave(rude)
            established.sock.send(established.close_notify())
            world.leave(established)
            world.leave(refused)
            world.loop.advance(LIMITS.handshake_seconds + 1 + LINGER.seconds)
            assert world.is_refused(silent)
            world.leave(silent)
        assert (world.listener.counts.open, world.listener.counts.in_flight) == (0, 0)
        assert world.listener.counts._clients == {}
        assert world.failures == {"not_tls": 3, "client_left": 3, "timeout": 3}
        gc.collect()
        assert not [one for one in gc.get_objects() if type(one).__name__ == "_Arrival"]

    def test_slow_handshake_ends_at_its_deadline(self, world: World) -> None:
        client = world.connect()
        client.sock.send(client.handshake_step()[:50])
        world.loop.advance(LIMITS.handshake_seconds - 0.1)
        assert world.records == []
        world.loop.advance(0.5)
        assert [record.reason for record in world.records] == ["timeout"]
        assert world.is_refused(client)
        assert world.records[0].duration_ms == pytest.approx(LIMITS.handshake_seconds * 1000, abs=300)

    def test_established_connection_has_no_such_deadline(self, world: World) -> None:
        client = world.connect()
        client.establish(world.loop)
        world.loop.advance(LIMITS.handshake_seconds + 1)
        assert client.receive() == b""
        assert not client.sees_end


class TestFailedHandshakes:
    def test_each_is_logged_with_its_facts(self, world: World) -> None:
        client = world.connect("X25519MLKEM768:X25519", name="unknown.test")
        client.sock.send(client.handshake_step())
        world.loop.settle()
        (record,) = world.records
        assert record == HandshakeFailed(
            client="127.0.0.1",
            listener="public",
            name="unknown.test",
            reason="unrecognized_name",
            detail="server name unknown.test",
            alert="unrecognized_name",
            groups=["X25519MLKEM768", "X25519"],
            duration_ms=record.duration_ms,
        )
        assert world.handshakes == {}

    def test_refusal_by_policy_is_an_outcome_too(self, world: World, credential: Credential) -> None:
        world.listener.runtime = runtime(credential, PqPolicy.REQUIRE)
        client = world.connect("X25519")
        client.sock.send(client.handshake_step())
        world.loop.settle()
        assert world.handshakes == {("chat", "refused"): 1}
        assert world.failures == {"pq_policy": 1}
        assert world.records[0].alert == "handshake_failure"

    def test_without_an_alert_there_is_none_in_the_record(self, world: World) -> None:
        world.leave(world.connect())
        assert [(record.reason, record.alert) for record in world.records] == [("client_left", None)]


class TestOutOfResources:
    @pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
    def test_accepting_pauses_for_a_moment(self, world: World, number: int) -> None:
        world.conversation.downstream.shed()
        world.listening.errors = [OSError(number, "exhausted")]
        client = world.connect()
        is_memory = number in (errno.ENOBUFS, errno.ENOMEM)
        assert world.failures == {"out_of_memory" if is_memory else "out_of_descriptors": 1}
        assert not world.accepting
        world.loop.advance(0.1)
        client.establish(world.loop)

    def test_idle_connections_are_ended_to_make_room(self, world: World) -> None:
        idle = world.connect()
        idle.establish(world.loop)
        world.loop.advance(1)
        world.listening.errors = [OSError(errno.EMFILE, "exhausted")]
        client = world.connect()
        assert idle.read() == b""
        assert idle.is_closed
        assert world.failures == {"out_of_descriptors": 1, "shed_idle": 2}  # that of the conversation is the other
        world.loop.advance(0.1)
        client.establish(world.loop)

    def test_a_descriptor_of_the_reserve_pauses_accepting_after_it(self, world: World) -> None:
        scarcity, figures = world.listener._services.scarcity, world.listener._services.scarcity._figures
        assert isinstance(figures, FakeFigures)
        scarcity.reserve_begins = 3
        figures.lowest_free_descriptor = 3
        first, second = world.connect(), world.connect()
        first.establish(world.loop)
        assert world.failures["out_of_descriptors"] == 1
        world.loop.advance(0.5)
        assert not second.receive()
        figures.lowest_free_descriptor = 2
        scarcity.reserve_begins = 1_000
        second.sock.send(second.handshake_step())
        world.loop.advance(0.1)
        assert second.receive()

    def test_socket_that_is_left_out_during_the_pause_stays_so(self, world: World) -> None:
        world.listening.errors = [OSError(errno.EMFILE, "exhausted")]
        world.connect()
        world.listener.accept_on(())
        world.loop.advance(1)
        assert not world.accepting
        world.listener._services.scarcity.short_of(ConnectionReason.OUT_OF_MEMORY)
        assert "out_of_memory" not in world.failures, "it is not asked any more"

    @pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EPROTO, errno.EPERM])
    def test_connection_that_is_gone_already_keeps_nobody_waiting(self, world: World, number: int) -> None:
        world.listening.errors = [OSError(number, "gone")]
        world.connect().establish(world.loop)


class TestTrustedPeers:
    @pytest.mark.parametrize(
        ("networks", "is_trusted"),
        [((), False), (("127.0.0.0/8",), True), (("192.0.2.0/24", "127.0.0.1/32"), True), (("::1/128",), False)],
    )
    def test_are_those_of_the_listener(
        self,
        world: World,
        networks: tuple[str, ...],
        is_trusted: bool,  # noqa: FBT001 - a parameter
    ) -> None:
        world.listener.runtime = replace(
            world.listener.runtime, trusted_peers=tuple(ip_network(network) for network in networks)
        )
        world.connect().establish(world.loop)
        (downstream,) = [one for one in world.http.connections.connected if one is not world.conversation.downstream]
        assert isinstance(downstream, Http1Connection)
        assert downstream.facts.is_trusted is is_trusted
