"""Honest clients on connections of their own, who must not notice that others attack."""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.hostile import http2_frames as h2
from tests.hostile.client import Client
from tests.hostile.http2_client import Http2Client
from tests.hostile.recorder import SENTINEL
from tests.hostile.scene import Scene, request
from tests.hostile.strict_frames import BINARY, FrameReader, unmasked

PATIENCE_SECONDS = 2.0
"""For a round of all three, interpreted and on a busy machine. An attack that holds the loop takes longer."""

_ADDRESS = "127.0.0.2"
_FIN = 0x80
_MASK_KEY = b"\x12\x34\x56\x78"
_HANDSHAKE = request(
    "GET",
    SENTINEL + "chat",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


class Bystanders:
    """A client of HTTP/1.1, one of HTTP/2, and a WebSocket."""

    def __init__(self, older: Client, newer: Http2Client, chat: Client) -> None:
        self._older = older
        self._newer = newer
        self._chat = chat
        self._numbers = itertools.count()
        chat.send(_HANDSHAKE)
        assert chat.read_response().status == 101

    def go_on(self) -> None:
        """Each of them gets an answer, and soon."""
        begun = time.monotonic()
        number = next(self._numbers)
        target = f"{SENTINEL}by{number}"
        self._older.send(request("GET", target))
        self._newer.send(h2.get(2 * number + 1, target.encode()))
        payload = target.encode()
        self._chat.send(bytes([_FIN | BINARY, 0x80 | len(payload)]) + _MASK_KEY + unmasked(payload, _MASK_KEY))
        assert self._older.read_response().body == payload
        answer = self._newer.answer(2 * number + 1)
        assert (answer.status, answer.body, answer.has_ended) == (200, payload, True)
        reader = FrameReader(is_masked=False)
        while not reader.frames:
            data = self._chat.read()
            assert data, "the WebSocket was ended"
            reader.feed(data)
        assert [one.payload for one in reader.frames] == [payload]
        assert time.monotonic() - begun < PATIENCE_SECONDS


@contextmanager
def bystanders(scene: Scene) -> Iterator[Bystanders]:
    """Three clients at another address who continue before the attack, and after it."""
    address = scene.proxy.listeners["public"]
    with (
        Client(address, source=_ADDRESS) as older,
        scene.connect_http2(source=_ADDRESS) as newer,
        Client(address, source=_ADDRESS) as chat,
    ):
        newer.open()
        them = Bystanders(older, newer, chat)
        them.go_on()
        yield them
        them.go_on()
