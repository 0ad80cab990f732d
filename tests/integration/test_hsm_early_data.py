"""Early data of clients that come from another server: it is refused, and no cut of it costs them their handshake."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.hsm.site import HsmSite
from tests.integration.hsm_scene import CLIENT_SECONDS, RETRIED_GROUPS, Scene, scene
from tests.programs import program

HEADER_BYTES = 5
EARLY = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + b"y" * 3_000


@pytest.fixture
def session_elsewhere(hsm_site: HsmSite) -> Path:
    """A session of a server that allows early data, which is not ours."""
    files, session = hsm_site.authority.issue("localhost", ("localhost",)), hsm_site.directory / "session.pem"
    server = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-early_data", "-max_early_data", "16384", "-www"]
    server += ["-tls1_3", "-cert", str(files.certificate), "-key", str(files.key)]
    with program(server, lambda line: line.removeprefix("ACCEPT ") if line.startswith("ACCEPT ") else None) as running:
        s_client(running.ready, "-sess_out", str(session), "-ign_eof", said=b"GET / HTTP/1.0\r\n\r\n")
    return session


def s_client(address: str, *words: str, said: bytes = b"") -> str:
    """What OpenSSL's client prints."""
    command = ["openssl", "s_client", "-connect", address, "-servername", "localhost", "-tls1_3", *words]
    return subprocess.run(command, input=said, capture_output=True, check=False, timeout=CLIENT_SECONDS).stdout.decode()


@contextmanager
def cutting(one: Scene, cut: int) -> Iterator[str]:
    """A relay for one client, which passes on `cut` bytes behind its ClientHello, and all others when the server has said something."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def relay() -> None:
            client, _ = listening.accept()
            with client, socket.create_connection(("127.0.0.1", one.port), CLIENT_SECONDS) as server:
                client.settimeout(CLIENT_SECONDS)
                said = b""
                while len(said) < HEADER_BYTES or len(said) < (end := _hello_bytes(said)) + len(EARLY):
                    said += client.recv(65_536)
                server.sendall(said[: end + cut])
                client.sendall(server.recv(65_536))
                server.sendall(said[end + cut :])
                back = threading.Thread(target=_pass_on, args=(server, client))
                back.start()
                _pass_on(client, server)
                back.join()

        thread = threading.Thread(target=relay)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


def _hello_bytes(said: bytes) -> int:
    return HEADER_BYTES + int.from_bytes(said[3:HEADER_BYTES])


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    while data := source.recv(65_536):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("cut", [0, 3, 11, 500])
def test_record_that_is_cut_before_a_retry(
    hsm_site: HsmSite, session_elsewhere: Path, cut: int, tmp_path: Path
) -> None:
    early = tmp_path / "early"
    early.write_bytes(EARLY)
    with scene(hsm_site) as one, cutting(one, cut) as address:
        words = ["-sess_in", str(session_elsewhere), "-early_data", str(early), "-groups", RETRIED_GROUPS]
        assert "Early data was rejected" in s_client(address, *words)
        assert one.handshakes_failed() == 0
