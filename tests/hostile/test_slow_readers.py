"""Clients of many addresses that do not take large answers: those who read are served, and memory stays in its bounds.

`./dev soak attacks` has the same shapes in their full size.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.certificates import Authority
from tests.hostile import http2_frames as h2
from tests.hostile.client import Address
from tests.hostile.http2_client import Http2Client
from tests.integration.admin import found
from tests.integration.stage import Site, Upstream, site
from tests.integration.upstreams import OK, Peer, scripted
from tests.soak.attacks.slow_readers import Crowd, Kind
from tests.waiting import until_found

pytestmark = pytest.mark.paced

MIB = 1 << 20
CONNECTIONS = 32
MEMORY = 4 * MIB
SPOOL = 64 * MIB
HONEST = 40
LARGE = bytes(range(256)) * 4_096


def script(peer: Peer) -> None:
    """Answer /large/COUNT with so many bytes, and everything else briefly."""
    while True:
        target = peer.read_head().split(b" ")[1]
        if b"/large/" not in target:
            peer.send(OK)
            continue
        size = int(target.rpartition(b"/")[2])
        peer.sock.settimeout(60)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for at in range(0, size, MIB):
            peer.send(LARGE[: min(MIB, size - at)])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A proxy with few connections to its server, and little room."""
    directory = tmp_path_factory.mktemp("slow")
    authority = Authority(directory)
    upstreams = {"one": Upstream((f"unix:{directory / 'raw.sock'}",), f"connections = {CONNECTIONS}", path="/")}
    limits = f"[limits]\nresponse_buffer_total_bytes = {MEMORY}\nspool_bytes = {SPOOL}\n"
    with (
        scripted(script, directory / "raw.sock"),
        site(directory, authority, authority.issue("localhost"), upstreams, limits) as proxy,
    ):
        yield proxy


@contextmanager
def held(proxy: Site, kind: Kind) -> Iterator[Crowd]:
    """A sixth of the shape, which is more than there are connections to the server."""
    shape = replace(kind.value, connections=kind.value.connections // 6)
    crowd = Crowd(proxy.port(), shape)
    crowd.fill(shape.connections)
    try:
        yield crowd
    finally:
        crowd.end()


@pytest.mark.parametrize("kind", Kind)
def test_clients_that_read_are_served(running: Site, kind: Kind) -> None:
    before = running.resident_bytes
    running.forget_peak()
    with held(running, kind) as crowd, running.session() as session:
        answers = []
        for _ in range(HONEST):
            crowd.go_on()
            crowd.fill(1)
            answers.append(session.get(running.url("/small")).status_code)
        assert answers == [200] * HONEST
        if kind is Kind.SLOW_READERS:  # 800 MB, of which the spool takes a part
            until_found(lambda: running.admin.failures().get(("public", "reader_displaced"), 0))
    # beside the memory for answers: a read for each connection to the server, what waits for the disk, and 60 connections
    assert running.peak_bytes - before < MEMORY + CONNECTIONS * 131_072 + 4 * MIB + 100 * 65_536
    until_found(lambda: found(running.admin.metrics(), "plexigate_spool_bytes") == 0)


def test_stream_behind_a_shut_window_gets_all_of_its_answer_in_the_end(running: Site) -> None:
    with Http2Client(Address(running.port(), running.ca), "localhost") as client:
        client.open((h2.INITIAL_WINDOW, 0))
        client.send(h2.frame(h2.HEADERS, h2.block(h2.fields(b"/large/1048576", authority=b"localhost")), h2.WHOLE, 1))
        until_found(lambda: found(running.admin.metrics(), "plexigate_spool_bytes") > 0)
        client.send(h2.window_update(1, MIB) + h2.window_update(0, MIB))
        assert client.answer(1).body == LARGE
