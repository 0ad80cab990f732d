"""A client that speaks HTTP/2 frame by frame, and judges what comes back."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Self

from hpack import Decoder

from tests.hostile import http2_frames as h2
from tests.hostile.client import Address, Client, Cut, End
from tests.hostile.strict import NotStrict

_ANSWERING = frozenset({h2.DATA, h2.HEADERS, h2.CONTINUATION, h2.RST_STREAM})


@dataclass(slots=True)
class Stream:
    """What came on one stream."""

    heads: list[dict[str, str]] = field(default_factory=list)
    """1xx, the answer, trailers, as they came."""
    body: bytes = b""
    has_ended: bool = False
    reset: int | None = None
    """The code that it was reset with."""

    @property
    def status(self) -> int:
        """Of the final answer; 0 if there was none."""
        return next((status for head in self.heads if (status := int(head.get(":status", "0"))) >= 200), 0)

    @property
    def is_over(self) -> bool:
        """Whether nothing more may come."""
        return self.has_ended or self.reset is not None


class Http2Client:
    """One connection that has chosen `h2`. Use as a context manager.

    It grants no windows and acknowledges nothing by itself.
    """

    def __init__(
        self,
        address: Address,
        server_name: str = "chat.test",
        context: ssl.SSLContext | None = None,
        *,
        source: str = "",
        receive_bytes: int = 0,
    ) -> None:
        """Shake hands; `open` comes next."""
        context = context or h2_context(address.trusted)
        self.client = Client(address, server_name, context, source=source, receive_bytes=receive_bytes)
        assert self.client.tls.selected_alpn_protocol() == "h2"
        self.streams: dict[int, Stream] = {}
        self.control: list[h2.Frame] = []
        """Frames that belong to no answer, as they came."""
        self._received = bytearray()
        self.decoder = Decoder()
        self._block = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.sock.close()

    def open(self, *pairs: tuple[int, int]) -> Self:
        """Exchange the prefaces, with these settings of ours."""
        self.send(h2.PREFACE + h2.settings(*pairs))
        self.read_until(lambda: self._settings == (1, 1))
        self.send(h2.SETTINGS_ACK)
        return self

    @property
    def _settings(self) -> tuple[int, int]:
        """How many SETTINGS came, and how many acknowledgements of ours."""
        acks = [one.flags & h2.ACK for one in self.control if one.kind == h2.SETTINGS]
        return acks.count(0), acks.count(1)

    # -- sending

    def send(self, frames: bytes, cut: Cut = Cut.WHOLE) -> None:
        """Send; as `Client.send` does."""
        self.client.send(frames, cut)

    def sync(self) -> None:
        """Return when the proxy has read everything that was sent, or has ended the connection."""
        payload = b"sync%04d" % sum(one.kind == h2.PING for one in self.control)
        self.send(h2.ping(payload))
        self.read_until(lambda: any(one.kind == h2.PING and one.payload == payload for one in self.control))

    # -- receiving

    def read_until(self, condition: Callable[[], object]) -> None:
        """Read until it holds. Fails if the connection ends before. `goaway` is an end for those who wait for a `PING`."""
        while not condition():
            if not self._read():
                raise NotStrict(f"{self.client.end} before what was waited for; GOAWAY {self.goaway}")

    def answer(self, stream: int) -> Stream:
        """The complete answer on this stream, or how far it got before it was reset."""
        self.read_until(lambda: stream in self.streams and self.streams[stream].is_over)
        return self.streams[stream]

    def answers(self, *streams: int) -> list[Stream]:
        """The same of several."""
        return [self.answer(one) for one in streams]

    def end(self) -> int | None:
        """Read to the end of the connection; the code of the GOAWAY that said why, None if there was none.

        It is a clean end of TLS: the client has to see that nothing was cut.
        """
        while self._read():
            pass
        assert self.client.end in (End.CLEAN, End.RESET), self.client.end
        return self.goaway

    @property
    def goaway(self) -> int | None:
        """The code of the last GOAWAY."""
        codes = [one.code for one in self.control if one.kind == h2.GOAWAY]
        return codes[-1] if codes else None

    def _read(self) -> bool:
        received = self.client.read()
        self._received += received
        for one in h2.frames_of(self._received):
            if len(one.payload) > h2.FRAME_BYTES:
                raise NotStrict("frame is too large")
            if self._block and one.kind != h2.CONTINUATION:
                raise NotStrict("frame within a header block")
            if one.kind in _ANSWERING:
                self._take(one)
            else:
                self.control.append(one)
        return bool(received)

    def _take(self, one: h2.Frame) -> None:
        stream = self.streams.setdefault(one.stream, Stream())
        if one.stream == 0 or stream.reset is not None or (stream.has_ended and one.kind != h2.RST_STREAM):
            raise NotStrict(f"frame behind the end of stream {one.stream}")
        if one.kind == h2.RST_STREAM:
            stream.reset = one.code
        elif one.kind == h2.DATA:
            stream.body += one.payload
        else:
            self._block += one.payload
            if one.flags & h2.END_HEADERS:
                stream.heads.append({str(name): str(value) for name, value in self.decoder.decode(self._block)})
                self._block = b""
        if one.kind in (h2.DATA, h2.HEADERS) and one.flags & h2.END_STREAM:
            stream.has_ended = True


@cache
def h2_context(trusted: Path) -> ssl.SSLContext:
    """A verifying client that offers `h2`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(trusted)
    context.set_alpn_protocols(["h2"])
    return context
