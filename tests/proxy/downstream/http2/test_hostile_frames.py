"""Any sequence of frames from a client: no exception, no buffer without a bound, no request at a
server that HTTP/1.1 would refuse.

Valid and broken frames are mixed, so that sequences get past the first fault; octets are cut where
they like.
"""

from collections.abc import Callable, Iterator

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes_http import LIMITS, FakeStream, response
from tests.fakes_http2 import Http2Conversation
from tests.hostile import http2_frames as h2
from tests.hostile.strict import Message, RequestReader

OK = response(b"Content-Length: 2", body=b"ok")

octets = st.sampled_from(
    [
        b"",
        b"x",
        b"a\r\nb: c",
        b"\0",
        b" x",
        b"x ",
        b"GET",
        b"5",
        b"0",
        b"+5",
        b"chunked",
        b"trailers",
        b"\xff",
        b"x" * 300,
    ]
)
names = st.sampled_from(
    [
        b"x",
        b"X",
        b"",
        b"a b",
        b"a:",
        b":path",
        b":status",
        b":protocol",
        b"cookie",
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"connection",
        b"te",
        b"expect",
        b"upgrade",
        b"x-forwarded-for",
        b"priority",
        b"sec-websocket-version",
    ]
)
values = octets | st.sampled_from([b"chat.test", b"100-continue", b"u=0, i", b"13", b"websocket", b"close"])
more = st.lists(st.tuples(names, values), max_size=3)
heads = st.builds(
    lambda method, authority, path, fields: [
        (b":method", method),
        (b":scheme", b"https"),
        (b":authority", authority),
        (b":path", path),
        *fields,
    ],
    st.sampled_from([b"GET", b"POST", b"HEAD", b"CONNECT", b"OPTIONS", b"get", b"G T", b"TRACE"]),
    st.sampled_from([b"chat.test", b"chat.test:443", b"other.test", b"a@chat.test", b"", b"chat.test\r\nx: y"]),
    st.sampled_from(
        [b"/", b"/x?y", b"*", b"x", b"/a b", b"/#", b"/../x", b"/%2e%2e/", b"/\r\n", b"//x", b"/\xe4", b"/%zz"]
    ),
    more,
)
plain_heads = st.builds(
    lambda method, path: h2.fields(path, method=method), st.sampled_from([b"GET", b"POST"]), st.just(b"/x")
)
Step = Callable[["Attacked"], bytes]
"""Gives the octets to send; none if something else happens."""

flags = st.sampled_from([h2.WHOLE, h2.WHOLE, h2.END_HEADERS, h2.END_HEADERS])
odd_flags = st.sampled_from([h2.END_STREAM, 0, h2.WHOLE | h2.PADDED, h2.END_HEADERS | h2.WITH_PRIORITY, 0xFF])
which = st.integers(0, 9)


def opening(fields: h2.Fields, flag: int) -> Step:
    """A new stream."""
    return lambda attacked: h2.frame(h2.HEADERS, h2.block(fields), flag, attacked.opened())


def on(make: Callable[[int], bytes], number: int) -> Step:
    """A frame of a stream that was opened, if there is one."""
    return lambda attacked: make(stream) if (stream := attacked.stream(number)) else b""


def behind(make: Callable[[int], bytes], number: int) -> Step:
    """A frame of a stream whose request continues, if there is one."""
    return lambda attacked: make(stream) if (stream := attacked.upload(number)) else b""


def always(octets: bytes) -> Step:
    """A frame that needs no stream."""
    return lambda _: octets


bodies = st.builds(
    lambda size, flag, number: behind(lambda stream: h2.frame(h2.DATA, bytes(size), flag, stream), number),
    st.sampled_from([0, 1, 5, 100, 16_384]),
    st.sampled_from([0, 0, h2.END_STREAM, h2.PADDED]),
    which,
)
happenings = st.sampled_from(
    [
        lambda attacked: attacked.answer(),
        lambda attacked: attacked.answer(),
        lambda attacked: attacked.wait(),
        lambda attacked: attacked.read_nothing(),
        lambda attacked: attacked.read(),
    ]
)
lawful = st.sampled_from(
    [
        h2.settings(),
        h2.settings((h2.INITIAL_WINDOW, 0)),
        h2.settings((h2.INITIAL_WINDOW, 70_000)),
        h2.settings((h2.TABLE_SIZE, 0), (h2.TABLE_SIZE, 4_096)),
        h2.ping(),
        h2.window_update(0, 1_000),
        h2.frame(h2.PRIORITY_UPDATE, b"\0\0\0\1u=0"),
        h2.frame(0xFA, b"x"),
    ]
).map(always)
faulty = st.sampled_from(
    [
        h2.SETTINGS_ACK,
        h2.settings((h2.INITIAL_WINDOW, h2.LARGEST_WINDOW)),
        h2.settings((h2.FRAME_SIZE, 5)),
        h2.go_away(),
        h2.window_update(0, 0),
        h2.window_update(0, h2.LARGEST_WINDOW),
        h2.get(2),
        h2.get(1),
        h2.get(0),
    ]
).map(always)
of_streams = st.builds(
    on,
    st.sampled_from(
        [
            h2.rst,
            lambda stream: h2.window_update(stream, 0),
            lambda stream: h2.window_update(stream, 70_000),
            lambda stream: h2.window_update(stream, h2.LARGEST_WINDOW),
            lambda stream: h2.frame(h2.PRIORITY, bytes(5), 0, stream),
        ]
    ),
    which,
)
trailers = st.builds(
    behind,
    st.sampled_from(
        [
            lambda stream: h2.frame(h2.HEADERS, h2.literal(b"x", b"y"), h2.WHOLE, stream),
            lambda stream: h2.frame(h2.HEADERS, h2.literal(b":path", b"/"), h2.WHOLE, stream),
        ]
    ),
    which,
)
websockets = st.builds(
    lambda fields: lambda attacked: h2.websocket(attacked.opened(), b"/chat", *fields), st.just([]) | more
)
anything = st.builds(
    lambda kind, payload, flag, number: on(lambda stream: h2.frame(kind, payload, flag, stream), number),
    st.integers(0, 12),
    st.binary(max_size=20),
    st.integers(0, 255),
    which,
)
honest = st.one_of(
    st.builds(opening, plain_heads, flags),
    st.builds(opening, heads, flags),
    bodies,
    happenings,
    happenings,
    of_streams,
    trailers,
    websockets,
    lawful,
)
broken = st.one_of(st.builds(opening, heads, odd_flags), faulty, anything)
steps = st.lists(st.integers(0, 24).flatmap(lambda chance: honest if chance else broken), min_size=5, max_size=40)


