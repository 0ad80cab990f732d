"""Small TLS servers of another stack than the doctor's: Python's `ssl` on the system's OpenSSL."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from proxy.doctor.handshakes.visits import Entrance
from proxy.tls.openssl import libssl
from tests.certificates import CertificateFiles

Talk = Callable[[ssl.SSLSocket], None]


def silent(_: ssl.SSLSocket) -> None:
    """Say nothing behind the handshake."""


def context(
    files: CertificateFiles, groups: str = "X25519MLKEM768 / X25519", alpn: tuple[str, ...] = ()
) -> ssl.SSLContext:
    """A server with these groups."""
    made = files.server_context()
    libssl.set_groups(made, groups)
    if alpn:
        made.set_alpn_protocols(list(alpn))
    return made


@contextmanager
def tls_server(made: ssl.SSLContext, talk: Talk = silent) -> Iterator[Entrance]:
    """Serve one connection after the other on a free port; `talk` has each that is established."""

    def serve(sock: socket.socket) -> None:
        # a client that hangs up, or refuses
        with contextlib.suppress(OSError), made.wrap_socket(sock, server_side=True) as tls:
            talk(tls)
            _hang_up(tls)

    with raw_server(serve) as door:
        yield door


@contextmanager
def raw_server(talk: Callable[[socket.socket], None]) -> Iterator[Entrance]:
    """Have each connection, one after the other, without TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):  # the socket is shut down: the end
                while True:
                    sock, _ = listening.accept()
                    sock.settimeout(5)
                    with sock:
                        talk(sock)
                        if sock.fileno() >= 0:  # it may belong to a TLS socket by now
                            _hang_up(sock)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Entrance("127.0.0.1", listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def _hang_up(sock: socket.socket) -> None:
    """Close after the client: what it has sent and is not read would make the end a reset."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65_536):
            pass


def unused_door() -> Entrance:
    """An address where nothing listens, as its port was just given back."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return Entrance("127.0.0.1", listening.getsockname()[1])
