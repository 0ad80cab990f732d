"""How a certificate is told to servers (RFC 9440)."""

from base64 import b64encode

import pytest

from proxy.http.client_cert import client_cert_lines

LEAF, INNER, OUTER = b"\x30\x03leaf", b"\x30\x05inner", b"\x30\x05outer"


def test_leaf_alone_has_no_chain() -> None:
    assert client_cert_lines(LEAF, ()) == b"Client-Cert: :%b:\r\n" % b64encode(LEAF)


@pytest.mark.parametrize("chain", [(INNER,), (INNER, OUTER)])
def test_chain_is_a_list_of_byte_sequences_in_the_order_of_tls(chain: tuple[bytes, ...]) -> None:
    leaf, above, rest = client_cert_lines(LEAF, chain).split(b"\r\n")
    assert (leaf, rest) == (b"Client-Cert: :%b:" % b64encode(LEAF), b"")
    name, _, members = above.partition(b": ")
    assert name == b"Client-Cert-Chain"
    assert members.split(b", ") == [b":%b:" % b64encode(one) for one in chain]
