"""Clients and servers that misuse a TCP listener: memory stays bounded, and others are served."""

import contextlib
import json
import os
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.tls.wire.alerts import AlertDescription, alert_record
from tests.certificates import Authority, CertificateFiles
from tests.integration.relays import NAMES, SECONDS, connected, ended, read_exactly, relaying, tcp_listener
from tests.integration.stage import Site
from tests.integration.upstreams import Peer, scripted
from tests.proxy.tls import hellos

CONNECTIONS = 48
FLOOD = bytes(1_048_576)
LARGEST_HELLO = 65_536
"""The default of limits.client_hello_bytes."""
_PADDING = 21


def flood(peer: Peer) -> None:
    """Answer a line with as much as the other side takes; else echo."""
    peer.sock.settimeout(20.0)
    first = peer.read_some()
    if first == b"flood\n":
        with contextlib.suppress(OSError):
            while True:
                peer.send(FLOOD)
    while first:
        peer.send(first)
        first = peer.read_some()


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> CertificateFiles:
    return authority.issue("irc", NAMES)


@contextlib.contextmanager
def flooded(directory: Path, authority: Authority, certificate: CertificateFiles) -> Iterator[Site]:
    """A proxy in front of a server that floods."""
    with scripted(flood) as server:
        tables = tcp_listener(server.url.replace("http:", "tcp:"))
        passed = f'passthrough = {{ "turn.test" = "{server.url.replace("http:", "tcp:")}" }}'
        tables = tables.replace("[upstream.irc]", f"{passed}\n[upstream.irc]")
        tables += f"[listener.irc.limits]\nconnections = {CONNECTIONS}\n"
        with relaying(
            directory, authority, certificate, tables, write_idle_timeout="1500ms", drain_timeout="4s"
        ) as running:
            yield running


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, certificate: CertificateFiles
) -> Iterator[Site]:
    with flooded(tmp_path_factory.mktemp("attack"), authority, certificate) as running:
        yield running


def echoes(site: Site) -> None:
    """Somebody else is served."""
    with connected(site) as client:
        client.sendall(b"ping")
        assert read_exactly(client, 4) == b"ping"


def test_clients_that_take_nothing_hold_little_memory_and_are_cut(site: Site) -> None:
    echoes(site)
    site.forget_peak()
    before = site.resident_bytes
    count = CONNECTIONS - 8
    with contextlib.ExitStack() as closing:
        for _ in range(count):
            closing.enter_context(connected(site)).sendall(b"flood\n")
        lines = ended(site, count, reason="client_takes_no_more")
        echoes(site)
    assert len(lines) == count
    # one read of a server (64 KiB), what is encrypted of it, and what the allocator keeps of both
    assert site.peak_bytes - before < count * 400_000 + 16_000_000


@pytest.mark.parametrize("speaks", [False, True])
def test_clients_that_hold_connections_make_room_for_others(site: Site, *, speaks: bool) -> None:
    """A byte does not protect them."""
    with contextlib.ExitStack() as closing:
        for _ in range(CONNECTIONS - 2):
            client = closing.enter_context(connected(site))
            if speaks:
                client.sendall(b"x")
                assert read_exactly(client, 1) == b"x"
        time.sleep(0.6)  # `LEAST_IDLE_SECONDS`: one that is younger may have just arrived
        for _ in range(8):
            client = closing.enter_context(connected(site))
            client.sendall(b"ping")
            assert read_exactly(client, 4) == b"ping"
    assert ended(site, 6, reason="shed_idle")


def test_256_connections_without_a_hello_lock_nobody_out(site: Site) -> None:
    with contextlib.ExitStack() as closing:
        for _ in range(256):
            closing.enter_context(socket.create_connection(("127.0.0.1", site.port("irc")), SECONDS))
        for _ in range(4):
            echoes(site)


