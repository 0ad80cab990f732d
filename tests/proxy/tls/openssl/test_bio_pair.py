"""The pair of BIOs: what an object writes and reads, and what a failed connection leaves."""

import ssl

import pytest

from proxy.tls.openssl.bio_pair import BioPair
from tests.proxy.tls import hellos

SERVER = hellos.server_context("X25519")


class TestObjects:
    @pytest.mark.parametrize("adopted", [False, True])
    def test_read_what_came_and_write_what_goes(self, adopted: bool) -> None:  # noqa: FBT001 - a parameter
        first, second = BioPair(), BioPair()
        tls = first.server_side(SERVER)
        bios = first
        if adopted:
            second.adopt(tls)
            bios = second
        bios.incoming.write(hellos.peer(hellos.client_context("X25519")).answer(b""))
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        assert not bios.incoming.pending
        assert bios.outgoing.read().startswith(b"\x16\x03\x03")
        assert not any(bio.pending for bio in (first.incoming, first.outgoing))


class TestClear:
    def test_takes_everything_out(self) -> None:
        bios = BioPair()
        bios.clear()
        bios.incoming.write(b"from the peer")
        bios.outgoing.write(b"to the peer")
        bios.clear()
        assert bios.incoming.read() == b""
        assert bios.outgoing.read() == b""
