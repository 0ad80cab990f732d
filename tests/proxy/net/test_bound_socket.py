"""TCP addresses of any family, each for one who listens."""

import errno
import os
import socket

import pytest

from config.values.addresses import Bind, parse_bind
from proxy.net.bound_socket import bind_fault, bound_socket, listening_socket
from tests.descriptors import open_descriptors


@pytest.mark.parametrize(("text", "family"), [("127.0.0.1:0", socket.AF_INET), ("[::1]:0", socket.AF_INET6)])
def test_who_connects_is_accepted(text: str, family: int) -> None:
    with listening_socket(parse_bind(text), 8) as sock:
        assert (sock.family, sock.gettimeout()) == (family, 0)
        with socket.create_connection(sock.getsockname()[:2], timeout=10):
            pass


def test_address_of_the_newer_family_is_not_one_of_the_older() -> None:
    with listening_socket(parse_bind("[::]:0"), 8) as sock:
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


def test_address_that_is_taken_is_an_error_and_leaves_nothing_open() -> None:
    with listening_socket(parse_bind("127.0.0.1:0"), 8) as first:
        taken: Bind = parse_bind(f"127.0.0.1:{first.getsockname()[1]}")
        before = open_descriptors()
        with pytest.raises(OSError, match="in use"):
            listening_socket(taken, 8)
        assert open_descriptors() == before


def test_several_share_an_address_only_where_each_says_so() -> None:
    with bound_socket(parse_bind("127.0.0.1:0"), reuse_port=True) as first:
        same = parse_bind(f"127.0.0.1:{first.getsockname()[1]}")
        bound_socket(same, reuse_port=True).close()
        first.listen()
        with pytest.raises(OSError, match="in use"):
            bound_socket(same)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EADDRNOTAVAIL, "an address of this machine"),
        (errno.EACCES, "CAP_NET_BIND_SERVICE"),
        (errno.EADDRINUSE, "stop what uses it"),
    ],
)
def test_what_stands_against_an_address_is_said_with_its_remedy(number: int, remedy: str) -> None:
    found, allowed = bind_fault(parse_bind("192.0.2.1:443"), OSError(number, os.strerror(number)))
    assert found == f"192.0.2.1:443, which cannot be used: {os.strerror(number)}"
    assert remedy in allowed