def hello_of(size: int, name: str) -> bytes:
    """A ClientHello that begins its extensions with a name, and is filled up to a size."""
    asked = hellos.Hello((hellos.server_name(name.encode()), *hellos.MINIMAL_EXTENSIONS))
    filler = hellos.extension(_PADDING, bytes(size - len(asked.message) - len(hellos.extension(_PADDING))))
    return asked.with_extensions(filler).message


@pytest.mark.parametrize("name", ["irc.test", "turn.test"])
def test_hello_over_the_limit_is_neither_opened_nor_passed_on(site: Site, name: str) -> None:
    """The alert comes with its first record, which says how long it is and has the whole name."""
    before = len(site.program.output)
    hello = hello_of(LARGEST_HELLO + 1, name)
    record = hellos.record(hello[:600])
    assert name.encode() in record
    with socket.create_connection(("127.0.0.1", site.port("irc")), SECONDS) as sock:
        sock.sendall(record)
        assert sock.recv(100) == alert_record(AlertDescription.DECODE_ERROR)
        assert sock.recv(100) == b""
    line = site.program.wait_for(
        lambda output: next((one for one in output[before:] if "malformed_hello" in one), None)
    )
    assert json.loads(line)["reason"] == "malformed_hello"


def test_largest_hello_is_opened(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.port("irc")), SECONDS) as sock:
        sock.sendall(hellos.records(hello_of(LARGEST_HELLO, "irc.test"), 16_384))
        assert sock.recv(1) == b"\x16"


def test_largest_hello_is_passed_on_as_it_is(site: Site) -> None:
    sent = hellos.records(hello_of(LARGEST_HELLO, "turn.test"), 16_384)
    with socket.create_connection(("127.0.0.1", site.port("irc")), SECONDS) as sock:
        sock.sendall(sent)
        assert read_exactly(sock, len(sent)) == sent  # the server behind echoes


def test_a_byte_from_time_to_time_keeps_a_connection(site: Site) -> None:
    with connected(site) as client:
        for _ in range(6):
            client.sendall(b"x")
            assert client.recv(1) == b"x"
            time.sleep(0.5)


def test_reload_keeps_connections_and_ends_those_that_it_forbids(
    tmp_path: Path, authority: Authority, certificate: CertificateFiles
) -> None:
    with flooded(tmp_path, authority, certificate) as site, connected(site) as client:
        text = site.configuration.read_text()
        client.sendall(b"a")
        assert client.recv(1) == b"a"
        site.configuration.write_text(text.replace('write_idle_timeout = "1500ms"', 'write_idle_timeout = "2s"'))
        os.kill(site.pid, signal.SIGHUP)
        site.program.wait_for(lambda output: next((one for one in output if '"event": "reloaded"' in one), None))
        client.sendall(b"b")
        assert client.recv(1) == b"b"
        site.configuration.write_text(
            text.replace('protocol = "tcp"', 'protocol = "tcp"\nalpn = ["irc"]\nalpn_required = true')
        )
        os.kill(site.pid, signal.SIGHUP)
        assert client.recv(1) == b""  # a close_notify, within the drain timeout
        with contextlib.suppress(OSError):
            client.unwrap()
        (line,) = ended(site, reason="reloaded")
    assert "protocol" in line["detail"]


def test_drain_of_the_process_tells_clients_first(
    tmp_path: Path, authority: Authority, certificate: CertificateFiles
) -> None:
    with scripted(flood) as server:
        tables = tcp_listener(server.url.replace("http:", "tcp:"))
        with relaying(tmp_path, authority, certificate, tables, drain_timeout="2s") as site:
            client = connected(site)
            client.sendall(b"a")
            assert client.recv(1) == b"a"
            os.kill(site.pid, signal.SIGTERM)
            assert client.recv(1) == b""
            client.close()
            assert json.loads(json.dumps(ended(site, reason="drained")))[0]["bytes_in"] == 1
    assert isinstance(client, ssl.SSLSocket)
