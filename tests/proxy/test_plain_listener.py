"""What is answered without TLS, and what strangers cannot have of the parent."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from config.addresses import Bind, parse_bind
from proxy import plain_listener
from proxy.plain_listener import PlainListener, PlainListenerError

TOKENS = {"token_-1": "token_-1.thumbprint"}
ANY = parse_bind("127.0.0.1:0")


@pytest.fixture
async def listener() -> AsyncIterator[PlainListener]:
    made = PlainListener([ANY], 443, dict(TOKENS))
    await made.start()
    yield made
    await made.stop()


async def exchange(listener: PlainListener, *pieces: bytes) -> bytes:
    """What a client gets that sends this."""
    reader, writer = await asyncio.open_connection(*listener.addresses[0])
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def request(target: str, host: str = "chat.test", method: str = "GET") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def redirected(answer: bytes) -> str | None:
    head, _, body = answer.partition(b"\r\n\r\n")
    if not answer.startswith(b"HTTP/1.1 308 "):
        return None
    assert body == b""
    assert b"\r\nConnection: close" in head
    return head.partition(b"\r\nLocation: ")[2].partition(b"\r\n")[0].decode()


@pytest.mark.parametrize("cut", [lambda data: [data], lambda data: [bytes((one,)) for one in data]])
async def test_pending_challenge_is_answered(listener: PlainListener, cut: Callable[[bytes], list[bytes]]) -> None:
    answer = await exchange(listener, *cut(request("/.well-known/acme-challenge/token_-1")))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 200 OK",
        b"Content-Type: application/octet-stream",
        b"Content-Length: 19",
        b"Connection: close",
    ]
    assert body == b"token_-1.thumbprint"
    answer = await exchange(listener, request("/.well-known/acme-challenge/token_-1", method="HEAD"))
    assert answer == head + b"\r\n\r\n"


@pytest.mark.parametrize(
    "asked",
    [
        request("/.well-known/acme-challenge/other"),
        request("/.well-known/acme-challenge/"),
        request("/.well-known/acme-challenge/token_-1/"),
        request("/.well-known/acme-challenge/token_-1?x"),
        request("/.well-known/acme-challenge/token_-1", method="POST"),
    ],
)
async def test_nothing_else_is_there(listener: PlainListener, asked: bytes) -> None:
    assert (await exchange(listener, asked)).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize(
    ("host", "target", "location"),
    [
        ("chat.test", "/", "https://chat.test/"),
        ("CHAT.test.:80", "/a?b=c&d", "https://chat.test/a?b=c&d"),
        ("192.0.2.1:8080", "/x", "https://192.0.2.1/x"),
        ("[2001:DB8::1]", "//evil.test/", "https://[2001:db8::1]//evil.test/"),
        ("chat.test", "/.well-known/acme-challengex", "https://chat.test/.well-known/acme-challengex"),
    ],
)
async def test_everybody_else_is_sent_to_https(listener: PlainListener, host: str, target: str, location: str) -> None:
    assert redirected(await exchange(listener, request(target, host))) == location
    assert redirected(await exchange(listener, request(target, host, "POST"))) == location


async def test_port_of_https_is_named_where_it_is_another() -> None:
    made = PlainListener([ANY, parse_bind("[::1]:0")], 8443, {})
    await made.start()
    assert redirected(await exchange(made, request("/"))) == "https://chat.test:8443/"
    assert len({port for _, port in made.addresses}) == 2
    await made.stop()
    assert made.addresses == ()


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", 400),
        (b"GET http://evil.test/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000, 431),
    ],
)
async def test_what_is_not_meant_well_is_refused(listener: PlainListener, asked: bytes, status: int) -> None:
    answer = await exchange(listener, asked)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"Location" not in answer


async def test_second_request_and_body_are_not_looked_at(listener: PlainListener) -> None:
    answer = await exchange(listener, request("/one") + request("/two"))
    assert answer.count(b"HTTP/1.1") == 1
    big = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n" + b"x" * 60_000
    assert redirected(await exchange(listener, big)) == "https://a/"


async def test_silent_clients_are_let_go_and_there_is_an_end_to_them(
    listener: PlainListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain_listener, "_MOST_CONNECTIONS", 2)
    monkeypatch.setattr(plain_listener, "_SECONDS", 0.2)
    silent = [await asyncio.open_connection(*listener.addresses[0]) for _ in range(2)]
    with pytest.raises(ConnectionResetError):
        await exchange(listener, request("/"))
    for reader, writer in silent:
        assert await reader.read() == b""  # after a while, without a word
        writer.close()
        await writer.wait_closed()
    assert redirected(await exchange(listener, request("/"))) is not None


async def test_end_cuts_who_is_there(listener: PlainListener) -> None:
    reader, writer = await asyncio.open_connection(*listener.addresses[0])
    writer.write(b"GET / HTTP/1.1\r\n")
    await exchange(listener, request("/"))
    address = listener.addresses[0]
    await listener.stop()
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)


async def test_address_that_is_taken_leaves_nothing_behind() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = Bind(ANY.host, taken.getsockname()[1])
        made = PlainListener([ANY, bind], 443, {})
        with pytest.raises(PlainListenerError, match="Address already in use"):
            await made.start()
    assert made.addresses == ()
