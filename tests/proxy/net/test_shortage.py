"""Errors that are about this process, told from those that are about its peers."""

import errno
import os
import socket

import pytest

from proxy.net.shortage import is_own_shortage
from tests.descriptors import descriptors_below

# Input, output and errors are open in every test, and nothing that closes meanwhile makes room below them.
STANDARD = 3


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS])
def test_nothing_left_is_ours(number: int) -> None:
    assert is_own_shortage(OSError(number, os.strerror(number)))


@pytest.mark.parametrize(
    "number", [errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENOENT, errno.EAGAIN]
)
def test_what_a_peer_does_is_not(number: int) -> None:
    assert not is_own_shortage(OSError(number, os.strerror(number)))


def test_name_that_cannot_be_looked_up_without_descriptors_is_ours() -> None:
    error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    assert not is_own_shortage(error)
    assert is_own_shortage(socket.gaierror(socket.EAI_MEMORY, "Memory allocation failure"))
    with descriptors_below(STANDARD):
        assert is_own_shortage(error)


class TestNoAddress:
    """EADDRNOTAVAIL means that ports are used up, or that there never was a way."""

    ERROR = OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")

    @pytest.mark.parametrize("host", ["127.0.0.1", "chat.internal", ""])
    def test_where_there_is_a_way_ports_are_used_up(self, host: str) -> None:
        assert is_own_shortage(self.ERROR, host)

    def test_where_there_is_none_the_peer_cannot_be_reached(self) -> None:
        # the kernel sends nothing to everybody for who did not ask for that, which stands for a family that a machine has no address of
        assert not is_own_shortage(self.ERROR, "255.255.255.255")

    def test_without_descriptors_it_is_ours(self) -> None:
        with descriptors_below(STANDARD):
            assert is_own_shortage(self.ERROR, "127.0.0.1")
