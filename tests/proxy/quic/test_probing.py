"""A handshake by QUIC with a server of another project, with one that says nothing, and with none."""

import socket
from collections.abc import Iterator

import pytest

from proxy.quic.probing import probe, shake_hands
from tests.certificates import Authority
from tests.integration.balancers import nginx
from tests.ports import lasting_port

SECONDS = 10.0


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A UDP port of both families where nginx speaks HTTP/3 for chat.test."""
    place = tmp_path_factory.mktemp("quic")
    files = Authority(place).issue("chat", ("chat.test",))
    number = lasting_port()
    quic = f"listen 127.0.0.1:{number} quic; listen [::1]:{number} quic;"
    certificate = f"ssl_certificate {files.certificate}; ssl_certificate_key {files.key}; ssl_protocols TLSv1.3;"
    http = f"""
        server {{ {quic} listen 127.0.0.1:{number} ssl; {certificate} server_name chat.test; }}
        server {{ {quic.replace(" quic", " quic default_server")} {certificate} ssl_reject_handshake on; }}
    """
    with nginx(place, number, http=http):
        yield number


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_handshake_succeeds(port: int, host: str) -> None:
    assert shake_hands((host, port), "chat.test", SECONDS) is None


@pytest.mark.parametrize("name", ["other.test", ""])
def test_name_that_is_refused_is_told_with_its_alert(port: int, name: str) -> None:
    assert shake_hands(("127.0.0.1", port), name, SECONDS) == "the handshake by UDP ended with TLS alert 112"


def test_port_without_a_server_is_told() -> None:
    found = shake_hands(("127.0.0.1", lasting_port()), "chat.test", SECONDS)
    assert found is not None
    assert found.startswith("no QUIC server answers by UDP")


def test_server_that_says_nothing_is_given_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        assert shake_hands(silent.getsockname(), "chat.test", 0.2) == "no answer by UDP within 0.2 s"
        assert silent.recv(4_096), "a packet came"


def test_address_that_is_no_one_s_is_told() -> None:
    assert shake_hands(("255.255.255.255", 1), "", SECONDS) == "[Errno 13] Permission denied"


async def test_nothing_is_tried_where_http_3_cannot_be_served(port: int) -> None:
    assert await probe(("127.0.0.1", port), "chat.test", lambda: "a library is missing") == "a library is missing"
    assert await probe(("127.0.0.1", port), "chat.test", lambda: None) is None
