"""A client of HTTP/2 made of python-hyper's `h2`, which others wrote: a test sees every event of it."""

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Self

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings

from tests.certificates import CertificateFiles
from tests.hostile.client import WAIT_SECONDS, Address, connect

ALPN = ("h2",)
LISTENER = '[listener.public]\nbind = "127.0.0.1:0"\nhttp = ["h2", "http/1.1"]\n'
"""A listener as most have it."""
_READ_BYTES = 262_144

Field = tuple[str, str]


@dataclass(slots=True)
class Answer:
    """What came on one stream so far."""

    informational: list[dict[str, str]] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    trailers: dict[str, str] = field(default_factory=dict)
    reset: int | None = None
    """The code of RST_STREAM."""
    is_complete: bool = False

    @property
    def status(self) -> int:
        """The status; 0 before the head."""
        return int(self.fields.get(":status", "0"))

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes."""
        return self.is_complete or self.reset is not None


def _told(headers: Iterable[tuple[str | bytes, str | bytes]]) -> dict[str, str]:
    return {str(name): str(value) for name, value in headers}  # they are decoded already


def context_for(trusted: str, certificate: CertificateFiles | None = None) -> ssl.SSLContext:
    """A client that verifies, and that offers `h2` alone; it may have a certificate of its own."""
    context = ssl.create_default_context(cafile=trusted)
    if certificate is not None:
        context.load_cert_chain(certificate.certificate, certificate.key)
    context.set_alpn_protocols(list(ALPN))
    return context


class Http2Client:
    """One connection. Use as a context manager. Everything blocks, for `WAIT_SECONDS` at most.

    Credit goes out at once for everything that came, unless `gives_credit` is switched off.
    """

    def __init__(
        self,
        address: Address,
        server_name: str = "localhost",
        *,
        window: int = 0,
        receive_bytes: int = 0,
        certificate: CertificateFiles | None = None,
    ) -> None:
        """Connect; `window` is that of each stream, if it differs from the default."""
        self.authority = server_name
        sock = connect(address.port, receive_bytes)
        self.sock = context_for(str(address.trusted), certificate).wrap_socket(sock, server_hostname=server_name)
        assert self.sock.selected_alpn_protocol() == "h2"
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.answers: dict[int, Answer] = {}
        self.gives_credit = True
        self.goaways: list[h2.events.ConnectionTerminated] = []
        self.is_over = False
        if window:
            self.h2.local_settings = h2.settings.Settings(
                client=True, initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window}
            )
        self.h2.initiate_connection()
        self.flush()
        self.until(lambda: self.h2.remote_settings.max_concurrent_streams < 2**31)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    # -- sending

    def flush(self) -> None:
        """Send what waits."""
        data = self.h2.data_to_send()
        if data:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # what was said before can still be read
                self.sock.sendall(data)

    def ask(
        self,
        path: str = "/",
        *fields: Field,
        method: str = "GET",
        authority: str = "",
        body: bytes | None = None,
        ends: bool = True,
    ) -> int:
        """Send a request, and its body as far as windows allow at once; gives its stream."""
        stream: int = self.h2.get_next_available_stream_id()
        self.answers[stream] = Answer()
        head = [(":method", method), (":scheme", "https"), (":path", path), (":authority", authority or self.authority)]
        self.h2.send_headers(stream, [*head, *fields], end_stream=ends and body is None)
        if body is not None:
            self.send_body(stream, body, ends=ends)
        self.flush()
        return stream

    def send_body(self, stream: int, body: bytes, *, ends: bool = True) -> None:
        """Send a body; waits for windows."""
        left = memoryview(body)
        while left and not self.answers[stream].is_over:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(left))
            if room > 0:
                self.h2.send_data(stream, bytes(left[:room]))
                left = left[room:]
            self.flush()
            if room <= 0:
                self.receive()
        if ends and not self.answers[stream].is_over:
            self.h2.end_stream(stream)
        self.flush()

    def open_websocket(self, path: str) -> int:
        """Ask for a WebSocket (RFC 8441); gives its stream, once it was answered with 200."""
        assert self.h2.remote_settings.enable_connect_protocol == 1
        fields = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "https"),
            (":path", path),
            (":authority", self.authority),
            ("sec-websocket-version", "13"),
        ]
        stream: int = self.h2.get_next_available_stream_id()
        self.answers[stream] = Answer()
        self.h2.send_headers(stream, fields)
        self.flush()
        self.until(lambda: self.answers[stream].status)
        assert self.answers[stream].status == 200
        return stream

    # -- receiving

    def receive(self) -> None:
        """Wait for bytes, and act on them."""
        try:
            data = self.sock.recv(_READ_BYTES)
        except ConnectionResetError:
            data = b""
        if not data:
            self.is_over = True
            return
        for event in self.h2.receive_data(data):
            self._act(event)
        self.flush()

    def _act(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            self.goaways.append(event)
            return
        answer = self.answers.get(getattr(event, "stream_id", 0) or 0)
        if answer is None:
            return
        if isinstance(event, h2.events.DataReceived):
            self._take(answer, event)
            return
        if isinstance(event, h2.events.InformationalResponseReceived):
            answer.informational.append(_told(event.headers))
        elif isinstance(event, h2.events.ResponseReceived):
            answer.fields = _told(event.headers)
        elif isinstance(event, h2.events.TrailersReceived):
            answer.trailers = _told(event.headers)
        else:
            self._act_on_end(answer, event)

    def _act_on_end(self, answer: Answer, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.StreamReset):
            answer.reset = int(event.error_code)
        elif isinstance(event, h2.events.StreamEnded):
            answer.is_complete = True

    def _take(self, answer: Answer, event: h2.events.DataReceived) -> None:
        answer.body += event.data
        if self.gives_credit and event.flow_controlled_length:
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def until(self, condition: Callable[[], object]) -> None:
        """Receive until a condition holds. Raises EOFError at the end of the connection, TimeoutError."""
        while not condition():
            if self.is_over:
                raise EOFError
            self.receive()

    def answer(self, stream: int) -> Answer:
        """Wait for all of an answer."""
        answer = self.answers[stream]
        self.until(lambda: answer.is_over)
        return answer

    def get(self, path: str = "/", *fields: Field) -> Answer:
        """Ask, and wait for the answer."""
        return self.answer(self.ask(path, *fields))

    def await_end(self) -> None:
        """Read to the end of the connection."""
        while not self.is_over:
            self.receive()

    def all_of(self, streams: Iterable[int]) -> list[Answer]:
        """Wait for all of several answers."""
        return [self.answer(stream) for stream in streams]

    def receive_until_silent(self, seconds: float) -> None:
        """Act on what comes, until nothing came for so long."""
        self.sock.settimeout(seconds)
        with contextlib.suppress(TimeoutError):
            while not self.is_over:
                self.receive()
        self.sock.settimeout(WAIT_SECONDS)

    def reopen(self) -> None:
        """Go on behind GOAWAY, as RFC 9113 section 6.8 wants: the library takes it for the end."""
        self.h2.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN

    def shut_down(self) -> None:
        """End our direction."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
