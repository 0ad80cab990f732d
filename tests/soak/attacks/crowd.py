"""Clients of one address that finish their handshake, ask for something, and then keep the proxy waiting."""

import contextlib
import select
import socket
import ssl
from typing import Final

ADDRESS: Final = "127.77.0.1"
# So that an answer waits with the proxy and not here.
_RECEIVE_BYTES: Final = 4_096
# As over a network: by the size of a segment the kernel decides how much it holds, and with those of the loopback, of 64 KB, it
# would take megabytes off the proxy's hands for each client.
_SEGMENT_BYTES: Final = 1_460
# Below `handshake_timeout`: one that the proxy turns away must not keep the others from being opened.
_STEP_SECONDS: Final = 5.0


class Crowd:
    """So many connections, each of which has sent the same request, and reads nothing of the answer."""

    def __init__(self, port: int, count: int, request: bytes, *, waits_for_answer: bool) -> None:
        """Nothing is open before `fill`. An answer is the end of one that waits for it; else it is left where it is."""
        self._port = port
        self._request = request
        self._context = ssl.create_default_context()
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        self._events = select.POLLRDHUP | (select.POLLIN if waits_for_answer else 0)
        self._poll = select.poll()
        self._missing = count
        self._open: dict[int, ssl.SSLSocket] = {}

    def fill(self, most: int) -> None:
        """Open what is missing, so many at most; what is not let in is missing still."""
        for _ in range(min(most, self._missing)):
            with contextlib.suppress(OSError):
                self._begin()

    def _begin(self) -> None:
        raw = socket.socket()
        try:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT_BYTES)
            raw.bind((ADDRESS, 0))
            raw.settimeout(_STEP_SECONDS)
            raw.connect(("127.0.0.1", self._port))
            tls = self._context.wrap_socket(raw, server_hostname="localhost")
        except OSError:
            raw.close()
            raise
        tls.sendall(self._request)
        tls.settimeout(0)
        self._poll.register(tls, self._events)
        self._open[tls.fileno()] = tls
        self._missing -= 1

    def look(self) -> None:
        """See who was answered or closed meanwhile; others come in their place by `fill`."""
        for descriptor, _ in self._poll.poll(0):
            self._lose(descriptor)

    def say(self, data: bytes) -> None:
        """Have all of them send a piece more."""
        for descriptor, tls in list(self._open.items()):
            try:
                tls.send(data)
            except ssl.SSLWantWriteError:
                pass  # the proxy does not read
            except OSError:
                self._lose(descriptor)

    def _lose(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)
        self._open.pop(descriptor).close()
        self._missing += 1
