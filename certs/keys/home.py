"""The seam to the places where keys are made and stored: files, sealed files, a token.

What a home stores of a key (`bytes`) is beside its certificate in the state directory: the key
itself, the sealed key, or only the address of a key in a token. Every method may wait for a device,
so none runs in the event loop.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

from certs.keys.signing_key import KeyAlgorithm


class HomeFailed(Exception):
    """A key could not be made, used or destroyed at `home`; `detail` is a sentence for logs,
    without a secret.
    """

    def __init__(self, home: str, detail: str) -> None:
        super().__init__(home, detail)
        self.home = home
        self.detail = detail

    def __str__(self) -> str:
        return f'keys at "{self.home}": {self.detail}'


@dataclass(frozen=True, slots=True)
class KeyName:
    """Identity, kind and version number of a key: `str()` gives `chat.ecdsa-p256.v3`, its label in
    a token.
    """

    identity: str
    algorithm: KeyAlgorithm
    version: int

    def __str__(self) -> str:
        return f"{self.identity}.{self.algorithm}.v{self.version}"


class KeyHome(Protocol):
    """A place where keys are made and kept."""

    @property
    def name(self) -> str:
        """As it is written behind the `@` of a key."""

    @property
    def is_software(self) -> bool:
        """Whether a user who can read all files here can copy the private key."""

    def makes(self, algorithm: KeyAlgorithm) -> bool:
        """Whether it can make keys of an algorithm; known without asking anybody."""

    def make(self, name: KeyName, /) -> bytes:
        """Make a key that is not there yet, and answer what is to be kept. Raises `HomeFailed`."""

    def signer(self, name: KeyName, kept: bytes, /) -> CertificateIssuerPrivateKeyTypes:
        """The key in cryptography's shape, to sign with (CSRs, certificates).

        Raises `HomeFailed`.
        """

    def for_workers(self, name: KeyName, kept: bytes, /) -> bytes:
        """What workers get: a secret PEM, or the URI in a token (RFC 7512). Raises `HomeFailed`."""

    def has(self, name: KeyName, kept: bytes, /) -> bool:
        """Whether the key is still there. Raises `HomeFailed` if that cannot be found out."""

    def destroy(self, name: KeyName, /) -> None:
        """Destroy a key as far as it is more than what is kept; does nothing where there is none.

        Raises `HomeFailed`.
        """


Homes = Mapping[str, KeyHome]
"""By `KeyHome.name`."""
