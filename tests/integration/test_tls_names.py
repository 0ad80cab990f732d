"""Server names: which identity answers, what happens to names that nobody has, and hosts of another identity."""

import json
import socket
import ssl

import pytest

from tests.integration.gateway import Gateway, events

UNRECOGNIZED_NAME = 112


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("chat.test", "chat"),
        ("CHAT.Test", "chat"),
        ("room.chat.test", "chat"),
        ("files.test", "files"),
        ("localhost", "local"),
    ],
)
def test_name_gets_its_certificate(gateway: Gateway, name: str, subject: str) -> None:
    said = gateway.s_client(name=name)
    assert f"subject=CN={subject}\n" in said.output
    assert said.is_established


@pytest.mark.parametrize("name", ["unknown.test", "test", "a.room.chat.test", "xchat.test", "chat.test:443", None])
def test_unknown_name_is_refused_with_an_alert(gateway: Gateway, name: str | None) -> None:
    assert gateway.s_client(name=name).alert == UNRECOGNIZED_NAME


@pytest.mark.parametrize("name", ["unknown.test", "chat.test:443", None])
def test_default_answers_for_unknown_names_where_it_is_asked_to(gateway: Gateway, name: str | None) -> None:
    arguments = [] if name is None else ["-verify_hostname", "chat.test"]
    said = gateway.s_client(*arguments, name=name, on="lenient")
    assert "subject=CN=chat\n" in said.output
    assert said.is_established


@pytest.mark.parametrize(
    ("name", "host", "on", "status"),
    [
        ("chat.test", "chat.test", "standard", 200),
        ("chat.test", "Chat.TEST:443", "standard", 200),
        ("chat.test", "room.chat.test", "standard", 200),
        ("room.chat.test", "chat.test", "standard", 200),
        ("chat.test", "files.test", "standard", 421),
        ("files.test", "chat.test", "standard", 421),
        ("chat.test", "unknown.test", "standard", 421),
        ("chat.test", "a.room.chat.test", "standard", 421),
        (None, "chat.test", "lenient", 200),
        (None, "files.test", "lenient", 421),
        ("files.test", "chat.test", "lenient", 421),
        ("localhost", "127.0.0.1", "standard", 200),
    ],
)
def test_host_has_to_be_of_the_identity_that_answered(
    gateway: Gateway, name: str | None, host: str, on: str, status: int
) -> None:
    context = None
    if name is None:
        context = ssl.create_default_context(cafile=str(gateway.trust.classical.path))
        context.check_hostname = False
    with gateway.connect(name, on, context=context) as client:
        client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert client.read_response().status == status


def test_curl_reaches_every_identity_by_its_name(gateway: Gateway) -> None:
    for host in ("chat.test", "room.chat.test", "files.test", "dual.test"):
        said = gateway.curl(host=host, path="/hello")
        assert said.status == 0, said.errors
        assert json.loads(said.output)["target"] == "/hello"


def test_listener_on_ipv6_serves_the_same(gateway: Gateway) -> None:
    address = ("::1", gateway.port("six"))
    context = ssl.create_default_context(cafile=str(gateway.trust.classical.path))
    with socket.create_connection(address, 10) as sock, context.wrap_socket(sock, server_hostname="localhost") as tls:
        tls.sendall(b"GET / HTTP/1.1\r\nHost: [::1]:8443\r\nConnection: close\r\n\r\n")
        assert tls.recv(100).startswith(b"HTTP/1.1 200 ")


def test_refused_name_is_logged_with_what_the_client_offered(gateway: Gateway) -> None:
    gateway.s_client("-groups", "x25519", name="logged.test")
    entry = gateway.program.wait_for(
        lambda output: next(
            (entry for entry in events(output, "handshake_failed") if entry["name"] == "logged.test"), None
        )
    )
    assert entry["reason"] == "unrecognized_name"
    assert entry["alert"] == "unrecognized_name"
    assert entry["listener"] == "standard"
    assert entry["client"] == "127.0.0.1"
    assert entry["groups"] == ["X25519"]
