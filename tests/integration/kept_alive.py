"""A program that counts the work for a request on a kept-alive connection.

A browser's GET passes through our HTTP half to a server and back, without sockets, TLS or a clock:
each request is the same work. It comes as HTTP/1.1, and as a stream of HTTP/2 alone in its turn of
the loop.

Its head repeats the one before it, which is then not parsed again, or differs as those of chat
clients do: in its path, in two fields, in three fields of the answer, in all of these fields. For
HTTP/2 it differs in `:path`, which clients do not index.
Without arguments, the program counts the calls of functions in `proxy/`. It prints which code runs,
and the calls for one request of each kind. With an argument, the library of `callgrind_marks.c`, it
runs under callgrind, which writes one file for each kind.
"""

import ctypes
import gc
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any, Final

import hpack

import proxy
from proxy.http2.wire import frames
from proxy.processes.hot_path import hot_path
from tests.bench.exchanges import BROWSER, GET
from tests.fakes_http import Conversation, response
from tests.fakes_http2 import Http2Conversation
from tests.http2_frames import frame, window_update

# Request ids start again after so many, which costs a little.
REQUESTS: Final = 256

_PATHS: Final = (b"/message", b"/channels/2")
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
    assert server.sent().startswith(b"GET ")
    assert client.sent().endswith(last[-126:])
    return run


def streams(paths: tuple[bytes, bytes]) -> Callable[[], None]:
    """Do the same over HTTP/2, with these paths in turn."""
    talk = Http2Conversation()
    client, loop = talk.client, talk.loop
    requests = _stream_requests(paths)
    client.receive(window_update(0, 0x7FFF_0000 - 65_535) + next(requests))
    server = talk.server.lend()
    server.receive(_RESPONSE)

    def turn() -> None:
        ready, loop.ready = loop.ready, []
        for handle in ready:
            handle._run()

    def run() -> None:
        for request in made.pop(0):
            server.sent()
            client.sent()
            client.receive(request)
            server.receive(_RESPONSE)
            turn()
        talk.records.clear()

    turn()
    made = [[next(requests) for _ in range(REQUESTS)] for _ in range(2)]
    run()
    assert server.sent().startswith(b"GET ")
    assert client.sent().endswith(_RESPONSE[-126:])
    return run


def _stream_requests(paths: tuple[bytes, bytes]) -> Iterator[bytes]:
    """The frames of requests with these paths in turn, as browsers encode them."""
    encoder = hpack.Encoder()
    pseudo = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"chat.test")]
    lines = [line.lower().encode().partition(b": ") for line in BROWSER.splitlines()[1:]]
    fields = pseudo + [(name, value) for name, _, value in lines]
    stream = 1
    while True:
        for path in paths:
            # browsers do not index it
            block = encoder.encode([*fields[:3], hpack.NeverIndexedHeaderTuple(b":path", path), *fields[3:]])
            yield frame(frames.FrameType.HEADERS, frames.Flag.END_HEADERS | frames.Flag.END_STREAM, stream, block)
            stream += 2


KINDS: Final[dict[str, Callable[[], Callable[[], None]]]] = {
    "repeated": lambda: exchanges(same),
    "other path": lambda: exchanges(other_path),
    "other fields": lambda: exchanges(other_fields),
    "other answer": lambda: exchanges(other_answer),
    "both differ": lambda: exchanges(both_differ),
    "repeated stream": lambda: streams((_PATHS[0], _PATHS[0])),
    "changed stream": lambda: streams(_PATHS),
}
"""What opens the connections for each kind of requests."""


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
    runs = [begin() for begin in KINDS.values()]
    gc.collect()
    gc.disable()  # it would come now and then
    if len(sys.argv) == 1:
        print(hot_path(), *map(count_calls, runs))  # noqa: T201 - its answer
    else:
        library = ctypes.CDLL(sys.argv[1])
        for one in runs:
            count_instructions(one, library)
        print(hot_path())  # noqa: T201 - its answer
