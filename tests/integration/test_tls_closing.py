"""How connections end: close_notify where all is said, a visible cut where it is not, answers for half-closed clients."""

import json
import socket
import ssl

import pytest

from tests.hostile.client import End
from tests.integration.gateway import Gateway

REQUEST = b"GET /%s HTTP/1.1\r\nHost: chat.test\r\n\r\n"
LAST_REQUEST = b"GET /last HTTP/1.1\r\nHost: chat.test\r\nConnection: close\r\n\r\n"


def test_last_response_is_followed_by_close_notify(gateway: Gateway) -> None:
    with gateway.connect() as client:
        client.send(LAST_REQUEST)
        assert client.read_response().status == 200
        assert client.await_end() is End.CLEAN


def test_error_that_ends_the_connection_is_too(gateway: Gateway) -> None:
    with gateway.connect() as client:
        client.send(b"rubbish\r\n\r\n")
        assert client.read_response().status == 400
        assert client.await_end() is End.CLEAN


def test_idle_client_that_says_goodbye_is_answered_in_kind(gateway: Gateway) -> None:
    with gateway.connect() as client:
        client.send(REQUEST % b"first")
        assert client.read_response().status == 200
        client.shut_down()
        assert client.await_end() is End.CLEAN


def test_response_that_was_cut_is_seen_to_be_cut(gateway: Gateway) -> None:
    with gateway.connect() as client:
        client.send(REQUEST % b"cut")
        assert client.read_to_end().endswith(b"half")
        assert client.end is End.CUT


@pytest.mark.parametrize(
    ("version", "statuses"),
    # a partial file, or a TLS stream without its end; a stream that was reset
    [("--http1.1", (18, 56)), ("--http2", (92,))],
)
def test_curl_sees_that_it_was_cut(gateway: Gateway, version: str, statuses: tuple[int, ...]) -> None:
    said = gateway.curl(version, path="/cut")
    assert said.status in statuses
    assert said.output == "half"


@pytest.mark.parametrize("says_so", [True, False], ids=["close_notify", "fin_only"])
def test_half_closed_client_still_gets_its_response(gateway: Gateway, says_so: bool) -> None:  # noqa: FBT001
    """As `curl` with --no-keepalive in a pipe, or `openssl s_client < file`, do."""
    with gateway.connect() as client:
        client.send(REQUEST % b"half-closed")
        client.shut_down(says_so=says_so)
        response = client.read_response()
        assert response.status == 200
        assert json.loads(response.body)["target"] == "/half-closed"
        assert client.await_end() is End.CLEAN


def test_s_client_that_reads_its_request_from_a_file_gets_the_response(gateway: Gateway) -> None:
    said = gateway.s_client("-ign_eof", say=LAST_REQUEST.decode())
    assert "HTTP/1.1 200 OK" in said.output
    assert "\nclosed\n" in said.output
    assert "unexpected eof" not in said.errors


def test_python_reads_a_clean_end(gateway: Gateway) -> None:
    context = ssl.create_default_context(cafile=str(gateway.trust.classical.path))
    with (
        socket.create_connection(("127.0.0.1", gateway.port()), 10) as sock,
        context.wrap_socket(sock, server_hostname="chat.test", suppress_ragged_eofs=False) as tls,
    ):
        tls.sendall(LAST_REQUEST)
        data = b""
        while piece := tls.recv(10_000):
            data += piece
        assert data.startswith(b"HTTP/1.1 200 ")
        tls.unwrap()


def test_request_of_a_client_that_broke_its_tls_is_not_answered_and_the_alert_arrives(gateway: Gateway) -> None:
    with gateway.connect() as client:
        client.send_raw(client.sealed(REQUEST % b"before") + b"\x17\x03\x03\x00\x14" + bytes(20) + b"x" * 20_000)
        client.read_to_end()
        assert client.end is End.ALERT
        assert "BAD_RECORD_MAC" in client.alert.upper().replace(" ", "_")


def test_route_for_post_quantum_connections_tells_a_classical_client_what_to_do(gateway: Gateway) -> None:
    refused = gateway.curl("--http1.1", "--curves", "x25519", "--include", path="/pq/secrets")
    assert refused.status == 0
    head, _, body = refused.output.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 403 ")
    assert "application/problem+json" in head
    problem = json.loads(body)
    assert problem["status"] == 403
    assert problem["group"] == "X25519"
    assert "X25519MLKEM768" in body
    assert problem["remedy"]
    assert "Connection: close" not in head  # only this route is refused

    served = gateway.curl("--curves", "X25519MLKEM768", path="/pq/secrets")
    assert json.loads(served.output)["group"] == ["X25519MLKEM768"]
    other = gateway.curl("--curves", "x25519", path="/pqr")
    assert json.loads(other.output)["target"] == "/pqr"
