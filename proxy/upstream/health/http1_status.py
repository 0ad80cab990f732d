"""One question of a health check to a server that speaks HTTP/1.1."""

import asyncio
import re
from typing import Final

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r\n")
_FINAL: Final = 200


async def http1_status(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    """Send a request without body. Returns the status of its final response.

    Raises OSError if there is none.
    """
    writer.write(request)
    status = 0
    try:
        while status < _FINAL:
            status = _status(await reader.readuntil(b"\r\n\r\n"))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise ConnectionError("the server sent no complete response head") from error
    return status


def _status(head: bytes) -> int:
    line = _STATUS_LINE.match(head)
    if line is None:
        raise ConnectionError("malformed response")
    return int(line[1])
