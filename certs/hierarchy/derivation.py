"""How files of version 1 made the keys of purposes: from one top key, by HKDF-SHA-384 (RFC 5869).

The label of a derivation names the key. The length of each part stands before it, so that two
labels never have the same octets. CNSA 2.0 asks for SHA-384 and AES-256 against quantum computers.
"""

from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from certs.hierarchy.key import DOMAIN

KEY_BYTES: Final = 32
"""The key of a purpose: AES-256."""


def derived(top_secret: bytes, purpose: str, version: int) -> bytes:
    """The secret of the key of a purpose, `KEY_BYTES` long."""
    parts = ("plexigate hierarchy 1", "key", DOMAIN, purpose, str(version))
    info = b"".join(len(part.encode()).to_bytes(2, "big") + part.encode() for part in parts)
    return HKDF(hashes.SHA384(), KEY_BYTES, None, info).derive(top_secret)
