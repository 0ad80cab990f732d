"""A worker is as small after a flood as it was before: freed memory goes back to the system."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from tests.certificates import Authority
from tests.hostile import http2_frames as h2
from tests.hostile.client import Address
from tests.hostile.http2_client import Http2Client
from tests.integration.stage import Site, Upstream, request, site
from tests.integration.upstreams import Peer, scripted
from tests.prepared_children import refused
from tests.waiting import until_found

pytestmark = pytest.mark.paced

LARGER = 1.2
MOST_SECONDS = 60.0
"""It is a second or two, unless tries to return memory in vain came before."""
CONNECTIONS = 500
STREAMS = 100
PAGE = bytes(60_000)


def script(peer: Peer) -> None:
    """Answer each request with a page."""
    peer.sock.settimeout(60)
    while True:
        peer.read_head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PAGE) + PAGE)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A proxy that has served all kinds of clients."""
    directory = tmp_path_factory.mktemp("floods")
    authority = Authority(directory)
    upstreams = {"one": Upstream((f"unix:{directory / 'raw.sock'}",), path="/")}
    with (
        scripted(script, directory / "raw.sock"),
        refused(),  # a forked worker is larger, and what it holds would be less beside it
        site(directory, authority, authority.issue("localhost"), upstreams) as proxy,
    ):
        flood_heads(proxy, 20)
        flood_streams(proxy, 2)
        yield proxy


def flood_heads(proxy: Site, connections: int) -> int:
    """Connections with long heads, of which half have a body that does not end; answers what the worker held."""
    fields = [f"X-{number}: {'x' * 900}" for number in range(15)]
    upload = request("Content-Length: 60000", *fields, start="POST / HTTP/1.1", body=bytes(50_000))
    with ExitStack() as stack:
        for number in range(connections):
            client = stack.enter_context(proxy.connect())
            client.send(upload if number % 2 else upload[:15_000])
        return proxy.resident_bytes


def has_heads(client: Http2Client) -> bool:
    """Whether the heads of all answers came."""
    return len(client.streams) == STREAMS


def flood_streams(proxy: Site, connections: int) -> int:
    """Connections of HTTP/2 whose windows are shut, with an answer for each stream; answers what the worker held."""
    ask = h2.block(h2.fields(b"/x", authority=b"localhost"))
    with ExitStack() as stack:
        for _ in range(connections):
            client = stack.enter_context(Http2Client(Address(proxy.port(), proxy.ca), "localhost"))
            client.open((h2.INITIAL_WINDOW, 0))
            client.send(b"".join(h2.frame(h2.HEADERS, ask, h2.WHOLE, 2 * one + 1) for one in range(STREAMS)))
            client.read_until(partial(has_heads, client))
        return proxy.resident_bytes


def test_long_heads_and_bodies_leave_nothing(running: Site) -> None:
    before = running.resident_bytes
    assert flood_heads(running, CONNECTIONS) > LARGER * before, "else nothing is shown"
    until_found(lambda: running.resident_bytes < LARGER * before, MOST_SECONDS)


def test_answers_behind_shut_windows_leave_nothing(running: Site) -> None:
    before = running.resident_bytes
    assert flood_streams(running, 8) > LARGER * before, "else nothing is shown"
    until_found(lambda: running.resident_bytes < LARGER * before, MOST_SECONDS)
