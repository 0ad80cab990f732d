"""Limits on connections, each reached by real clients: who is over it is refused, others are served, the reason is counted."""

import resource
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from proxy.limits.reasons import ConnectionReason
from tests.certificates import Authority, CertificateFiles
from tests.hostile.client import Client, End
from tests.integration.gateway import events
from tests.integration.limited import Limited, Stage, is_closed, serves
from tests.integration.stage import request
from tests.integration.upstreams import OK, Peer
from tests.waiting import until_found

pytestmark = pytest.mark.paced

OTHER = "127.0.0.2"


@pytest.fixture
def stage(tmp_path: Path, authority: Authority, localhost: CertificateFiles) -> Stage:
    return Stage(tmp_path, authority, localhost)


def until(happens: Callable[[], bool]) -> None:
    """Try again until it has happened: that a connection was closed takes the proxy a moment to see."""
    assert any(happens() for _ in range(50))


def test_connections(stage: Stage) -> None:
    with stage.limited("[limits]\nconnections = 2\n") as limited:
        with limited.in_use() as first, limited.in_use(OTHER) as second:
            assert limited.refuses()
            assert limited.refuses(OTHER)
            assert ends_request(first)
            assert ends_request(second)
        until(lambda: not limited.refuses())
        assert limited.serves()
    assert limited.counted()["connections"] >= 2


def test_connections_per_address(stage: Stage) -> None:
    with stage.limited("[limits]\nconnections_per_address = 2\n") as limited:
        with limited.in_use() as first, limited.in_use() as second:
            assert limited.refuses()
            assert limited.serves(OTHER)
            assert ends_request(first)
            assert ends_request(second)
        until(lambda: not limited.refuses())
    assert limited.counted()["connections_per_address"] >= 1


@pytest.mark.parametrize("limit", ["connections", "connections_per_address"])
@pytest.mark.parametrize("part", [b"G", request("Content-Length: 9", start="POST / HTTP/1.1", body=b"a")])
def test_a_part_of_a_request_does_not_keep_others_out(stage: Stage, limit: str, part: bytes) -> None:
    with stage.limited(f"[limits]\n{limit} = 2\n") as limited, limited.connect() as first, limited.connect() as second:
        for client in (first, second):
            client.send(part)
        until_found(limited.serves_if_admitted)  # which is so once they are half a second old
    assert limited.counted()["shed_idle"] >= 1


@pytest.mark.parametrize("limit", ["handshakes_in_flight", "connections", "connections_per_address"])
def test_the_oldest_that_says_nothing_makes_room_for_others(stage: Stage, limit: str) -> None:
    with stage.limited(f"[limits]\n{limit} = 2\n") as limited, limited.tcp() as first, limited.tcp() as second:
        assert not is_closed(first)
        assert not is_closed(second)
        assert limited.serves()
        assert is_closed(first)
        assert not is_closed(second)
    assert limited.counted()["shed_silent"] == 1


def test_silent_connections_do_not_count_as_handshakes_of_their_client(stage: Stage) -> None:
    with stage.limited("[limits]\nhandshakes_per_address = 2\n") as limited, ExitStack() as stack:
        silent = [stack.enter_context(limited.tcp()) for _ in range(5)]
        assert limited.serves()
        assert not any(is_closed(sock) for sock in silent)
    assert not limited.counted().keys() & {"handshakes_per_address", "shed_silent", "shed_unfinished"}


@pytest.mark.parametrize("limit", ["connections", "connections_per_address"])
def test_idle_connections_make_room(stage: Stage, limit: str) -> None:
    with stage.limited(f"[limits]\n{limit} = 3\n") as limited, ExitStack() as stack:
        idle_clients(limited, stack, 3)
        until_found(limited.serves_if_admitted)
    assert limited.counted()["shed_idle"] >= 1


RATE = "handshakes_per_second_per_address = 0.001\nhandshake_burst_per_address = 2\n"


