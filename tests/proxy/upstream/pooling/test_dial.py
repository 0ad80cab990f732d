"""One connection to one server: how it is made, verified, and refused."""

import asyncio
import errno
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from config.schema import HttpProtocol, ServerAddress
from proxy.net.byte_stream import ByteStream
from proxy.net.shared_io import SharedIo
from proxy.net.sockets import SocketStream
from proxy.tls.openssl.context import UpstreamTls, build_client_context
from proxy.tls.openssl.stream import TlsLimits, TlsStream
from proxy.upstream.pooling.dial import DialSettings, dial
from proxy.upstream.pooling.failures import UpstreamFailure, UpstreamFault
from tests.certificates import DAY, Authority
from tests.descriptors import no_descriptors
from tests.fakes import LINGER, RecordingOwner
from tests.hostile.client import Records
from tests.proxy.tls.hellos import handshake, record

GROUPS = "X25519MLKEM768:X25519:secp256r1"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority of this module."""
    return Authority(tmp_path_factory.mktemp("authority"))


class Arrival(RecordingOwner):
    """An owner that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = asyncio.Event()
        self.when_data = lambda _: self.changed.set()
        self.when_eof = self.when_lost = self.changed.set

    async def until(self, is_done: Callable[[], bool]) -> None:
        """Wait for the stream to bring what is wanted."""
        async with asyncio.timeout(10):
            while not is_done():
                await self.changed.wait()
                self.changed.clear()


async def connect(
    address: ServerAddress,
    owner: RecordingOwner,
    tls: ssl.SSLContext | None = None,
    server_name: str = "localhost",
    connect_seconds: float = 10.0,
    **settings: Any,
) -> ByteStream:
    """Dial; `settings` are an `io` or others of a dial."""
    io = settings.pop("io", None) or SharedIo(asyncio.get_running_loop())
    header = settings.pop("header", b"")
    dialling = DialSettings(address, connect_seconds, tls, server_name, TlsLimits(32), LINGER, **settings)
    return await dial(io, dialling, owner, header)


async def failure(address: ServerAddress, **settings: Any) -> UpstreamFailure:
    """Dial in vain."""
    with pytest.raises(UpstreamFailure) as caught:
        await connect(address, RecordingOwner(), **settings)
    return caught.value


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send one line back, and end."""
    writer.write(await reader.readline())
    writer.close()


@asynccontextmanager
async def serving(
    serve: Serve, host: str = "127.0.0.1", context: ssl.SSLContext | None = None
) -> AsyncIterator[ServerAddress]:
    """A server on a port of its own."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(connected, host, 0, ssl=context)
    async with server:
        yield ServerAddress("https" if context else "http", host, server.sockets[0].getsockname()[1])


async def conversation(stream: ByteStream, owner: Arrival) -> bytes:
    """Send a line, and answer what came back until the end."""
    stream.resume_reading()
    stream.write(b"hello\n")
    await owner.until(lambda: "eof" in owner.kinds)
    stream.abort()
    await owner.until(lambda: owner.is_lost)
    return owner.data


