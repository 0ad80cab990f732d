"""One step of OpenSSL: what goes out, what is left over, what went wrong; the BIOs are empty behind it."""

import ssl

import pytest

from proxy.tls.server_step import server_step
from proxy.tls.stream import BioPair
from tests.certificates import Authority


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server and of a client that trusts it."""
    authority = Authority(tmp_path_factory.mktemp("step"))
    return authority.issue("localhost").server_context(), authority.client_context()


def test_a_handshake_takes_two_and_what_comes_behind_it_is_left(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    server, client = contexts
    bios, incoming, outgoing = BioPair(), ssl.MemoryBIO(), ssl.MemoryBIO()
    tls, asked = bios.server_side(server), client.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        asked.do_handshake()
    first = server_step(tls, bios, outgoing.read())
    assert (first.is_finished, first.rest, first.error) == (False, b"", None)
    assert first.output
    assert first.seconds > 0
    incoming.write(first.output)
    asked.do_handshake()
    finished = outgoing.read()
    nothing = server_step(tls, bios, finished[:10])
    assert (nothing.is_finished, nothing.output, nothing.error) == (False, b"", None)
    last = server_step(tls, bios, finished[10:] + b"behind it")
    assert (last.is_finished, last.rest, last.error) == (True, b"behind it", None)
    assert not bios.incoming.pending
    assert not bios.outgoing.pending


def test_an_error_has_its_alert_and_leaves_nothing_behind(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    bios = BioPair()
    failed = server_step(bios.server_side(contexts[0]), bios, b"\x16\x03\x01\x00\x05" + bytes(5) + b"more")
    assert failed.error is not None
    assert failed.output[:1] == b"\x15"
    assert not bios.incoming.pending
