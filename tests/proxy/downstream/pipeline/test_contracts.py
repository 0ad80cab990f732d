"""What becomes a tunnel: a connection to a server after its 101."""

import pytest

from proxy.downstream.pipeline.contracts import SwitchedStream
from proxy.downstream.requests.tunnel_places import TunnelPlace, TunnelPlaces
from proxy.http.responses import ResponseReader
from proxy.http.websocket.frames import Extensions
from proxy.http.websocket.upgrade import WebSocketOffer, accept_value
from tests.fakes import FakeLoop
from tests.fakes_http import RESPONSES, FakeServer, FakeStream, response

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = (b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Accept: " + accept_value(KEY))


@pytest.mark.parametrize(
    ("lines", "extensions"),
    [((), Extensions.NONE), ((b"Sec-WebSocket-Extensions: permessage-deflate",), Extensions.NEGOTIATED)],
)
def test_extensions_are_those_of_the_101(lines: tuple[bytes, ...], extensions: Extensions) -> None:
    offer = WebSocketOffer(KEY, (), b"permessage-deflate")
    head = response(*ACCEPT, *lines, start=b"HTTP/1.1 101 Switching Protocols")
    read = ResponseReader().read(head, RESPONSES.head, b"GET", offer)
    loop = FakeLoop()
    server = FakeServer(loop).server
    place = TunnelPlace(TunnelPlaces(loop.time, loop.call_soon, lambda *_: None), b"", server.places)
    switched = SwitchedStream(read.framing, FakeStream(loop), b"", server, place, None)
    assert switched.extensions is extensions
