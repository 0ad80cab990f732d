"""The requests and answers of a row repeat what its name says, and are new in the rest."""

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench import differing
from tests.bench.exchanges import Exchange, Kind, clients
from tests.bench.measuring import Scene
from tests.bench.servers import Server
from tests.certificates import Authority

SENT = 20
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def recorder(directory: Path) -> Iterator[tuple[Server, list[bytes]]]:
    """A server for one connection, and the requests that came over it."""
    context = Authority(directory).issue("server").server_context()
    received: list[bytes] = []
    with ssl.SSLContext.wrap_socket(context, socket.create_server(("127.0.0.1", 0)), server_side=True) as listener:

        def answer() -> None:
            client, _ = listener.accept()
            with client:
                while data := client.recv(65_536):
                    received.append(data)
                    client.sendall(_ANSWER)

        thread = threading.Thread(target=answer)
        thread.start()
        yield Server("recorder", 0, listener.getsockname()[1]), received
        thread.join()


@pytest.mark.parametrize(
    ("exchange", "differ"),
    [
        (differing.SAME, []),
        (differing.PATH, [b"GET"]),
        (differing.FIELDS, [b"If-None-Match", b"traceparent"]),
        (differing.ANSWER, []),
        (differing.BOTH, [b"If-None-Match", b"traceparent"]),
    ],
)
def test_only_the_named_lines_of_a_request_differ_and_never_repeat(
    tmp_path: Path, directory: Path, exchange: Exchange, differ: list[bytes]
) -> None:
    with recorder(tmp_path) as (server, received), clients(server, directory, exchange, 1) as opened:
        assert opened.run(10, in_flight=1, count=SENT).exchanges == SENT
    lines = list(zip(*(one.split(b"\r\n") for one in received), strict=True))
    assert [re.split(rb"[: ]", line[0])[0] for line in lines if len(set(line)) > 1] == differ
    assert {len(set(line)) for line in lines} <= {1, SENT}
    assert all(b"#" not in line[0] for line in lines)


def test_all_of_a_new_post_differs(tmp_path: Path, directory: Path) -> None:
    with recorder(tmp_path) as (server, received), clients(server, directory, differing.POST_NEW, 1) as opened:
        opened.run(10, in_flight=1, count=SENT)
    heads, bodies = zip(*(one.split(b"\r\n\r\n") for one in received), strict=True)
    assert len(set(bodies)) == SENT
    assert len({head.split(b"\r\n")[0] for head in heads}) == SENT
    lengths = [int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]) for head in heads]
    assert lengths == [len(body) for body in bodies]
    assert len(set(lengths)) == len(differing.POST_NEW.messages) == 16


@pytest.mark.parametrize("kind", [Kind.HTTP, Kind.H2])
def test_new_paths_reach_the_server(scene: Scene, directory: Path, kind: Kind) -> None:
    exchange = replace(differing.POST_NEW, kind=kind)
    log = directory / "plexigate.log"
    begins = len(log.read_text())
    with clients(scene.ours, directory, exchange, 2, streams=1 if kind is Kind.HTTP else 5) as opened:
        done = opened.run(0.2, in_flight=2).exchanges
    paths: list[str] = []
    while len(paths) < done:  # it is written a while later
        paths = re.findall(r'"path":"(/up/new/messages/[0-9a-f]{16})"', log.read_text()[begins:])
    assert len(set(paths)) == len(paths) == done


@pytest.mark.parametrize("kind", [Kind.HTTP, Kind.H2])
@pytest.mark.parametrize("exchange", [differing.BOTH, differing.POST_NEW])
def test_they_are_answered_through_each_server(server: Server, directory: Path, exchange: Exchange, kind: Kind) -> None:
    with clients(server, directory, replace(exchange, kind=kind), 2, streams=1 if kind is Kind.HTTP else 5) as opened:
        assert opened.run(10, in_flight=2, count=100).exchanges == 100
