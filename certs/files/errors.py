"""The base of everything that can be wrong with a credential.

CredentialError
  Unreadable, NotPem                                             pem
  KeyEncrypted, KeyUnsupported, KeyTooWeak                       keys.software
  ChainBroken, SignatureTooWeak, CertificateExpired,
  CertificateNotYetValid                                         chain
  KeyDoesNotFit, LeafNotFirst, CertificateUnsupported            credential
"""

from enum import StrEnum
from pathlib import Path


class Part(StrEnum):
    """Which file of a credential an error is about, by its key in the configuration."""

    CERTIFICATE = "certificate"
    KEY = "key"


class CredentialError(Exception):
    """A credential that cannot be used.

    `path` and `part` say which file; `found` is a clause about it that begins with "which",
    `allowed` how to fix it. None of them ever has content of a key.
    """

    part = Part.CERTIFICATE

    def __init__(self, path: Path, found: str, allowed: str) -> None:
        super().__init__(path, found, allowed)
        self.path = path
        self.found = found
        self.allowed = allowed

    def __str__(self) -> str:
        return f'"{self.path}", {self.found}; allowed: {self.allowed}'
