"""Open one connection to one server: resolve, connect, and for https verify it by TLS.

This module is interpreted, as all that has coroutines: a compiled coroutine hands an exception to
what it awaits by the signature of `throw` that Python 3.12 deprecated.
"""

import asyncio
import contextlib
import errno
import ipaddress
import socket
import ssl
from dataclasses import dataclass
from typing import Protocol

from config.schema import HttpProtocol, ServerAddress
from config.tables.upstream import ProxyHeaderVersion
from proxy.limits.idleness import MAKES_ROOM_SECONDS
from proxy.net.byte_stream import ByteOwner, TwoWayStream
from proxy.net.linger import Linger
from proxy.net.shared_io import SharedIo
from proxy.net.shortage import HELD_UP_SECONDS, is_own_shortage
from proxy.net.sockets import SocketStream
from proxy.net.tcp_options import tune
from proxy.tls.handshake.results import openssl_code
from proxy.tls.openssl.bio_pair import BioPair
from proxy.tls.openssl.stream import TlsLimits, TlsStream
from proxy.tls.openssl.tls_object import TlsObject, inner_object, shake_hands
from proxy.tls.wire.record_flood import RecordTally
from proxy.tls.wire.waiting_data import RECORD_BYTES, RECORD_WIRE_BYTES
from proxy.upstream.pooling.failures import UpstreamFailure, UpstreamFault

_AGAIN_SECONDS = 0.05
"""Before new clients are accepted again, which is ten times a second (`limits.scarcity`)."""


@dataclass(frozen=True, slots=True)
class DialSettings:
    address: ServerAddress
    connect_seconds: float
    tls: ssl.SSLContext | None
    server_name: str
    tls_limits: TlsLimits
    linger: Linger
    http: HttpProtocol | None = HttpProtocol.HTTP_1
    """What the server speaks; None for bytes over TCP."""
    proxy_header: ProxyHeaderVersion | None = None
    """Of the header that the server wants first, if it wants one."""


class DialOutcome(Protocol):
    """Learns, once, how a dial ended."""

    def dial_succeeded(self, stream: TwoWayStream) -> None:
        """The stream is the caller's. Reading has not started."""

    def dial_failed(self, error: BaseException) -> None:
        """An `UpstreamFailure`, the end of the process, or an error that was not expected."""


async def dial_for(
    io: SharedIo, settings: DialSettings, owner: ByteOwner, outcome: DialOutcome, header: bytes = b""
) -> None:
    """Connect for `owner`, and tell `outcome`. `header` is sent first, also before TLS.

    Raises an error that is no `UpstreamFailure` as well, after `outcome` was told.
    """
    try:
        stream = await dial(io, settings, owner, header)
    except UpstreamFailure as failure:
        outcome.dial_failed(failure)
        return
    except BaseException as error:
        outcome.dial_failed(error)
        raise
    outcome.dial_succeeded(stream)


async def dial(
    io: SharedIo,
    settings: DialSettings,
    owner: ByteOwner,
    header: bytes = b"",
) -> TwoWayStream:
    """Connect for `owner`. Reading has not started. Raises `UpstreamFailure`.

    `header` is sent first, also before TLS: a PROXY header, which the kernel takes at once.
    """
    loop = io.loop
    began = loop.time()
    try:
        async with asyncio.timeout(settings.connect_seconds):
            sock = await _connect_with_room(io, settings)
            try:
                if header:
                    await loop.sock_sendall(sock, header)
                if settings.tls is None:
                    return SocketStream(io, sock, owner, settings.linger)
                tls, bios, leftover = await _handshake(loop, sock, settings.tls, settings)
            except BaseException:
                sock.close()
                raise
    except TimeoutError as error:
        late = loop.time() - began - settings.connect_seconds
        if late > HELD_UP_SECONDS:
            detail = f"{settings.address}: this process was stalled for {late:.1f} s"
            raise UpstreamFailure(UpstreamFault.NO_ROOM, detail) from error
        raise UpstreamFailure(UpstreamFault.CONNECT_TIMEOUT, str(settings.address)) from error
    except ssl.SSLError as error:
        raise UpstreamFailure(UpstreamFault.TLS, f"{settings.address}: {openssl_code(error) or error}") from error
    except OSError as error:
        is_ours = is_own_shortage(error, settings.address.host)
        fault = UpstreamFault.NO_ROOM if is_ours else UpstreamFault.UNREACHABLE
        raise UpstreamFailure(fault, f"{settings.address}: {error}") from error
    raw = SocketStream(io, sock, owner, settings.linger, read_bytes=RECORD_WIRE_BYTES)
    stream = TlsStream(raw, tls, bios, settings.tls_limits, loop.time)
    stream.owner = owner
    stream.records.receive_data(leftover)
    return stream


