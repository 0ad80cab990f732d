"""A program that counts the work for a request on a kept-alive connection.

A browser's GET, or POST, passes through our HTTP half to a server and back, without sockets, TLS or
a clock: each request is the same work. It comes as HTTP/1.1, and as a stream of HTTP/2 alone in its turn of
the loop.

Its head repeats the one before it, which is then not parsed again, or differs as those of chat
clients do: in its path, in two fields, in three fields of the answer, in all of these fields.
Without arguments, the program counts the calls of functions in `proxy/`. It prints which code runs,
and the calls for one request of each kind. With an argument, the library of `callgrind_marks.c`, it
runs under callgrind, which writes one file for each kind.
"""

import ctypes
import gc
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any, Final

import hpack

import proxy
from proxy.http2.wire import frames
from proxy.processes.hot_path import hot_path
from tests.bench.exchanges import GET
from tests.fakes_http import Conversation, response
from tests.fakes_http2 import Http2Conversation
from tests.http2_frames import frame, window_update
from tests.proxy.http2.hpack.header_blocks import huffman

# Request ids start again after so many, which costs a little.
REQUESTS: Final = 256

_REQUEST: Final = GET.data.replace(b"Host: localhost", b"Host: chat.test")
_FIELDS: Final = (b"Content-Type: application/json", b"Cache-Control: no-store", b"Server: uvicorn")
_RESPONSE: Final = response(*_FIELDS, b"Content-Length: 126", body=b"x" * 126)
_PROXY: Final = str(Path(proxy.__file__).parent)

Exchange = tuple[bytes, bytes]
"""A request and its answer."""


def same(_number: int) -> Exchange:
    return _asked(0), _answered(0)


def other_path(number: int) -> Exchange:
    """A chat client that looks for messages: the path is another one each time."""
    return _asked(0).replace(b"/message", b"/channels/%d/messages?after=%d" % (number % 7, number)), _answered(0)


def other_fields(number: int) -> Exchange:
    """The same resource again: a trace of its own, and the entity tag of the last answer."""
    return _asked(number), _answered(0)


def other_answer(number: int) -> Exchange:
    return _asked(0), _answered(number)


def both_differ(number: int) -> Exchange:
    """What other requests are: fields differ in it and in its answer."""
    return _asked(number), _answered(number)


def posted(number: int) -> Exchange:
    """A message that a user sends: path, fields, length, body and answer are new."""
    body = b'{"text":"%d"}' % number
    body += b" " * (900 + number % 250 - len(body))
    own = b"Content-Type: application/json\r\nContent-Length: %d\r\nOrigin: https://chat.test\r\n\r\n" % len(body)
    asked = _asked(number).replace(b"GET /message", b"POST /channels/%d/messages/%d" % (number % 7, number))
    return asked[:-2] + own + body, _answered(number)


def _asked(number: int) -> bytes:
    trace = b"Accept-Encoding: gzip\r\ntraceparent: 00-%032x-%016x-01" % (number * 7, number)
    tag = b'If-None-Match: "%016x"\r\n\r\n' % number
    return _REQUEST.replace(b"Accept-Encoding: gzip", trace)[:-2] + tag


def _answered(number: int) -> bytes:
    body = b"x" * (126 + number)
    new = (b'ETag: "%016x"' % (number + 1), b"Content-Length: %d" % len(body), b"X-Request-Id: %016x" % number)
    return response(*_FIELDS, *new, body=body)


def exchanges(exchange: Callable[[int], Exchange]) -> Callable[[], None]:
    """Open a connection to the proxy and one to its server.

    Returns a function that makes `REQUESTS` requests, which are answered. `exchange` makes each from
    its number, which never comes again: a value that was seen before might be remembered.
    """
    talk = Conversation()
    client = talk.client
    numbers = count()
    asked, answered = exchange(next(numbers))
    client.receive(asked)
    server = talk.server.lend()
    server.receive(answered)
    made = [[exchange(next(numbers)) for _ in range(REQUESTS)] for _ in range(2)]

    def run() -> None:
        for request, answer in made.pop(0):
            server.sent()
            client.sent()
            client.receive(request)
            server.receive(answer)
        talk.records.clear()

    _, last = made[0][-1]
    run()  # the interpreter specialises what runs often
    assert server.sent().startswith((b"GET ", b"POST "))
    assert client.sent().endswith(last[-126:])
    return run


