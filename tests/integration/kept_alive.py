"""A program that counts the work for a request on a kept-alive connection.

A browser's GET passes through our HTTP half to a server and back, without sockets, TLS or a clock:
each request is the same work.

Its head repeats the one before it, which is then not parsed again, or differs in one field.
Without arguments, the program counts the calls of functions in `proxy/`. It prints which code runs,
and the calls for one request of each kind. With an argument, the library of `callgrind_marks.c`, it
runs under callgrind, which writes one file for each kind.
"""

import ctypes
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final

import proxy
from proxy.processes.hot_path import hot_path
from tests.bench.exchanges import GET
from tests.fakes_http import Conversation, response

# Request ids begin anew after so many, which costs a little.
REQUESTS: Final = 256

_REQUEST: Final = GET.data.replace(b"Host: localhost", b"Host: chat.test")
_OTHER: Final = _REQUEST.replace(b"/channels/1", b"/channels/2")
KINDS: Final = {"repeated": (_REQUEST, _REQUEST), "changed": (_REQUEST, _OTHER)}
"""What is asked for in turn."""

_FIELDS: Final = (
    b"Content-Type: application/json",
    b"Cache-Control: no-store",
    b"Server: uvicorn",
    b"Content-Length: 126",
)
_RESPONSE: Final = response(*_FIELDS, body=b"x" * 126)
_PROXY: Final = str(Path(proxy.__file__).parent)


def exchanges(requests: tuple[bytes, bytes]) -> Callable[[], None]:
    """Open a connection to the proxy and one to its server.

    Returns a function that makes `REQUESTS` requests, which are answered.
    """
    talk = Conversation()
    client = talk.client
    client.receive(requests[1])
    server = talk.server.lend()
    server.receive(_RESPONSE)

    def run() -> None:
        for _ in range(REQUESTS // 2):
            for request in requests:
                server.sent()
                client.sent()
                client.receive(request)
                server.receive(_RESPONSE)
        talk.records.clear()

    run()  # the interpreter specialises what runs often
    assert server.sent().startswith(b"GET ")
    assert client.sent().endswith(_RESPONSE[-126:])
    return run


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
    runs = [exchanges(requests) for requests in KINDS.values()]
    gc.collect()
    gc.disable()  # it would come now and then
    if len(sys.argv) == 1:
        print(hot_path(), *map(count_calls, runs))  # noqa: T201 - its answer
    else:
        library = ctypes.CDLL(sys.argv[1])
        for one in runs:
            count_instructions(one, library)
        print(hot_path())  # noqa: T201 - its answer
