"""Handshakes, full and resumed, and connections at rest, with each of the servers."""

import json
import socket
import ssl
import threading
from pathlib import Path

import pytest

from tests.bench import load, usage
from tests.bench.__main__ import GROUP
from tests.bench.measuring import Scene
from tests.bench.servers import MESSAGE, Server
from tests.certificates import Authority
from tests.ports import lasting_port


def resumptions_logged(directory: Path, path: str) -> list[bool]:
    """What Plexigate says of the connections that asked for a path."""
    lines = (directory / "plexigate.log").read_text().splitlines()
    entries = (json.loads(line) for line in lines if f'"path":"{path}"' in line)
    return [entry["resumed"] for entry in entries]


def visit(path: str) -> bytes:
    return load.VISIT.replace(MESSAGE.encode(), path.encode())


def test_hybrid_group_is_negotiated(server: Server, scene: Scene) -> None:
    assert load.negotiated_group(server, scene.bench.authority) == GROUP


@pytest.mark.parametrize("request_", [b"", load.VISIT], ids=["alone", "with a request"])
def test_handshakes_come_in_whole_batches(server: Server, scene: Scene, request_: bytes) -> None:
    assert load.handshakes(server, 5, scene.bench.authority, at_once=4, request=request_) == 8


def test_resumed_visits_resume(server: Server, scene: Scene) -> None:
    clients = load.Resumptions.of(server, scene.bench.authority, load.VISIT)
    first = [session.id for session in clients.sessions]
    assert clients.visit(load.MANY) == load.MANY
    assert not set(first) & {session.id for session in clients.sessions}


def test_full_and_resumed_handshakes_are_what_the_server_says_they_are(scene: Scene, directory: Path) -> None:
    (directory / "files" / "resumed").write_text("{}")
    (directory / "files" / "full").write_text("{}")
    load.handshakes(scene.ours, load.MANY, scene.bench.authority, request=visit("/full"))
    clients = load.Resumptions.of(scene.ours, scene.bench.authority, visit("/resumed"))
    clients.visit(load.MANY)
    while len(resumptions_logged(directory, "/resumed")) < 2 * load.MANY:
        pass
    assert resumptions_logged(directory, "/full") == [False] * load.MANY
    assert resumptions_logged(directory, "/resumed") == [False] * load.MANY + [True] * load.MANY


def test_server_without_tickets_is_an_error(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = authority.issue("server").server_context()
    context.num_tickets = 0
    port = lasting_port()
    with ssl.SSLContext.wrap_socket(context, socket.create_server(("127.0.0.1", port)), server_side=True) as one:

        def answer() -> None:
            for _ in range(load.MANY):
                client, _ = one.accept()
                with client:
                    client.recv(65_536)
                    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(load.LoadError, match="silent: gave no ticket with its answer"):
            load.Resumptions.of(Server("silent", 0, port), authority.path, load.VISIT)
        thread.join()


def test_idle_connections_stay_open_in_the_server_until_the_end(server: Server, scene: Scene) -> None:
    def sockets() -> int:
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in usage.processes(server.pid))

    with load.idle_connections(server, 20, MESSAGE, scene.bench.authority):
        within = sockets()
    while sockets() > within - 20:  # they end now, and those of tests before may have ended too
        pass