def streams(exchange: Callable[[int], Exchange]) -> Callable[[], None]:
    """Do the same over HTTP/2."""
    talk = Http2Conversation()
    client, loop = talk.client, talk.loop
    numbers, frames_of = count(), _Streams()
    asked, answered = exchange(next(numbers))
    client.receive(window_update(0, 0x7FFF_0000 - 65_535) + frames_of.request(asked))
    server = talk.server.lend()
    server.receive(answered)

    def turn() -> None:
        ready, loop.ready = loop.ready, []
        for handle in ready:
            handle._run()

    def run() -> None:
        for request, answer in made.pop(0):
            server.sent()
            client.sent()
            client.receive(request)
            server.receive(answer)
            turn()
        talk.records.clear()

    turn()
    pairs = [[exchange(next(numbers)) for _ in range(REQUESTS)] for _ in range(2)]
    made = [[(frames_of.request(request), answer) for request, answer in part] for part in pairs]
    _, last = made[0][-1]
    run()
    assert server.sent().startswith((b"GET ", b"POST "))
    assert client.sent().endswith(last[-126:])
    return run


class _Streams:
    """Writes the requests of HTTP/1.1 as frames, as browsers encode them."""

    def __init__(self) -> None:
        self._encoder = hpack.Encoder()
        self._numbers = count(1, 2)

    def request(self, sent: bytes) -> bytes:
        """The frames of the next stream."""
        head, _, body = sent.partition(b"\r\n\r\n")
        start, *lines = head.split(b"\r\n")
        method, path, _ = start.split(b" ")
        fields = [(name.lower(), value) for line in lines for name, _, value in [line.partition(b": ")]]
        authority = dict(fields)[b"host"]
        pseudo = [(b":method", method), (b":scheme", b"https"), (b":authority", authority)]
        kept = [field for field in fields if field[0] not in (b"host", b"connection")]
        encode = self._encoder.encode
        block = encode(pseudo) + _path(path) + encode(kept)
        number = next(self._numbers)
        if not body:
            return frame(frames.FrameType.HEADERS, frames.Flag.END_HEADERS | frames.Flag.END_STREAM, number, block)
        rest = frame(frames.FrameType.DATA, frames.Flag.END_STREAM, number, body)
        return frame(frames.FrameType.HEADERS, frames.Flag.END_HEADERS, number, block) + rest


def _path(path: bytes) -> bytes:
    """A path as browsers send it, which is not indexed (RFC 7541 6.2.2): index 4, length, Huffman's code."""
    code = huffman(path)
    assert len(code) < 0x7F, "its length fits one octet"
    return bytes((0x04, 0x80 | len(code))) + code


KINDS: Final[dict[str, Callable[[], Callable[[], None]]]] = {
    "repeated": lambda: exchanges(same),
    "other path": lambda: exchanges(other_path),
    "other fields": lambda: exchanges(other_fields),
    "other answer": lambda: exchanges(other_answer),
    "both differ": lambda: exchanges(both_differ),
    "repeated stream": lambda: streams(same),
    "stream of other path": lambda: streams(other_path),
    "stream of other fields": lambda: streams(other_fields),
    "stream of other answer": lambda: streams(other_answer),
    "stream where both differ": lambda: streams(both_differ),
}
"""What opens the connections for each kind of requests."""
POSTS: Final = {"posted": lambda: exchanges(posted), "posted stream": lambda: streams(posted)}
"""The same for requests with a body, which pass more files."""


def count_calls(run: Callable[[], None]) -> float:
    """Count the calls of interpreted functions in `proxy/` for one request."""
    calls = 0

    def called(frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename.startswith(_PROXY)

    sys.setprofile(called)
    run()
    sys.setprofile(None)
    return calls / REQUESTS


def count_instructions(run: Callable[[], None], marks: ctypes.CDLL) -> None:
    """Have callgrind count the instructions of `REQUESTS` requests, and write them to its next file."""
    marks.begin()
    run()
    marks.end()


if __name__ == "__main__":
    runs = [begin() for begin in (KINDS | POSTS).values()]
    gc.collect()
    gc.disable()  # it would come now and then
    if len(sys.argv) == 1:
        print(hot_path(), *map(count_calls, runs))  # noqa: T201 - its answer
    else:
        library = ctypes.CDLL(sys.argv[1])
        for one in runs:
            count_instructions(one, library)
        print(hot_path())  # noqa: T201 - its answer