def test_handshakes_per_second_per_address(stage: Stage) -> None:
    with stage.limited(f"[limits]\n{RATE}") as limited:
        assert limited.serves()
        with limited.connect() as second:
            assert limited.refuses()
            assert limited.refuses()
            assert limited.serves(OTHER)
            assert serves(second)
    assert limited.counted() == {"handshakes_per_second_per_address": 2}


def test_networks_that_are_exempt(stage: Stage) -> None:
    exempt = (
        f'[listener.public]\nbind = "127.0.0.1:0"\nexempt = ["{OTHER}"]\n[limits]\nconnections_per_address = 2\n{RATE}'
    )
    with stage.limited(exempt) as limited, ExitStack() as stack:
        clients = [stack.enter_context(limited.connect(OTHER)) for _ in range(5)]
        assert all(serves(client) for client in clients)
        assert limited.serves()
        assert limited.serves()
        assert limited.refuses()
    assert limited.counted() == {"handshakes_per_second_per_address": 1}


def test_a_listener_has_its_own_counts_and_may_have_its_own_limits(stage: Stage) -> None:
    listeners = (
        '[listener.public]\nbind = "127.0.0.1:0"\n[listener.public.limits]\nconnections = 1\n'
        '[listener.internal]\nbind = "127.0.0.1:0"\n[limits]\nconnections = 3\n'
    )
    with stage.limited(listeners) as limited, limited.connect():
        assert limited.refuses()
        with limited.connect(listener="internal"), limited.connect(listener="internal"):
            assert limited.serves(listener="internal")
    assert limited.counted() == {"connections": 1}
    assert limited.counted("internal") == {}


# -- what the process has


FEW = 64
"""Descriptors: three quarters of them are for clients, less than twenty of which the process needs itself."""


def ends_request(client: Client) -> bool:
    """Whether the request is answered that `Limited.in_use` has begun."""
    client.send(b"x")
    return client.read_response().status == 200


def idle_clients(limited: Limited, stack: ExitStack, count: int) -> list[socket.socket]:
    """Clients that have been served and stay; answers their sockets."""
    clients = [stack.enter_context(limited.connect()) for _ in range(count)]
    assert all(serves(client) for client in clients)
    return [client.sock for client in clients]


def test_idle_connections_make_room_when_descriptors_are_short(stage: Stage) -> None:
    """More clients than descriptors: each is served, and those that were idle the longest are closed cleanly for it."""
    with stage.limited("", descriptors=FEW) as limited, ExitStack() as stack:
        clients = []
        for _ in range(2 * FEW):
            clients.append(stack.enter_context(limited.connect()))
            assert serves(clients[-1])
        assert clients[0].await_end() is End.CLEAN
        assert serves(clients[-1])
        assert limited.serves()
    counted = limited.counted()
    assert counted["out_of_descriptors"] >= 2
    assert FEW < counted["shed_idle"] <= 2 * FEW


@pytest.mark.parametrize("reserve", [256, 0])
def test_without_idle_ones_new_connections_wait_until_there_are_descriptors(stage: Stage, reserve: int) -> None:
    """Without a reserve it is the kernel that refuses to accept."""
    with stage.limited(f"[limits]\ndescriptor_reserve = {reserve}\n", descriptors=FEW) as limited, ExitStack() as stack:
        busy = []
        while "out_of_descriptors" not in {reason for _, reason in limited.site.admin.failures()}:
            with suppress(TimeoutError):  # the last one: it waits already
                busy.append(stack.enter_context(limited.in_use()))
        with limited.tcp() as late:
            assert not is_closed(late), "it waits"
            for client in busy:
                client.sock.close()
            assert limited.serves()
            assert not is_closed(late)
    assert "shed_idle" not in limited.counted()


def test_silent_connections_make_room_when_descriptors_are_short(stage: Stage) -> None:
    with stage.limited("", descriptors=FEW) as limited, ExitStack() as stack:
        for _ in range(2 * FEW):
            stack.enter_context(limited.tcp())
        assert limited.serves()
    assert limited.counted()["shed_silent"] >= FEW


