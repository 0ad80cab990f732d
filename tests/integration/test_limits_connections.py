"""Limits on connections, each reached by real clients: who is over it is refused, others are served, the reason is counted."""

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from proxy.limits.reasons import ConnectionReason
from tests.certificates import Authority, CertificateFiles
from tests.hostile.client import Client, Cut, End
from tests.integration.gateway import events
from tests.integration.limited import Limited, Stage, is_closed, listener, serves
from tests.integration.stage import request
from tests.integration.upstreams import WAIT_SECONDS, Slow
from tests.waiting import until_found

pytestmark = pytest.mark.paced

OTHER = "127.0.0.2"


@pytest.fixture
def stage(tmp_path: Path, authority: Authority, localhost: CertificateFiles) -> Stage:
    return Stage(tmp_path, authority, localhost)


RATE = {"handshakes_per_second_per_address": 0.001, "handshake_burst_per_address": 2}
LIMITS = ("connections", "connections_per_address")
PARTS = {"of_a_line": b"G", "of_a_body": request("Content-Length: 9", start="POST / HTTP/1.1", body=b"a")}


@pytest.fixture(scope="module")
def limited(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, localhost: CertificateFiles
) -> Iterator[Limited]:
    """A proxy with a listener for each test: what one of them has counted there is of that test."""
    listeners = [
        listener("public"),
        listener("few", connections=2),
        listener("few_each", connections_per_address=2),
        *(listener(f"part_{part}_{limit}", **{limit: 2}) for part in PARTS for limit in LIMITS),
        *(listener(f"silent_{limit}", **{limit: 2}) for limit in ("handshakes_in_flight", *LIMITS)),
        listener("few_handshakes_each", handshakes_per_address=2),
        *(listener(f"idle_{limit}", **{limit: 3}) for limit in LIMITS),
        listener("rarely", **RATE),
        listener("trusting", f'exempt = ["{OTHER}"]', connections_per_address=2, **RATE),
    ]
    stage = Stage(tmp_path_factory.mktemp("connections"), authority, localhost)
    with stage.limited("".join(listeners)) as running:
        yield running


def test_connections(limited: Limited) -> None:
    with limited.in_use(listener="few") as first, limited.in_use(OTHER, "few") as second:
        assert limited.refuses(listener="few")
        assert limited.refuses(OTHER, "few")
        assert ends_request(first)
        assert ends_request(second)
    until_found(lambda: limited.serves_if_admitted("few"))
    assert limited.counts("few")["connections"] >= 2


def test_connections_per_address(limited: Limited) -> None:
    with limited.in_use(listener="few_each") as first, limited.in_use(listener="few_each") as second:
        assert limited.refuses(listener="few_each")
        assert limited.serves(OTHER, "few_each")
        assert ends_request(first)
        assert ends_request(second)
    until_found(lambda: limited.serves_if_admitted("few_each"))
    assert limited.counts("few_each")["connections_per_address"] >= 1


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_a_request_does_not_keep_others_out(limited: Limited, limit: str, part: str) -> None:
    name = f"part_{part}_{limit}"
    with limited.connect(listener=name) as first, limited.connect(listener=name) as second:
        for client in (first, second):
            client.send(PARTS[part])
        # they make room once they are half a second old
        until_found(lambda: limited.serves_if_admitted(name))
    assert limited.counts(name)["shed_idle"] >= 1


@pytest.mark.parametrize("limit", ["handshakes_in_flight", *LIMITS])
def test_the_oldest_that_says_nothing_makes_room_for_others(limited: Limited, limit: str) -> None:
    name = f"silent_{limit}"
    with limited.tcp(listener=name) as first, limited.tcp(listener=name) as second:
        assert not is_closed(first)
        assert not is_closed(second)
        assert limited.serves(listener=name)
        assert is_closed(first, WAIT_SECONDS)
        assert not is_closed(second)
    assert limited.counts(name)["shed_silent"] == 1


def test_silent_connections_do_not_count_as_handshakes_of_their_client(limited: Limited) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(limited.tcp(listener="few_handshakes_each")) for _ in range(5)]
        assert limited.serves(listener="few_handshakes_each")
        assert not any(is_closed(sock) for sock in silent)
    counts = limited.counts("few_handshakes_each")
    assert not counts.keys() & {"handshakes_per_address", "shed_silent", "shed_unfinished"}


