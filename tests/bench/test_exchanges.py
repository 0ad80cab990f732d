"""The exchanges that are measured reach the upstream and come back, through each of the servers."""

import json
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.bench import exchanges, load
from tests.bench.measuring import Scene
from tests.bench.servers import ECHO, MESSAGE, SIZES, Server

IN_FLIGHT = 4


def asked(server: Server, scene: Scene, exchange: exchanges.Exchange) -> tuple[str, bytes]:
    """The head and the body that the server answers with, to a client that is not the one measured with."""
    with load.connection(server, load.client_context(scene.bench.authority)) as client:
        client.sendall(exchange.data)
        received = b""
        while b"\r\n\r\n" not in received:
            received += client.recv(65_536)
        head, _, body = received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += client.recv(65_536)
        return head.decode(), body


@pytest.mark.parametrize(
    ("exchange", "octets"),
    [(exchanges.GET, SIZES["/message"]), (exchanges.GET_PICTURE, 65_536)],
    ids=["message", "picture"],
)
def test_get_is_answered_with_the_whole_file(
    server: Server, scene: Scene, exchange: exchanges.Exchange, octets: int
) -> None:
    head, body = asked(server, scene, exchange)
    assert head.startswith("HTTP/1.1 200 ")
    assert len(body) == octets
    assert set(json.loads(body)) == {"text"}


def test_request_has_thirteen_fields() -> None:
    head = exchanges.GET.data.split(b"\r\n\r\n")[0]
    assert len(head.split(b"\r\n")) == 1 + 13


def test_post_arrives_whole_at_the_upstream(server: Server, scene: Scene) -> None:
    further = "Content-Type: application/json\nContent-Length: 1024\n"
    _, body = asked(server, scene, exchanges.request("sunk", "POST /up/sink", further, bytes(1_024)))
    assert json.loads(body) == {"octets": 1_024}


def test_websocket_message_comes_back(server: Server, scene: Scene) -> None:
    context = load.client_context(scene.bench.authority)
    message = bytes(range(200))
    with connect(
        f"wss://localhost:{server.port}{ECHO}", ssl=context, proxy=None, compression=None, close_timeout=0.1
    ) as socket:
        for _ in range(3):
            socket.send(message)
            assert socket.recv(timeout=load.SECONDS) == message


@pytest.mark.parametrize("exchange", [exchanges.GET, exchanges.GET_PICTURE, exchanges.ECHOED])
def test_clients_exchange_on_all_connections_and_tell_how_often(
    server: Server, directory: Path, exchange: exchanges.Exchange
) -> None:
    with exchanges.clients(server, directory, exchange, IN_FLIGHT) as clients:
        for _ in range(2):
            period = clients.run(0.2, in_flight=IN_FLIGHT)
            assert period.exchanges >= IN_FLIGHT
            assert 0 < period.p50 <= period.p99


def test_each_exchange_that_is_counted_is_one_that_the_server_logged(scene: Scene, directory: Path) -> None:
    for path in ("counted", "last"):
        (directory / "files" / path).write_text("{}")
    with exchanges.clients(scene.ours, directory, exchanges.request("counted", "GET /counted"), IN_FLIGHT) as clients:
        done = clients.run(0.2, in_flight=IN_FLIGHT).exchanges
    load.handshakes(scene.ours, 1, scene.bench.authority, request=load.VISIT.replace(MESSAGE.encode(), b"/last"))
    log = directory / "plexigate.log"
    while '"path":"/last"' not in log.read_text():  # it is written in order, a while later
        pass
    assert log.read_text().count('"path":"/counted"') == done


def test_rate_is_kept_and_not_exceeded(scene: Scene, directory: Path) -> None:
    with exchanges.clients(scene.servers[0], directory, exchanges.GET, IN_FLIGHT) as clients:
        assert clients.run(0.5, in_flight=IN_FLIGHT, rate=200).exchanges == 100


def test_answer_other_than_200_is_an_error_that_shows_it(server: Server, directory: Path) -> None:
    missing = exchanges.request("missing", "GET /nothing")
    with (
        exchanges.clients(server, directory, missing, 1) as clients,
        pytest.raises(load.LoadError, match=rf"(?s){server.name}: answered: HTTP/1.1 404 .*"),
    ):
        clients.run(0.1, in_flight=1)


def test_server_that_is_not_there_is_an_error(scene: Scene, directory: Path) -> None:
    gone = Server("gone", scene.ours.pid, 1)
    with (
        pytest.raises(load.LoadError, match="no connection: Connection refused"),
        exchanges.clients(gone, directory, exchanges.GET, 1),
    ):
        pass