class TestPlain:
    """`http://` and `unix:`."""

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
    async def test_address_is_connected_to(self, host: str) -> None:
        owner = Arrival()
        async with serving(echo, host) as address:
            assert await conversation(await connect(address, owner), owner) == b"hello\n"

    async def test_name_is_looked_up(self) -> None:
        owner = Arrival()
        async with serving(echo) as address:
            named = ServerAddress("http", "localhost", address.port)
            assert await conversation(await connect(named, owner), owner) == b"hello\n"

    async def test_unix_socket(self, tmp_path: Path) -> None:
        path, owner = tmp_path / "socket", Arrival()
        async with await asyncio.start_unix_server(echo, path):
            address = ServerAddress("unix", path=str(path))
            assert await conversation(await connect(address, owner), owner) == b"hello\n"

    async def test_a_header_goes_first(self) -> None:
        async def two_lines(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readline() + await reader.readline())
            writer.close()

        owner = Arrival()
        async with serving(two_lines) as address:
            stream = await connect(address, owner, header=b"PROXY UNKNOWN\r\n")
            assert await conversation(stream, owner) == b"PROXY UNKNOWN\r\nhello\n"

    async def test_nobody_listens(self) -> None:
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            refused = await failure(ServerAddress("http", "127.0.0.1", bound.getsockname()[1]))
        assert refused.fault is UpstreamFault.UNREACHABLE
        assert refused.detail.startswith("http://127.0.0.1:")

    async def test_no_such_socket(self, tmp_path: Path) -> None:
        refused = await failure(ServerAddress("unix", path=str(tmp_path / "none")))
        assert refused.fault is UpstreamFault.UNREACHABLE

    async def test_name_without_address(self) -> None:
        refused = await failure(ServerAddress("http", "nothing.invalid", 80))
        assert refused.fault is UpstreamFault.UNREACHABLE

    async def test_server_that_does_not_accept_in_time(self) -> None:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen(0)
            port = listening.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port)):  # the only place in the queue
                late = await failure(ServerAddress("http", "127.0.0.1", port), connect_seconds=0.1)
        assert late.fault is UpstreamFault.CONNECT_TIMEOUT

    async def test_server_is_not_late_because_we_were_held_up(self) -> None:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen(0)
            port = listening.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port)):  # the only place in the queue
                asyncio.get_running_loop().call_later(0.02, time.sleep, 0.8)
                ours = await failure(ServerAddress("http", "127.0.0.1", port), connect_seconds=0.1)
        assert ours.fault is UpstreamFault.NO_ROOM
        assert re.search(r"this process was stalled for (0\.[6-9]|[1-9]\d*\.\d) s$", ours.detail)

    async def test_proxy_without_descriptors_says_that_it_is_to_blame(self) -> None:
        io = SharedIo(asyncio.get_running_loop())  # which has been there since the process began
        with no_descriptors():
            ours = await failure(ServerAddress("http", "127.0.0.1", 80), io=io, connect_seconds=1.0)
        assert ours.fault is UpstreamFault.NO_ROOM

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    async def test_a_descriptor_that_becomes_free_is_used(self, host: str) -> None:
        loop = asyncio.get_running_loop()
        io, owner, told = SharedIo(loop), RecordingOwner(), list[int]()
        with ExitStack() as shortage:

            def make_room(code: int) -> None:
                told.append(code)
                loop.call_soon(shortage.close)

            io.socket_refused = make_room
            async with serving(echo) as address:
                shortage.enter_context(no_descriptors())
                stream = await connect(ServerAddress("http", host, address.port), owner, io=io)
                assert told == [errno.EMFILE]
                stream.abort()

    async def test_a_server_that_refuses_is_tried_once(self) -> None:
        io, told = SharedIo(asyncio.get_running_loop()), list[int]()
        io.socket_refused = told.append
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            refused = await failure(ServerAddress("http", "127.0.0.1", bound.getsockname()[1]), io=io)
        assert (refused.fault, told) == (UpstreamFault.UNREACHABLE, [])


def upstream_tls(ca: Path | None, **files: Path) -> ssl.SSLContext:
    """The product's context."""
    return build_client_context(UpstreamTls(ca, files.get("certificate"), files.get("key"), GROUPS))


