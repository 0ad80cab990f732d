"""A proxy with listeners that do not read HTTP, and clients of them."""

import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.certificates import Authority, CertificateFiles
from tests.configurations import identity, limits, process
from tests.integration.stage import Site, serving

SECONDS = 10.0
NAMES = ("irc.test", "*.rooms.test")
ENDS = ("tcp_closed", "passthrough_closed")


def configured(directory: Path, certificate: CertificateFiles, tables: str, limit: Mapping[str, float | str]) -> Path:
    """Write a configuration with one identity, which has `NAMES`."""
    path = directory / f"relays-{len(list(directory.glob('relays-*.toml')))}.toml"
    text = process(path.with_suffix(".sock")) + tables + identity("irc", NAMES, certificate) + limits(limit)
    path.write_text(text)
    return path


@contextmanager
def relaying(
    directory: Path,
    authority: Authority,
    certificate: CertificateFiles,
    tables: str,
    **limit: float | str,
) -> Iterator[Site]:
    """Run it."""
    with serving(configured(directory, certificate, tables, limit), authority) as site:
        yield site


def tcp_listener(upstream: str, name: str = "irc", **settings: object) -> str:
    """A listener for TCP, and its upstream with one server."""
    keys = {"bind": "127.0.0.1:0", "protocol": "tcp", "upstream": name, **settings}
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items())
    return f"[listener.{name}]\n{lines}\n[upstream.{name}]\nservers = {json.dumps([upstream])}\n"


def connected(
    site: Site, name: str | None = "irc.test", on: str = "irc", alpn: tuple[str, ...] = (), **options: Any
) -> ssl.SSLSocket:
    """A client after its handshake. An end without a close_notify raises `SSLEOFError`."""
    context = ssl.create_default_context(cafile=str(site.ca))
    context.check_hostname = name is not None
    if alpn:
        context.set_alpn_protocols(list(alpn))
    sock = socket.create_connection(("127.0.0.1", site.port(on)), timeout=SECONDS, **options)
    try:
        return context.wrap_socket(sock, server_hostname=name, suppress_ragged_eofs=False)
    except BaseException:
        sock.close()
        raise


def read_exactly(sock: socket.socket, count: int) -> bytes:
    """Read so many bytes."""
    data = bytearray()  # to append to bytes copies all of them each time: seconds for megabytes
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            raise EOFError(bytes(data[:1_000]))
        data += piece
    return bytes(data)


def ended(site: Site, count: int = 1, **facts: object) -> list[dict[str, Any]]:
    """The log lines of connections that are over, once there are so many with these facts."""

    def find(output: list[str]) -> list[dict[str, Any]] | None:
        lines = [json.loads(line) for line in output if line.startswith("{")]
        found = [one for one in lines if one.get("event") in ENDS and facts.items() <= one.items()]
        return found if len(found) >= count else None

    return site.program.wait_for(find)
