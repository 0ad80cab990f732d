"""One question of a health check to a server that wants a PROXY header first.

The header says that the connection is our own: `LOCAL`, or in version 1 both of its ends. This
module is interpreted, as all that has coroutines (see `pooling.dial`).
"""

import asyncio
import re
import socket
import ssl
from typing import Final

from config.schema import ServerAddress
from config.tables.upstream import ProxyHeaderVersion
from proxy.proxy_protocol.header import Endpoints
from proxy.proxy_protocol.writing import own_header
from proxy.upstream.pooling.dial import connect

_HEAD_BYTES: Final = 32_768
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r\n")
_FINAL: Final = 200


async def connect_with_header(address: ServerAddress, version: ProxyHeaderVersion) -> socket.socket:
    """Connect to a server, and send the header of a connection of ours. Raises OSError."""
    loop = asyncio.get_running_loop()
    sock = await connect(loop, address)
    try:
        await loop.sock_sendall(sock, own_header(version, _ends(sock)))
    except BaseException:
        sock.close()
        raise
    return sock


async def headed_status(
    address: ServerAddress, version: ProxyHeaderVersion, tls: ssl.SSLContext | None, server_name: str, request: bytes
) -> int:
    """Send a request without body on a new connection. Returns the status of its final response.

    Raises OSError if there is none.
    """
    sock = await connect_with_header(address, version)
    try:
        reader, writer = await asyncio.open_connection(
            sock=sock, limit=_HEAD_BYTES, ssl=tls, server_hostname=None if tls is None else server_name
        )
    except BaseException:
        sock.close()
        raise
    try:
        writer.write(request)
        status = 0
        while status < _FINAL:
            status = _status(await reader.readuntil(b"\r\n\r\n"))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise ConnectionError("the server sent no complete response head") from error
    finally:
        writer.close()
    return status


def _status(head: bytes) -> int:
    line = _STATUS_LINE.match(head)
    if line is None:
        raise ConnectionError("malformed response")
    return int(line[1])


def _ends(sock: socket.socket) -> Endpoints | None:
    if sock.family == socket.AF_UNIX:
        return None
    own = sock.getsockname()
    peer = sock.getpeername()
    return Endpoints(own[0].partition("%")[0], own[1], peer[0].partition("%")[0], peer[1])