class Attacked:
    """A connection whose client sends what it likes, and whose server answers now and then."""

    def __init__(self) -> None:
        self.talk = Http2Conversation(silent=True)
        self.talk.client.receive(h2.HELLO)
        self.backends: list[FakeStream] = []
        self._last = -1

    def opened(self) -> int:
        """The next stream."""
        self._last += 2
        return self._last

    def stream(self, number: int) -> int:
        """One of the last streams that were opened; 0 if none was."""
        return max(1, self._last - 2 * (number % 5)) if self._last > 0 else 0

    def upload(self, number: int) -> int:
        """A stream whose request has not ended; 0 if there is none."""
        table = self.talk.session._table.streams
        uploads = [one.id for one in table.values() if not one.is_remote_ended]
        return uploads[number % len(uploads)] if uploads else 0

    def act(self, step: Step, *, in_octets: bool = False) -> None:
        """Take one step, and look at what is kept."""
        octets = step(self)
        for piece in (
            [octets[at : at + 1] for at in range(len(octets))] if in_octets and len(octets) < 200 else [octets]
        ):
            client = self.talk.client
            if piece and client.ending is None and client.owner is not None:
                client.receive(piece)
            self.talk.loop.settle()
            client.sent()
            self.look()

    def answer(self) -> bytes:
        """The request that waits longest gets an answer."""
        server = self.talk.server
        if server.waiting:
            backend = server.lend()
            self.backends.append(backend)
            if backend.ending is None and backend.written and backend.is_reading:
                backend.receive(OK)
        return b""

    def wait(self) -> bytes:
        """A second passes."""
        self.talk.advance(1.0)
        return b""

    def read_nothing(self) -> bytes:
        """The client takes no more."""
        self.talk.client.is_full = True
        return b""

    def read(self) -> bytes:
        """The client takes everything."""
        client = self.talk.client
        client.is_full = False
        if client.owner is not None and client.is_blocked:
            client.take()
        return b""

    def look(self) -> None:
        """What a connection keeps is bounded, whatever its client sends."""
        connection = self.talk.connection
        session = self.talk.session
        streams, most = session._table.streams.values(), LIMITS.http2
        assert session._table.open <= most.streams
        assert connection.held.total <= most.connection_window_bytes + most.stream_window_bytes
        assert sum(one.unconsumed_bytes for one in streams) <= most.connection_window_bytes
        assert sum(one.queued for one in streams) <= 131_072 * most.streams
        assert len(session._outbox._frames) <= 4 * most.control_frames + 4 * most.streams
        assert session._reader._size <= 9 + h2.FRAME_BYTES


def requests_in(got: bytes) -> Iterator[Message]:
    """What a server reads, as strictly as HTTP/1.1 can be read; the last request need not be
    complete."""
    while got:
        # the address of the client is not one of those that the reader knows
        reader = RequestReader(is_peer_trusted=True)
        reader.feed(got)
        assert reader.message is not None, "half a head"
        yield reader.message
        got = reader.rest


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps, st.booleans())
def test_any_sequence_of_frames_is_read_without_harm(sequence: list[Step], in_octets: bool) -> None:  # noqa: FBT001
    attacked = Attacked()
    for step in sequence:
        attacked.act(step, in_octets=in_octets)
    while attacked.talk.server.waiting:
        attacked.act(Attacked.answer)
    for backend in attacked.backends:
        for message in requests_in(backend.written):
            assert message.method in ("GET", "POST", "HEAD", "OPTIONS")
            assert message.values("Host") in (["chat.test"], ["chat.test:443"])


def test_what_is_honest_among_them_is_served() -> None:
    """Else the other test would prove nothing."""
    attacked = Attacked()
    for frame in (h2.get(1), h2.post(3), h2.data(3, b"x"), h2.data(3, b"", ends=True)):
        attacked.act(always(frame))
    attacked.act(Attacked.answer)
    attacked.act(Attacked.answer)
    got = [message for backend in attacked.backends for message in requests_in(backend.written)]
    assert [(one.method, one.body) for one in got] == [("GET", b""), ("POST", b"x")]
