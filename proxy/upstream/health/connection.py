"""The new connection of one health check: a PROXY header first, if the server wants one, then TLS.

The header says that the connection is our own: `LOCAL`, or in version 1 both of its ends. This
module is interpreted, as all that has coroutines (see `pooling.dial`).
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Final

from config.schema import ServerAddress
from config.tables.upstream import ProxyHeaderVersion
from proxy.proxy_protocol.header import Endpoints
from proxy.proxy_protocol.writing import own_header
from proxy.upstream.pooling.dial import connect

HEAD_BYTES: Final = 32_768
"""The limit for the head of an answer."""


@contextlib.asynccontextmanager
async def opened(
    address: ServerAddress, header: ProxyHeaderVersion | None, tls: ssl.SSLContext | None, server_name: str
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect, until the block ends. Raises OSError."""
    loop = asyncio.get_running_loop()
    sock = await connect(loop, address)
    try:
        if header is not None:
            await loop.sock_sendall(sock, own_header(header, _ends(sock)))
        reader, writer = await asyncio.open_connection(sock=sock, limit=HEAD_BYTES)
    except BaseException:
        sock.close()
        raise
    try:
        if tls is not None:
            # That of `open_connection` writes the error of a handshake to the log if the check is
            # cancelled in the moment in which the connection stands (uvloop 0.23).
            await writer.start_tls(tls, server_hostname=server_name)
        yield reader, writer
    finally:
        writer.transport.abort()  # the check is over: it does not wait for the server's part of the close
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _ends(sock: socket.socket) -> Endpoints | None:
    if sock.family == socket.AF_UNIX:
        return None
    own = sock.getsockname()
    peer = sock.getpeername()
    return Endpoints(own[0].partition("%")[0], own[1], peer[0].partition("%")[0], peer[1])
