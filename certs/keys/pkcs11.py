"""A signing key in a PKCS#11 token.

This module does not call the token. OpenSSL does so in the workers, with its pkcs11-provider: it
loads a PEM file that holds the URI of a key, logs in with the PIN from the file that the URI names,
and signs in the token. The public half comes from the certificate; OpenSSL checks that both fit
when it loads them.
"""

from base64 import encodebytes
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from certs.files.memory_file import MemoryFile
from certs.hsm.secret import Secret
from certs.keys.signing_key import Custody, KeyAlgorithm, PublicKey, algorithm_of
from config.values.pkcs11_uri import Pkcs11Uri

_LABEL: Final = "PKCS#11 PROVIDER URI"
_DESCRIPTION: Final = b"PKCS#11 Provider URI v1.0"
# ITU-T X.690 8.1.2: tags
_SEQUENCE: Final = 0x30
_VISIBLE_STRING: Final = 0x1A
_UTF8_STRING: Final = 0x0C


@dataclass(frozen=True)
class Pkcs11Key:
    """A `SigningKey` whose private half is the object `uri` of `[hsm.token.NAME]` (`token`)."""

    uri: Pkcs11Uri
    token: str
    public_key: PublicKey
    pin: Secret = field(repr=False)

    @property
    def algorithm(self) -> KeyAlgorithm:
        return algorithm_of(self.public_key)

    @property
    def custody(self) -> Custody:
        return Custody.TOKEN

    @property
    def location(self) -> str:
        return str(self.uri)

    @property
    def openssl_uri(self) -> str:
        """The URI by which OpenSSL of this process finds the key and the PIN, for as long as this
        object is there.
        """
        return self.uri.with_pin_source(str(self.pin.path))

    @cached_property
    def _pem(self) -> MemoryFile:
        return MemoryFile("key", uri_pem(self.openssl_uri))

    @property
    def pem_path(self) -> Path:
        """A file that leads OpenSSL to the key: in this process, and while this object is there."""
        return self._pem.path


def uri_pem(uri: str) -> bytes:
    """Write the PEM by which pkcs11-provider lets a key file lead into a token: SEQUENCE {
    VisibleString, UTF8String }.
    """
    body = _der(_SEQUENCE, _der(_VISIBLE_STRING, _DESCRIPTION) + _der(_UTF8_STRING, uri.encode()))
    return f"-----BEGIN {_LABEL}-----\n{encodebytes(body).decode()}-----END {_LABEL}-----\n".encode()


def _der(tag: int, body: bytes) -> bytes:
    length = len(body)
    if length < 0x80:  # the short form of X.690 8.1.3.4, else the long one
        return bytes([tag, length]) + body
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + body
