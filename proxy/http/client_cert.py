"""The certificate of a client, as it is told to servers (RFC 9440). Pure."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Final

# What a client must never say itself: the fields, and their forerunners of many proxies.
CERTIFICATE_CLAIMS: Final = (
    *(b"client-cert", b"x-client-cert", b"ssl-", b"x-ssl-"),
    # of Envoy, and of Traefik
    *(b"x-forwarded-client-cert", b"x-forwarded-tls-client-cert"),
)
"""How the names of all such fields begin, in lower case."""


def client_cert_lines(leaf: bytes, chain: Sequence[bytes]) -> bytes:
    """Write the fields about a certificate and the chain above it, without the root, all in DER.

    RFC 9440 section 2.1: each certificate is a Byte Sequence (RFC 8941 section 3.3.5).
    """
    lines = b"Client-Cert: %b\r\n" % _byte_sequence(leaf)
    if chain:
        lines += b"Client-Cert-Chain: %b\r\n" % b", ".join(map(_byte_sequence, chain))
    return lines


def _byte_sequence(der: bytes) -> bytes:
    return b":%b:" % b64encode(der)
