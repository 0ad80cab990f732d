"""The listener without TLS: answers http-01 (RFC 8555 section 8.3) and sends everybody else to https.

It runs in the parent, so strangers get as little of it as can be: one request on a connection, of a few kilobytes, in a few seconds;
no body is read, nothing of what they send is kept, and only so many of them are served at a time.
"""

import asyncio
import socket
from collections.abc import Sequence
from typing import Final

from config.addresses import Bind
from proxy.bound_socket import listening_socket
from proxy.http.head import HeadLimits, MalformedMessage, RequestHead, parse_request_head
from proxy.http.target import parse_authority

Tokens = dict[str, str]
"""Token -> key authorization, of the challenges that are pending."""

_CHALLENGE: Final = b"/.well-known/acme-challenge/"
_HTTPS_PORT: Final = 443
_BACKLOG: Final = 128
# A browser's first request has 1 KB; this is what the rest of the proxy takes for a target and its headers.
_HEAD_BYTES: Final = 16_384
_LIMITS: Final = HeadLimits(target_bytes=8_192, header_count=100, header_bytes=8_192)
# A few round trips with a lost packet; CAs give up after ten seconds themselves.
_SECONDS: Final = 10.0
# Descriptors that the parent can spare. CAs look from five places or so; one that is turned away comes again.
_MOST_CONNECTIONS: Final = 256
# What is still read after the answer, so that the client sees it instead of a reset connection.
_LINGER_BYTES: Final = 65_536
_LINGER_SECONDS: Final = 1.0


class PlainListenerError(Exception):
    """It cannot listen on `bind`; `reason` is the system's."""

    def __init__(self, bind: Bind, reason: str) -> None:
        """Remember the facts."""
        super().__init__(bind, reason)
        self.bind = bind
        self.reason = reason

    def __str__(self) -> str:
        """One clause."""
        return f"{self.bind}: {self.reason}"


class PlainListener:
    """Answers from `start` to `stop`."""

    def __init__(self, binds: Sequence[Bind], https_port: int, tokens: Tokens) -> None:
        """`https_port` is where others are sent; `tokens` may change at any time, in any thread."""
        self._binds = binds
        self._port = b"" if https_port == _HTTPS_PORT else b":%d" % https_port
        self._tokens = tokens
        self._servers: list[asyncio.Server] = []
        self._open: set[asyncio.StreamWriter] = set()
        self.addresses: tuple[tuple[str, int], ...] = ()
        """Where it listens, with the ports that the kernel chose for port 0."""

    async def start(self) -> None:
        """Listen. Raises `PlainListenerError`; nothing listens then."""
        try:
            for bind in self._binds:
                sock = _listening(bind)
                self.addresses += (sock.getsockname()[:2],)
                self._servers.append(
                    await asyncio.start_server(self._served, sock=sock, limit=_HEAD_BYTES, backlog=_BACKLOG)
                )
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Listen no more; what is under way is cut."""
        servers, self._servers = self._servers, []
        for server in servers:
            server.close()
        for writer in list(self._open):
            writer.transport.abort()
        self.addresses = ()

    async def _served(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= _MOST_CONNECTIONS:
            writer.transport.abort()
            return
        self._open.add(writer)
        try:
            async with asyncio.timeout(_SECONDS):
                try:
                    answer = self._answer(await reader.readuntil(b"\r\n\r\n"))
                except asyncio.LimitOverrunError:
                    answer = _response(b"431 Request Header Fields Too Large")
                writer.write(answer)
                await writer.drain()
                writer.write_eof()
            async with asyncio.timeout(_LINGER_SECONDS):
                left = _LINGER_BYTES
                while left > 0 and (data := await reader.read(left)):
                    left -= len(data)
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            pass  # silent, gone, or still talking
        finally:
            self._open.discard(writer)
            writer.close()

    def _answer(self, raw: bytes) -> bytes:
        """What a request gets. Pure but for the table of tokens."""
        try:
            head = parse_request_head(raw, _LIMITS)
            hosts = [value for name, value in head.headers if name.lower() == b"host"]
            if len(hosts) != 1 or not head.target.startswith(b"/"):  # RFC 9112 section 3.2
                return _response(b"400 Bad Request")
            if head.target.startswith(_CHALLENGE):
                return self._challenge(head)
            authority = parse_authority(hosts[0])
        except MalformedMessage as error:
            return _response(b"%d Refused" % error.status)
        host = b"[%b]" % authority.host if b":" in authority.host else authority.host
        location = b"https://%b%b%b" % (host, self._port, head.target)
        return _response(b"308 Permanent Redirect", b"Location: %b\r\n" % location)

    def _challenge(self, head: RequestHead) -> bytes:
        token = head.target.removeprefix(_CHALLENGE).decode("ascii", "replace")
        found = self._tokens.get(token)
        if found is None or head.method not in {b"GET", b"HEAD"}:
            return _response(b"404 Not Found")
        body = found.encode()
        shown = b"" if head.method == b"HEAD" else body
        return _response(b"200 OK", b"Content-Type: application/octet-stream\r\n", body, shown)


def _response(status: bytes, fields: bytes = b"", body: bytes = b"", shown: bytes | None = None) -> bytes:
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (
        status,
        fields,
        len(body),
        body if shown is None else shown,
    )


def _listening(bind: Bind) -> socket.socket:
    try:
        return listening_socket(bind, _BACKLOG)
    except OSError as error:
        raise PlainListenerError(bind, error.strerror or str(error)) from None
