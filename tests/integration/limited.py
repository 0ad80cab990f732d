"""A proxy whose limits a test reaches, and the counts that it has when it ends."""

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.certificates import Authority, CertificateFiles
from tests.hostile.client import Address, Client, connect
from tests.integration.gateway import events
from tests.integration.stage import Site, Upstream, complaints, request, write_configuration
from tests.integration.upstreams import OK, WAIT_SECONDS, Peer, Script, scripted
from tests.programs import PLEXIGATE, plexigate, plexigate_listeners, program

GATHERED_BYTES = 65_536
"""The default of `request_buffer_bytes`: with so much of a body a server is asked."""
SILENCE_SECONDS = 0.3
"""Over loopback: who has got nothing for so long waits, and is not refused."""


def listener(name: str, settings: str = "", /, **limits: float | str) -> str:
    """A listener with limits of its own."""
    lines = [f"[listener.{name}]", 'bind = "127.0.0.1:0"', settings, f"[listener.{name}.limits]"]
    return "\n".join([*lines, *(f"{limit} = {json.dumps(value)}" for limit, value in limits.items()), ""])


@dataclass
class Limited:
    """A running proxy."""

    site: Site

    def connect(
        self,
        source: str = "",
        listener: str = "public",
        receive_bytes: int = 0,
        context: ssl.SSLContext | None = None,
    ) -> Client:
        """An established connection, from `source` or the usual address."""
        address = Address(self.site.port(listener), self.site.ca)
        return Client(address, "localhost", context, source=source, receive_bytes=receive_bytes)

    def in_use(self, source: str = "", listener: str = "public") -> Client:
        """An established connection with a request that a server has, but for its last byte: it makes room for nobody."""
        client = self.connect(source, listener)
        client.send(
            request(f"Content-Length: {GATHERED_BYTES + 1}", start="PUT / HTTP/1.1", body=bytes(GATHERED_BYTES))
        )
        return client

    def tcp(self, source: str = "", listener: str = "public") -> socket.socket:
        """A connection that says nothing."""
        return connect(self.site.port(listener), source=source)

    def refuses(self, source: str = "", listener: str = "public") -> bool:
        """Whether a new connection is closed without a word."""
        with self.tcp(source, listener) as sock:
            return is_closed(sock, WAIT_SECONDS)

    def serves(self, source: str = "", listener: str = "public") -> bool:
        """Whether a new client is served."""
        with self.connect(source, listener) as client:
            return serves(client)

    def serves_if_admitted(self, listener: str = "public") -> bool:
        """Whether a new client is served, and not refused as there is no place for it."""
        try:
            return self.serves(listener=listener)
        except OSError:
            return False

    def counts(self, listener: str) -> dict[str, int]:
        """What a listener has counted so far, by reason."""
        return {reason: count for (name, reason), count in self.site.admin.failures().items() if name == listener}

    def counted(self, listener: str = "public") -> dict[str, int]:
        """What a listener has counted, once the proxy has ended."""
        (stopped,) = events(self.site.program.output, "stopped")
        return {entry["reason"]: entry["count"] for entry in stopped["failures"] if entry["listener"] == listener}


@dataclass(frozen=True)
class Stage:
    """Where such proxies are started."""

    directory: Path
    authority: Authority
    certificate: CertificateFiles

    @contextmanager
    def limited(
        self, extra: str, *, route: str = "", descriptors: int = 0, script: Script | None = None, workers: int = 1
    ) -> Iterator[Limited]:
        """Run one: `extra` are further tables, `route` lines of its route; `descriptors` is what the system gives it."""
        with scripted(script or answering_all) as server:
            upstreams = {"chat": Upstream((server.url,), path="/", route=route)}
            configuration = write_configuration(self.directory, self.certificate, upstreams, extra, workers)
            few = ["sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh", PLEXIGATE, "run", str(configuration)]
            with program(few, plexigate_listeners) if descriptors else plexigate(configuration) as running:
                yield Limited(Site(running, self.authority.path, configuration))
            assert complaints(running.output) == []


def answering_all(peer: Peer) -> None:
    """Answer all requests of a connection."""
    for _ in peer.requests(is_peer_trusted=True):
        peer.send(OK)


def is_closed(sock: socket.socket, seconds: float = SILENCE_SECONDS) -> bool:
    """Whether the proxy closes a connection on which nothing was said, or has closed it: it has so long."""
    sock.settimeout(seconds)
    try:
        return sock.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


def serves(client: Client) -> bool:
    """Whether a request of this client is answered."""
    client.send(request())
    return client.read_response().status == 200
