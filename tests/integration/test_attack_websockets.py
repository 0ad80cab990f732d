"""WebSockets that are opened and held keep nobody out, however few descriptors there are: the short form of `./dev soak attacks`."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from proxy.http.websocket.upgrade import accept_value
from tests.certificates import Authority, CertificateFiles
from tests.hostile import http2_frames as h2
from tests.hostile.client import Address, Client
from tests.hostile.http2_client import Http2Client
from tests.integration.limited import Limited, Stage, listener, serves
from tests.integration.upstreams import Peer
from tests.soak.attacks import websockets
from tests.soak.attacks.arena import arena, tried
from tests.soak.attacks.attack import Attack
from tests.soak.attacks.websockets import MESSAGE, UPGRADE
from tests.waiting import until_found

pytestmark = pytest.mark.alone
SOME = [one for one in websockets.ATTACKS if one.settings.descriptors == websockets.FEW]
HOLDER, OTHER, HONEST = "127.77.0.1", "127.77.0.2", "127.0.9.1"
EACH, ALL = 10, 16
ECHOED = b"\x81\x02hi"
CLOSED = b"\x88\x1a\x03\xf5connection limit reached"
"""1013."""


def opened(client: Client) -> Client:
    """It becomes a WebSocket that carries messages."""
    client.send(UPGRADE)
    assert client.read_response().status == 101
    assert is_echoed(client)
    return client


def is_echoed(client: Client) -> bool:
    """Whether the WebSocket still works."""
    client.send(MESSAGE)
    got = b""
    while len(got) < len(ECHOED) and (piece := client.read()):
        got += piece
    return got == ECHOED


# A pause is a tenth of a second: the backend is slow to close what made room, and compiled code is quick to accept more.
# Without bounds for tunnels by descriptors there are 40 and more, without one for connections to servers 9.
@pytest.mark.parametrize(
    ("attack", "pauses"), [pytest.param(one, most, id=one.name) for one, most in ((SOME[0], 20), (SOME[-1], 5))]
)
def test_held_websockets_keep_no_honest_client_out_and_end_nothing_of_theirs(attack: Attack, pauses: int) -> None:
    with arena(attack.settings) as running, ExitStack() as stack:
        target = running.plexigate
        clients = [
            stack.enter_context(Client(Address(target.port, target.ca), "localhost", source=HONEST)) for _ in range(6)
        ]
        kept, sockets = clients[:3], [opened(one) for one in clients[3:]]
        assert all(map(serves, kept))
        outcome = tried(attack, target, 300)
        reasons = running.scene.admin.failures()
        assert outcome.wrong == []
        assert {("public", "shed_tunnel"), ("public", "too_many_websockets")} & reasons.keys()
        assert reasons.get(("public", "out_of_descriptors"), 0) < pauses, "no worker stops accepting"
        assert all(map(serves, kept))
        assert all(map(is_echoed, sockets))


def echo(peer: Peer) -> None:
    """Answer requests; a WebSocket gets back what it sends, without the mask, whose key is zero."""
    peer.sock.settimeout(None)
    while True:
        message = peer.read_request(is_peer_trusted=True)
        if message.target != "/gateway":
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            continue
        (key,) = message.values("Sec-WebSocket-Key")
        peer.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept_value(key.encode())
        )
        while got := peer.read_some():
            peer.send(got.replace(b"\x81\x82\0\0\0\0", b"\x81\x02"))


def open_streams(client: Http2Client) -> list[int]:
    """The streams of open WebSockets."""
    return [number for number, one in client.streams.items() if one.status == 200 and not one.is_over]


def hold(limited: Limited, source: str, count: int) -> Http2Client:
    """A connection of HTTP/2 that asks for so many WebSockets, and has its answers."""
    client = Http2Client(Address(limited.site.port("public"), limited.site.ca), "localhost", source=source).open()
    streams = range(1, 2 * count, 2)
    client.send(b"".join(h2.websocket(one, b"/gateway", authority=b"localhost") for one in streams))
    client.read_until(lambda: all(one in client.streams and client.streams[one].status for one in streams))
    return client


def test_over_http2_each_counts_as_a_connection_and_silent_ones_make_room(
    tmp_path: Path, authority: Authority, localhost: CertificateFiles
) -> None:
    stage = Stage(tmp_path, authority, localhost)
    limits = listener("public", connections=ALL, connections_per_address=EACH)
    with stage.limited(limits, script=echo) as limited, ExitStack() as stack:
        busy = opened(stack.enter_context(limited.connect(HONEST)))
        most = stack.enter_context(hold(limited, HOLDER, EACH + 5))
        assert len(open_streams(most)) <= EACH - 1, "the connection is the tenth"
        refused = [one for one in most.streams.values() if one.status == 503]
        assert all(one.heads[0]["retry-after"] == "5" for one in refused)
        some = stack.enter_context(hold(limited, OTHER, ALL - EACH - 2))
        # all are taken; they make room once they are half a second old
        until_found(lambda: serves_from(limited, HONEST))
        most.read_until(lambda: any(one.body.endswith(CLOSED) and one.has_ended for one in most.streams.values()))
        some.sync()
        assert len(open_streams(some)) == ALL - EACH - 2, "they have fewer"
        assert is_echoed(busy)
    counted = limited.counted()
    assert counted["shed_tunnel"] >= 1
    assert counted.get("too_many_websockets", 0) == len(refused)


def serves_from(limited: Limited, source: str) -> bool:
    """Whether a new client of this address is served, and not refused as there is no place for it."""
    try:
        return limited.serves(source)
    except OSError:
        return False