@pytest.mark.parametrize("limit", LIMITS)
def test_idle_connections_make_room(limited: Limited, limit: str) -> None:
    name = f"idle_{limit}"
    with ExitStack() as stack:
        idle_clients(limited, stack, 3, name)
        until_found(lambda: limited.serves_if_admitted(name))
    assert limited.counts(name)["shed_idle"] >= 1


def test_handshakes_per_second_per_address(limited: Limited) -> None:
    assert limited.serves(listener="rarely")
    with limited.connect(listener="rarely") as second:
        assert limited.refuses(listener="rarely")
        assert limited.refuses(listener="rarely")
        assert limited.serves(OTHER, "rarely")
        assert serves(second)
    assert limited.counts("rarely") == {"handshakes_per_second_per_address": 2}


def test_networks_that_are_exempt(limited: Limited) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(limited.connect(OTHER, "trusting")) for _ in range(5)]
        assert all(serves(client) for client in clients)
        assert limited.serves(listener="trusting")
        assert limited.serves(listener="trusting")
        assert limited.refuses(listener="trusting")
    assert limited.counts("trusting") == {"handshakes_per_second_per_address": 1}


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


def idle_clients(limited: Limited, stack: ExitStack, count: int, listener: str = "public") -> list[socket.socket]:
    """Clients that have been served and stay; answers their sockets."""
    clients = [stack.enter_context(limited.connect(listener=listener)) for _ in range(count)]
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


def is_short(limited: Limited) -> bool:
    """Whether the proxy has counted that it has too few descriptors."""
    return ConnectionReason.OUT_OF_DESCRIPTORS in limited.counts("public")


def descriptors_of(pid: int) -> int:
    """How many a process has."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@pytest.mark.parametrize("reserve", [256, 0])
def test_without_idle_ones_new_connections_wait_until_there_are_descriptors(stage: Stage, reserve: int) -> None:
    """Without a reserve it is the kernel that refuses to accept."""
    with stage.limited(f"[limits]\ndescriptor_reserve = {reserve}\n", descriptors=FEW) as limited, ExitStack() as stack:
        (worker,) = limited.site.worker_pids
        busy = []
        while not is_short(limited) and descriptors_of(worker) < FEW:
            with suppress(TimeoutError):  # it took the last descriptor meanwhile: this one waits already
                busy.append(stack.enter_context(limited.in_use()))
        with limited.tcp() as late:
            until_found(lambda: is_short(limited))
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
        # in the middle of a head, which was read: the silent ones go before it
        client.send(b"GET / HTTP/1.1\r\nHost: local", Cut.BYTES)
        silent = [stack.enter_context(limited.tcp()) for _ in range(FEW)]
        assert not is_closed(silent[-1])
        client.send(b"host\r\n\r\n")
        assert client.read_response().status == 200
    assert limited.counted()["out_of_descriptors"] >= 1


def test_a_request_that_finds_no_descriptor_for_its_server_gets_that_of_an_idle_client(stage: Stage) -> None:
    """The limit falls under a worker, down to one descriptor that is free: the client's takes it."""
    slow = Slow(is_peer_trusted=True)
    with stage.limited("", script=slow.script) as limited, limited.connect() as busy, ExitStack() as stack:
        (worker,) = limited.site.worker_pids
        idle = idle_clients(limited, stack, 4)
        busy.send(request(start="GET /slow HTTP/1.1"))
        assert slow.asked.wait(WAIT_SECONDS)  # on the only connection to the server
        used = {int(one.name) for one in Path(f"/proc/{worker}/fd").iterdir()}
        _, beyond = sorted(set(range(len(used) + 2)) - used)[:2]
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (beyond, resource.prlimit(worker, resource.RLIMIT_NOFILE)[1]))
        assert limited.serves()
        assert all(map(is_ended, idle))
        slow.answer.set()
        assert busy.read_response().status == 200
    counted = limited.counted()
    assert (counted["out_of_descriptors"], counted["shed_idle"]) == (1, len(idle))


def test_a_crowd_that_accepting_fails_under_ends_idle_ones_and_nothing_else(stage: Stage) -> None:
    """The limit falls under two workers while they serve, so that the kernel refuses what the reserve was to prevent."""
    slow = Slow(is_peer_trusted=True)
    with stage.limited("", script=slow.script, workers=2) as limited, limited.connect() as busy, ExitStack() as stack:
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
        slow.answer.set()
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
