"""A server that shows a version of a rotation scene, a few times."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from certs.storage.shelf import StoredVersion


def server_context(*versions: StoredVersion) -> ssl.SSLContext:
    """What shows these; their keys are plain files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for version in versions:
        context.load_cert_chain(version.chain_path, version.kept_path)
    return context


@contextmanager
def shown_over(context: ssl.SSLContext) -> Iterator[socket.socket]:
    """A connection whose far end shakes hands once."""
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=_shake, args=(context, theirs))
    thread.start()
    with ours:
        yield ours
    thread.join()


@contextmanager
def listening(context: ssl.SSLContext) -> Iterator[int]:
    """A port where the next connection is answered."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: _shake(context, server.accept()[0]))
        thread.start()
        yield int(server.getsockname()[1])
        thread.join()


def _shake(context: ssl.SSLContext, sock: socket.socket) -> None:
    with sock, contextlib.suppress(OSError), context.wrap_socket(sock, server_side=True) as tls:
        tls.recv(1)
