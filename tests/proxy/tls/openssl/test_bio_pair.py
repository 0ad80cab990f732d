"""The driver of the standard library: what breaks in the middle of a call. `test_driver` has the rest."""

import ssl

import pytest

from proxy.tls.openssl.bio_pair import BioPair
from tests.proxy.tls.drivers import is_empty

OUT_OF_MEMORY = ssl.SSLError(1, "malloc failure")


class Broken:
    """A TLS object that breaks when it has written a part of its output, and has read nothing."""

    def __init__(self, outgoing: ssl.MemoryBIO, error: Exception) -> None:
        self.outgoing = outgoing
        self.error = error

    def do_handshake(self) -> None:
        """Break."""
        self.write(b"")

    def write(self, _data: bytes) -> int:
        """Break."""
        self.outgoing.write(b"half of a record")
        raise self.error


def test_error_of_openssl_has_what_it_has_written() -> None:
    bios = BioPair()
    made = bios.handshake(Broken(bios.outgoing, OUT_OF_MEMORY), b"hello", 0, 0)  # type: ignore[arg-type]
    assert made == (False, b"half of a record", b"", b"", OUT_OF_MEMORY)
    assert is_empty(bios)


def test_other_errors_leave_nothing_for_the_next_call() -> None:
    bios = BioPair()
    broken = Broken(bios.outgoing, MemoryError())
    with pytest.raises(MemoryError):
        bios.handshake(broken, b"hello", 0, 0)  # type: ignore[arg-type]
    assert is_empty(bios)
    with pytest.raises(MemoryError):
        bios.encrypt(broken, b"data", 0)  # type: ignore[arg-type]
    assert is_empty(bios)
