"""CPython's inner TLS object: made without the outer one, taken out of it, and its two steps that may fail."""

import ssl

import pytest

from proxy.tls.openssl.tls_object import inner_object, server_object, shake_hands
from tests.proxy.tls import hellos


def test_handshake_between_an_object_of_our_own_and_one_that_was_taken_out() -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = hellos.server_context("X25519")
    server = server_object(context, to_server, to_client)
    client = inner_object(
        hellos.client_context("X25519").wrap_bio(to_client, to_server, server_hostname="chat.example.org")
    )
    assert server.context is context
    assert not shake_hands(client)
    assert not shake_hands(server)
    assert shake_hands(client)
    assert shake_hands(server)
    assert not server.session_reused
    client.write(b"hello")
    assert server.read(100) == b"hello"


def test_error_of_a_handshake_is_raised() -> None:
    incoming = ssl.MemoryBIO()
    incoming.write(bytes(100))
    with pytest.raises(ssl.SSLError, match="WRONG_VERSION_NUMBER"):
        shake_hands(server_object(hellos.server_context("X25519"), incoming, ssl.MemoryBIO()))