async def _connect_with_room(io: SharedIo, settings: DialSettings) -> socket.socket:
    """Connect, if need be in the place of a connection that waits for its client."""
    address = settings.address
    # well before the time to connect is over, which would be the server's fault
    vain_at = io.loop.time() + min(MAKES_ROOM_SECONDS, settings.connect_seconds / 2)
    while True:
        try:
            return await connect(io.loop, address)
        except OSError as error:
            if not is_own_shortage(error, address.host) or io.loop.time() > vain_at:
                raise
            io.socket_refused(errno.EMFILE if isinstance(error, socket.gaierror) else error.errno or 0)
        await asyncio.sleep(_AGAIN_SECONDS)


async def connect(loop: asyncio.AbstractEventLoop, address: ServerAddress) -> socket.socket:
    """Connect to the first address of a server that takes the connection. Raises `OSError`."""
    if address.scheme == "unix":
        return await _connect_to(loop, socket.AF_UNIX, address.path)
    failure = OSError(errno.EHOSTUNREACH, "the name has no address")
    ours: OSError | None = None
    for family, target in await _addresses(loop, address):
        try:
            return await _connect_to(loop, family, target)
        except OSError as error:
            failure = error
            if is_own_shortage(error, target[0]):
                ours = error
    # an address that this process could not try may be the one where the server is
    raise ours or failure


async def _addresses(
    loop: asyncio.AbstractEventLoop, address: ServerAddress
) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
    with contextlib.suppress(ValueError):
        version = ipaddress.ip_address(address.host).version
        return [(socket.AF_INET if version == 4 else socket.AF_INET6, (address.host, address.port))]
    found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    return [(entry[0], (str(entry[4][0]), int(entry[4][1]))) for entry in found]


async def _connect_to(
    loop: asyncio.AbstractEventLoop, family: socket.AddressFamily, target: str | tuple[str, int]
) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(0)
        if family != socket.AF_UNIX:
            tune(sock)
        await loop.sock_connect(sock, target)
    except BaseException:
        sock.close()
        raise
    return sock


async def _handshake(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, context: ssl.SSLContext, settings: DialSettings
) -> tuple[TlsObject, BioPair, bytes]:
    """Drive the client's handshake. Also returns what came behind it, perhaps half a record.

    A server of HTTP/2 or TCP may speak before it has read our Finished (RFC 8446 section 2). The
    stream reads what it sends behind the record that ends the handshake. Bytes in the clear that a
    server sent before it are not TLS: they make the handshake fail (CVE-2026-1642).
    """
    bios = BioPair()
    tls = inner_object(context.wrap_bio(bios.incoming, bios.outgoing, server_hostname=settings.server_name))
    records = RecordTally()
    while True:
        try:
            is_finished = shake_hands(tls)
        except ssl.SSLError:
            with contextlib.suppress(OSError):
                await loop.sock_sendall(sock, bios.outgoing.read())  # our alert, if OpenSSL has one
            raise
        if bios.outgoing.pending:
            await loop.sock_sendall(sock, bios.outgoing.read())
        if is_finished:
            leftover = bios.incoming.read()
            _judge(tls, bios, leftover, settings)
            return tls, bios, leftover
        most = 16_384 if settings.http is HttpProtocol.HTTP_1 else records.missing
        received = await loop.sock_recv(sock, most)
        if not received:
            raise ConnectionResetError(errno.ECONNRESET, "closed during the TLS handshake")
        records.receive_data(received)
        bios.incoming.write(received)


def _judge(tls: TlsObject, bios: BioPair, leftover: bytes, settings: DialSettings) -> None:
    """Whether the server keeps to its protocol so far. Raises `UpstreamFailure` or `OSError`.

    A server of HTTP/2 is right to speak first: it sends SETTINGS. So is a server of TCP.
    """
    if settings.http is HttpProtocol.HTTP_1:
        _refuse_early_data(tls, bios, leftover)
    elif settings.http is HttpProtocol.HTTP_2 and tls.selected_alpn_protocol() != HttpProtocol.HTTP_2:
        raise UpstreamFailure(UpstreamFault.NOT_HTTP2, f"{settings.address}: it did not choose h2 by ALPN")


def _refuse_early_data(tls: TlsObject, bios: BioPair, leftover: bytes) -> None:
    """Take what came with the last handshake message.

    Data in it is refused: the proxy would take it for the answer to its first request.
    """
    if leftover:
        bios.incoming.write(leftover)
        with contextlib.suppress(ssl.SSLWantReadError):
            if tls.read(RECORD_BYTES):
                raise ConnectionResetError(errno.EPROTO, "the server sent data before a request")
