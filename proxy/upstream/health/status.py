"""One question of a health check, by the version of HTTP that the server speaks."""

import asyncio
import re
from typing import Final

from config.schema import HttpProtocol
from proxy.http.head import Header, HeadLimits
from proxy.http2.session.client_session import ClientSession
from proxy.http2.session.events import ConnectionFailed, ResponseReceived, StreamReset
from proxy.upstream.health.connection import HEAD_BYTES
from proxy.upstream.http2.limits import session_limits

_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r\n")
_FINAL: Final = 200
_READ_BYTES: Final = 65_536
_DIGITS: Final = 3


async def http1_status(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    """Send a request without body. Returns the status of its final response.

    Raises OSError if there is none.
    """
    writer.write(request)
    status = 0
    try:
        while status < _FINAL:
            status = _http1(await reader.readuntil(b"\r\n\r\n"))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise ConnectionError("the server sent no complete response head") from error
    return status


def _http1(head: bytes) -> int:
    line = _LINE.match(head)
    if line is None:
        raise ConnectionError("malformed response")
    return int(line[1])


async def http2_status(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fields: list[Header]) -> int:
    """Send a request without body on a new connection. Returns the status of its response.

    Raises OSError if there is none.
    """
    tls = writer.get_extra_info("ssl_object")
    if tls is not None and tls.selected_alpn_protocol() != HttpProtocol.HTTP_2:
        raise ConnectionError("the server did not choose h2 by ALPN")
    limits = session_limits(HEAD_BYTES, HeadLimits(HEAD_BYTES, 100, HEAD_BYTES))
    session = ClientSession(limits, asyncio.get_running_loop().time)
    session.open(fields, ends=True)
    while True:
        writer.write(session.data_to_send(_READ_BYTES))
        await writer.drain()
        data = await reader.read(_READ_BYTES)
        if not data:
            raise ConnectionError("the server ended the connection")
        for event in session.receive_data(data):
            if isinstance(event, ResponseReceived) and not event.is_interim:
                return _http2(event)
            if isinstance(event, StreamReset | ConnectionFailed):
                raise ConnectionError(event.reason or f"HTTP/2 error {event.code}")


def _http2(event: ResponseReceived) -> int:
    found = event.decoded.fields
    if not found or found[0][0] != b":status" or len(found[0][1]) != _DIGITS or not found[0][1].isdigit():
        raise ConnectionError("malformed response")
    return int(found[0][1])
