"""What servers that want a PROXY header are told of a client."""

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from proxy.downstream.requests.origin import Origin, RequestLink, described
from proxy.proxy_protocol.header import Endpoints, ProxyHeader, Relayed
from proxy.proxy_protocol.writing import DescribedConnection, DescribedTls
from proxy.tls.wire.client_certificate import ClientCertificate
from tests.certs.authority import issue, private_key
from tests.fakes_http import established

ENDS = Endpoints("192.0.2.1", 56_324, "198.51.100.2", 443)
TLS = DescribedTls("TLSv1.3", "TLS_AES_128_GCM_SHA256", "X25519MLKEM768")


@pytest.fixture(params=["127.0.0.1", "::1"])
def accepted(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection, as a socket for both families takes it: the client's side, and ours."""
    family = socket.AF_INET6
    with closing(socket.create_server(("::", 0), family=family, dualstack_ipv6=True)) as listening:
        client = socket.create_connection((request.param, listening.getsockname()[1]))
        ours, _ = listening.accept()
        with client, ours:
            yield client, ours


def test_without_a_balancer_they_are_the_ends_of_the_socket(accepted: tuple[socket.socket, socket.socket]) -> None:
    client, ours = accepted
    address, port = client.getsockname()[:2]
    told = described(Origin(ours, None), address, None)
    assert told == DescribedConnection(Endpoints(address, port, address, client.getpeername()[1]))
    # an address as the kernel shows it on such a socket is the same client
    assert described(Origin(ours, None), ours.getpeername()[0], None) == told


def test_a_client_that_has_left_has_no_ends() -> None:
    sock = socket.socket()
    sock.close()
    assert described(Origin(sock, None), "192.0.2.1", None) == DescribedConnection(None)
    assert described(None, "192.0.2.1", None) == DescribedConnection(None)


def test_behind_a_balancer_they_are_those_of_its_header_and_its_id_goes_on() -> None:
    with socket.socket() as sock:
        origin = Origin(sock, ProxyHeader(Relayed.CLIENT, ENDS, b"id"))
        assert described(origin, "192.0.2.1", None) == DescribedConnection(ENDS, unique_id=b"id")


def test_the_client_of_a_trusted_peer_has_no_known_port() -> None:
    with socket.socket() as sock:
        link = RequestLink(Origin(sock, ProxyHeader(Relayed.CLIENT, ENDS)), "2001:db8::7", established())
        told = link.described()
    assert told.endpoints == Endpoints("2001:db8::7", 0, "198.51.100.2", 443)
    assert not link.keeps_servers


def test_tls_is_told_of_as_it_was_negotiated() -> None:
    tls = established()
    tls.cipher_suite = 0x1301
    told = described(None, "192.0.2.1", tls)
    assert told == DescribedConnection(None, "chat.test", "http/1.1", TLS)


def test_what_was_not_negotiated_is_left_out() -> None:
    tls = established(group=None)
    tls.server_name = None
    told = described(None, "192.0.2.1", tls)
    assert told.server_name == ""
    assert told.tls == DescribedTls("TLSv1.3", "", "")


@pytest.mark.parametrize("is_resumed", [False, True])
def test_the_certificate_of_a_client_is_named(*, is_resumed: bool) -> None:
    tls = established()
    made = issue("bot.test", private_key("ecdsa-p256", 7))
    tls.client, tls.is_resumed = ClientCertificate(made.certificate.public_bytes(Encoding.DER)), is_resumed
    told = described(None, "192.0.2.1", tls).tls
    assert told is not None
    assert (told.has_certificate, told.common_name, told.is_resumed) == (True, "bot.test", is_resumed)
