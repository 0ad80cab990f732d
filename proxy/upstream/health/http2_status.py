"""One question of a health check to a server that speaks HTTP/2."""

import asyncio
from typing import Final

from config.schema import HttpProtocol
from proxy.http.head import Header, HeadLimits
from proxy.http2.session.client_session import ClientSession
from proxy.http2.session.events import ConnectionFailed, ResponseReceived, StreamReset
from proxy.upstream.health.connection import HEAD_BYTES
from proxy.upstream.http2.limits import session_limits

_READ_BYTES: Final = 65_536
_DIGITS: Final = 3


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
                return _status(event)
            if isinstance(event, StreamReset | ConnectionFailed):
                raise ConnectionError(event.reason or f"HTTP/2 error {event.code}")


def _status(event: ResponseReceived) -> int:
    found = event.decoded.fields
    if not found or found[0][0] != b":status" or len(found[0][1]) != _DIGITS or not found[0][1].isdigit():
        raise ConnectionError("malformed response")
    return int(found[0][1])