def test_what_is_in_use_stays_and_has_descriptors_for_its_upstream(stage: Stage) -> None:
    """The reserve: a client that was accepted can be served even if nobody else is any more."""
    with stage.limited("", descriptors=FEW) as limited, limited.connect() as client, ExitStack() as stack:
        client.send(b"GET / HTTP/1.1\r\nHost: local")  # in the middle of a head: the silent ones go before it
        silent = [stack.enter_context(limited.tcp()) for _ in range(FEW)]
        assert not is_closed(silent[-1])
        client.send(b"host\r\n\r\n")
        assert client.read_response().status == 200
    assert limited.counted()["out_of_descriptors"] >= 1


def test_a_crowd_that_accepting_fails_under_ends_idle_ones_and_nothing_else(stage: Stage) -> None:
    """The limit falls under two workers while they serve, so that the kernel refuses what the reserve was to prevent."""
    answers = threading.Event()

    def script(peer: Peer) -> None:
        peer.sock.settimeout(None)
        while True:
            if peer.read_request(is_peer_trusted=True).target == "/slow":
                assert answers.wait(30)
            peer.send(OK)

    with stage.limited("", script=script, workers=2) as limited, limited.connect() as busy, ExitStack() as stack:
        site, reasons = limited.site, limited.site.admin.failures
        workers = site.worker_pids
        idle = idle_clients(limited, stack, FEW)
        busy.send(request(start="GET /slow HTTP/1.1"))
        before = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in workers}
        for pid, (_, most) in before.items():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (FEW, most))
        crowd = []
        for _ in range(2 * FEW):
            crowd.append(stack.enter_context(limited.connect()))
            assert serves(crowd[-1])
        assert reasons()["public", ConnectionReason.OUT_OF_DESCRIPTORS] >= 1
        assert reasons()["public", ConnectionReason.SHED_IDLE] >= FEW // 2
        assert all(map(is_ended, idle)), "those that were idle the longest"
        assert serves(crowd[-1])
        answers.set()
        assert busy.read_response().status == 200

        for pid, limits in before.items():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        short = reasons()["public", ConnectionReason.OUT_OF_DESCRIPTORS]
        assert all(serves(stack.enter_context(limited.connect())) for _ in range(2 * FEW))
        # each worker learns of its new limit by one more pause at most
        assert reasons()["public", ConnectionReason.OUT_OF_DESCRIPTORS] <= short + len(workers)
        assert site.worker_pids == workers


def is_ended(sock: socket.socket) -> bool:
    """Whether the proxy has ended a connection of which everything but its end was read."""
    sock.settimeout(5)
    try:
        while sock.recv(10_000):  # tickets, close_notify
            pass
    except ConnectionResetError:
        pass
    return True


def test_idle_connections_make_room_when_memory_is_short(stage: Stage) -> None:
    """With less than it needs by itself, the process serves one client after the other."""
    with stage.limited("[limits]\nmemory_bytes = 33_554_432\n") as limited, limited.connect() as client:
        assert serves(client)
        assert client.await_end() is End.CLEAN
        assert limited.serves()
    counted = limited.counted()
    assert counted["out_of_memory"] >= 1
    assert counted["shed_idle"] >= 1


def test_few_descriptors_are_warned_of_and_so_are_the_pauses_for_want_of_them(stage: Stage) -> None:
    with stage.limited("", descriptors=FEW) as limited, ExitStack() as stack:
        warned = events(limited.site.program.output, "warning")
        assert any("may have 64 file descriptors" in one["found"] for one in warned)
        for _ in range(FEW):
            stack.enter_context(limited.tcp())
        (said,) = limited.site.program.wait_for(lambda output: events(output, "turned_away") or None)
        assert said["reasons"]["out_of_descriptors"] >= 1
