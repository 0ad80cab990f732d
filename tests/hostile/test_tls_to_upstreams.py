"""TLS between the proxy and an upstream: what comes before the handshake, or from somebody else, is not an answer."""

import contextlib
import socket
import ssl
import threading
from pathlib import Path

import pytest

from tests.hostile.client import Records
from tests.hostile.scene import Scene, cases, request
from tests.proxy.tls.hellos import record

POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
BEFORE = {
    "response": POISON,
    "head": b"HTTP/1.1 200 OK\r\n",
    "octet": b"x",
    "line_end": b"\r\n",
    "plain_record": record(POISON, content_type=23),
    "alert": record(b"\2\x28", content_type=21),
}


@cases(BEFORE)
@pytest.mark.parametrize("goes_on", [True, False], ids=["then_tls", "then_nothing"])
def test_what_an_upstream_says_before_its_handshake_is_no_answer(
    scene: Scene,
    impostor: socket.socket,
    trusted: Path,
    case: bytes,
    goes_on: bool,  # noqa: FBT001
) -> None:
    """CVE-2026-1642: bytes that somebody on the way put before the handshake, taken for the answer."""

    def upstream() -> None:
        sock, _ = impostor.accept()
        with sock:
            sock.sendall(case)
            if not goes_on:
                return
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(trusted.with_name("chat.pem"), trusted.with_name("chat.key"))
            with contextlib.suppress(OSError), context.wrap_socket(sock, server_side=True) as tls:
                tls.recv(65_536)
                tls.sendall(POISON)

    thread = threading.Thread(target=upstream)
    thread.start()
    with scene.connect() as client:
        client.send(request("GET", "/tls"))
        response = client.read_response()
    thread.join()
    assert response.status == 502
    assert b"poison" not in response.body


@cases({"response": POISON, "octet": b"x"})
def test_what_an_upstream_says_with_its_handshake_is_no_answer(
    scene: Scene, impostor: socket.socket, trusted: Path, tmp_path: Path, case: bytes
) -> None:
    """TLS 1.3 lets a server send data behind its Finished, before it has heard of a request (RFC 8446 section 4.4.4)."""

    def upstream() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(trusted.with_name("chat.pem"), trusted.with_name("chat.key"))
        context.keylog_filename = str(tmp_path / "keys")
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        sock, _ = impostor.accept()
        with sock:
            incoming.write(sock.recv(65_536))
            with pytest.raises(ssl.SSLWantReadError):
                tls.do_handshake()
            by_hand = Records(tmp_path / "keys", "SERVER_TRAFFIC_SECRET_0", "TLS_AES_256_GCM_SHA384")
            sock.sendall(outgoing.read() + by_hand.record(case))
            with contextlib.suppress(ConnectionResetError):
                while sock.recv(65_536):
                    pass

    thread = threading.Thread(target=upstream)
    thread.start()
    with scene.connect() as client:
        client.send(request("GET", "/tls"))
        response = client.read_response()
    thread.join()
    assert response.status == 502
    assert b"poison" not in response.body


def test_an_upstream_that_speaks_tls_is_heard(scene: Scene, impostor: socket.socket, trusted: Path) -> None:
    def upstream() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(trusted.with_name("chat.pem"), trusted.with_name("chat.key"))
        sock, _ = impostor.accept()
        with context.wrap_socket(sock, server_side=True) as tls:
            tls.recv(65_536)
            tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    thread = threading.Thread(target=upstream)
    thread.start()
    with scene.connect() as client:
        client.send(request("GET", "/tls"))
        assert client.read_response().body == b"ok"
    thread.join()


def test_an_upstream_of_another_name_is_not_believed(scene: Scene, impostor: socket.socket, trusted: Path) -> None:
    def upstream() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(trusted.with_name("other.pem"), trusted.with_name("other.key"))
        sock, _ = impostor.accept()
        with sock, contextlib.suppress(OSError), context.wrap_socket(sock, server_side=True) as tls:
            tls.recv(65_536)

    thread = threading.Thread(target=upstream)
    thread.start()
    with scene.connect() as client:
        client.send(request("GET", "/tls"))
        assert client.read_response().status == 502
    thread.join()