class TestVerified:
    """`https://`: whoever cannot prove its name is not talked to."""

    async def test_server_of_the_own_authority(self, authority: Authority) -> None:
        owner = Arrival()
        async with serving(echo, context=authority.issue("good").server_context()) as address:
            stream = await connect(address, owner, upstream_tls(authority.path))
            assert await conversation(stream, owner) == b"hello\n"
            assert not stream.was_truncated

    @pytest.mark.parametrize(("protocols", "is_good"), [(["h2"], True), (["http/1.1", "h2"], True), ([], False)])
    async def test_server_has_to_choose_h2_if_it_has_to_speak_it(
        self, authority: Authority, protocols: list[str], *, is_good: bool
    ) -> None:
        context = authority.issue(f"alpn-{len(protocols)}").server_context()
        context.set_alpn_protocols(protocols)
        tls = build_client_context(UpstreamTls(authority.path, None, None, GROUPS, (HttpProtocol.HTTP_2,)))
        async with serving(echo, context=context) as address:
            if is_good:
                owner = Arrival()
                stream = await connect(address, owner, tls, http=HttpProtocol.HTTP_2)
                assert await conversation(stream, owner) == b"hello\n"
            else:
                missed = await failure(address, tls=tls, http=HttpProtocol.HTTP_2)
                assert missed.fault is UpstreamFault.NOT_HTTP2
                assert "did not choose h2 by ALPN" in missed.detail

    async def test_name_in_the_certificate_is_what_counts(self, authority: Authority) -> None:
        context = authority.issue("named", ("chat.internal",)).server_context()
        async with serving(echo, context=context) as address:
            wrong = await failure(address, tls=upstream_tls(authority.path), server_name="localhost")
            assert wrong.fault is UpstreamFault.TLS
            assert "CERTIFICATE_VERIFY_FAILED" in wrong.detail
            owner = Arrival()
            stream = await connect(address, owner, upstream_tls(authority.path), server_name="chat.internal")
            assert await conversation(stream, owner) == b"hello\n"

    async def test_expired_certificate(self, authority: Authority) -> None:
        context = authority.issue("expired", valid=(-10 * DAY, -DAY)).server_context()
        async with serving(echo, context=context) as address:
            assert (await failure(address, tls=upstream_tls(authority.path))).fault is UpstreamFault.TLS

    async def test_unknown_authority(self, authority: Authority, tmp_path: Path) -> None:
        other = Authority(tmp_path, "Other authority")
        async with serving(echo, context=other.issue("foreign").server_context()) as address:
            assert (await failure(address, tls=upstream_tls(authority.path))).fault is UpstreamFault.TLS
            assert (await failure(address, tls=upstream_tls(None))).fault is UpstreamFault.TLS

    async def test_client_certificate_is_shown_to_who_asks(self, authority: Authority) -> None:
        ours = authority.issue("client", ("proxy",))
        context = authority.issue("mutual").server_context(client_ca=authority.path)
        async with serving(echo, context=context) as address:
            owner = Arrival()
            tls = upstream_tls(authority.path, certificate=ours.certificate, key=ours.key)
            assert await conversation(await connect(address, owner, tls), owner) == b"hello\n"

    async def test_plaintext_before_the_handshake_is_never_taken_for_an_answer(self, authority: Authority) -> None:
        async def inject(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno")
            await reader.read()

        async with serving(inject) as address:
            refused = await failure(address, tls=upstream_tls(authority.path))
        assert refused.fault is UpstreamFault.TLS

    async def test_data_that_comes_with_the_handshake_is_never_taken_for_an_answer(self, authority: Authority) -> None:
        """TLS 1.2, where the server speaks last."""
        context = authority.issue("early").server_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)

        async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    writer.write(outgoing.read())
                    incoming.write(await reader.read(16_384))
            tls.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno")
            writer.write(outgoing.read())
            await reader.read()

        async with serving(early) as address:
            refused = await failure(address, tls=upstream_tls(authority.path))
        assert refused.fault is UpstreamFault.UNREACHABLE
        assert "before a request" in refused.detail

    async def test_half_a_record_that_comes_with_the_handshake_does_not_confuse_the_count_of_records(
        self, authority: Authority, tmp_path: Path
    ) -> None:
        """A server may send its session tickets behind its Finished, before it has heard of the
        client's (RFC 8446 section 4.6.1)."""
        context = authority.issue("half").server_context()
        context.keylog_filename = str(tmp_path / "keys")
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)

        async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            incoming.write(await reader.read(16_384))
            with pytest.raises(ssl.SSLWantReadError):
                tls.do_handshake()
            by_hand = Records(tmp_path / "keys", "SERVER_TRAFFIC_SECRET_0", "TLS_AES_256_GCM_SHA384")
            ticket = handshake(4, bytes(8) + b"\1\0" + b"\0\4" + b"name" + b"\0\0")
            wire = by_hand.record(ticket, content_type=22)
            writer.write(outgoing.read() + wire[:9])
            await reader.read(16_384)
            writer.write(wire[9:] + by_hand.record(b"hello\n"))
            await reader.read()

        async with serving(half) as address:
            owner = Arrival()
            stream = await connect(address, owner, upstream_tls(authority.path))
            stream.resume_reading()
            stream.write(b"hello")
            await owner.until(lambda: owner.data == b"hello\n")
            assert isinstance(stream, TlsStream)
            assert stream.records.receive_data(record(b"x")) == 1
            stream.abort()
            await owner.until(lambda: owner.is_lost)

    @pytest.mark.parametrize("http", [HttpProtocol.HTTP_2, None])
    @pytest.mark.parametrize("together", [0, 9, None])
    async def test_server_that_may_speak_first_does_so_before_our_finished(
        self, authority: Authority, tmp_path: Path, http: HttpProtocol | None, together: int | None
    ) -> None:
        """RFC 8446 section 2: from its Finished on. `together`: so many of these bytes come with it."""
        context = authority.issue("first").server_context()
        context.keylog_filename = str(tmp_path / "keys")
        context.set_alpn_protocols(["h2"])
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)

        async def first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            incoming.write(await reader.read(16_384))
            with pytest.raises(ssl.SSLWantReadError):
                tls.do_handshake()
            by_hand = Records(tmp_path / "keys", "SERVER_TRAFFIC_SECRET_0", "TLS_AES_256_GCM_SHA384")
            wire = by_hand.record(b"first ")
            writer.write(outgoing.read() + wire[:together])
            await reader.read(16_384)
            writer.write((b"" if together is None else wire[together:]) + by_hand.record(b"second"))
            await reader.read()

        async with serving(first) as address:
            owner = Arrival()
            client = build_client_context(UpstreamTls(authority.path, None, None, GROUPS, (HttpProtocol.HTTP_2,)))
            stream = await connect(address, owner, client, http=http)
            stream.resume_reading()
            await owner.until(lambda: owner.data == b"first second")
            stream.abort()
            await owner.until(lambda: owner.is_lost)

    async def test_server_that_closes_during_the_handshake(self, authority: Authority) -> None:
        async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.close()

        async with serving(close) as address:
            refused = await failure(address, tls=upstream_tls(authority.path))
        assert refused.fault is UpstreamFault.UNREACHABLE

    async def test_server_that_never_answers_the_handshake(self, authority: Authority) -> None:
        async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            del writer
            await reader.read()

        async with serving(wait) as address:
            late = await failure(address, tls=upstream_tls(authority.path), connect_seconds=0.1)
        assert late.fault is UpstreamFault.CONNECT_TIMEOUT

    async def test_alert_of_ours_reaches_the_server(self, authority: Authority) -> None:
        """A server that is refused can read why."""
        got = asyncio.get_running_loop().create_future()

        async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(16_384)
            writer.write(b"\x16\x03\x03\x00\x04\x02\x00\x00\x00")  # a ServerHello that is none
            got.set_result(await reader.read())

        async with serving(record) as address:
            await failure(address, tls=upstream_tls(authority.path))
            assert (await got)[:3] == b"\x15\x03\x03"


async def test_dialled_socket_is_tuned() -> None:
    owner = Arrival()
    async with serving(echo) as address:
        stream = await connect(address, owner)
        assert isinstance(stream, SocketStream)
        sock = stream._sock
        assert sock is not None
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
        stream.abort()
        await owner.until(lambda: owner.is_lost)
