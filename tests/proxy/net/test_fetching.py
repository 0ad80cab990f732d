"""A document comes whole, or the reason why not is said."""

import socket
import threading
from contextlib import suppress

import pytest

from proxy.net.fetching import NotFetched, fetch
from tests.ports import lasting_port
from tests.web_documents import web_documents


def reason(address: str, most_bytes: int = 100, seconds: float = 30.0) -> str:
    with pytest.raises(NotFetched) as caught:
        fetch(address, most_bytes, seconds)
    assert str(caught.value) == f"{address} cannot be fetched: {caught.value.reason}"
    return caught.value.reason


def test_a_document_comes_whole_and_no_larger_one() -> None:
    with web_documents() as web:
        address = web.address("/a", b"x" * 100)
        assert fetch(address, 100, 30.0) == b"x" * 100
        assert reason(address, 99) == "it has more than 99 bytes"
        assert reason(f"{web.url}/other") == "the server answered with status 404"


@pytest.mark.parametrize(
    ("address", "found"), [("http://[x/a", "Invalid IPv6 URL"), ("http://a:b/c", "nonnumeric port: 'b'")]
)
def test_an_address_that_is_none(address: str, found: str) -> None:
    """A certificate may name any."""
    assert reason(address) == found


def test_no_redirect_is_followed() -> None:
    """Who changes an answer of http could have us ask inside of our network."""
    with web_documents() as web:
        web.redirects["/a"] = web.address("/b", b"b")
        assert reason(f"{web.url}/a") == "the server answered with status 302, and redirects are not followed"
        assert web.asked == ["/a"]


def test_a_server_that_is_not_there_or_is_none() -> None:
    assert reason(f"http://127.0.0.1:{lasting_port()}/a") == "Connection refused"
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = reason(f"http://127.0.0.1:{server.getsockname()[1]}/a", seconds=0.01)
    assert found == "it took longer than 0.01 s"


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("begin", "part"),
    [
        (HEAD + b"\r\n", b"x"),
        (HEAD + b"X: ", b"a"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (CHUNKED, b"0"),
        (CHUNKED + b"1\r\nx\r\n0\r\n", b"A: b\r\n"),
    ],
)
def test_a_server_that_trickles_is_given_up(scheme: str, begin: bytes, part: bytes) -> None:
    """Each byte comes in time, and all of them do not. To https it is a record of TLS."""
    stop = threading.Event()
    has_served_all = threading.Event()

    def trickle() -> None:
        client, _ = server.accept()
        with client, suppress(OSError):
            client.sendall(begin if scheme == "http" else b"\x16\x03\x03\x3f\xff")
            for _ in range(1_000):
                if stop.wait(0.005):
                    return
                client.sendall(part)
            has_served_all.set()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            found = reason(f"{scheme}://127.0.0.1:{server.getsockname()[1]}/a", most_bytes=1_000_000, seconds=0.1)
        finally:
            stop.set()
            thread.join()
    assert found == "it took longer than 0.1 s"
    assert not has_served_all.is_set()
