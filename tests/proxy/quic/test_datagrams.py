"""Datagrams reach the socket that their connection ID names."""

import socket
from collections.abc import Iterator

import pytest

from proxy.quic.datagrams import prepare_datagrams, steer_by_connection_id
from tests.ports import lasting_port

SOCKETS = 3
ID = bytes(17)


@pytest.fixture
def port() -> int:
    return lasting_port()


@pytest.fixture
def sockets(port: int) -> Iterator[list[socket.socket]]:
    """Those of one address, as a parent makes them."""
    made = []
    for _ in range(SOCKETS):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("127.0.0.1", port))
        sock.settimeout(5)
        prepare_datagrams(sock)
        steer_by_connection_id(sock)
        made.append(sock)
    yield made
    for sock in made:
        sock.close()


@pytest.mark.parametrize("slot", range(SOCKETS))
@pytest.mark.parametrize("head", [b"\x40", b"\xe0\0\0\0\1\x12"], ids=["short", "long"])
def test_the_first_byte_of_the_id_is_the_number_of_the_socket(
    sockets: list[socket.socket], port: int, slot: int, head: bytes
) -> None:
    for place in range(20):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            packet = head + bytes([slot]) + ID + bytes([place])
            client.sendto(packet, ("127.0.0.1", port))
            assert sockets[slot].recv(2_048) == packet


def test_another_id_reaches_one_of_them(sockets: list[socket.socket], port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"\x40\xff" + ID, ("127.0.0.1", port))
        for sock in sockets:
            sock.settimeout(0.2)
        found = 0
        for sock in sockets:
            try:
                found += len(sock.recv(100)) > 0
            except TimeoutError:
                continue
        assert found == 1


def test_both_families_tell_where_a_datagram_went() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        prepare_datagrams(sock)
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO) == 1
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS) == 1
