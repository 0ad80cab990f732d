"""A token that is not a device: keys that stay where they are when a process ends, and are missed when they are gone."""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

from certs.keys.generating import generate, private_pem
from certs.keys.home import HomeFailed, KeyName
from certs.keys.signing_key import KeyAlgorithm, KeyFamily


@dataclass
class FakeToken:
    """A `KeyHome`; `error` is what calls fail with after `answers` more that succeed."""

    name: str = "plexi"
    is_software: bool = False
    keys: dict[str, CertificateIssuerPrivateKeyTypes] = field(default_factory=dict)
    error: HomeFailed | None = None
    answers: int = 0

    def makes(self, algorithm: KeyAlgorithm) -> bool:
        """What tokens of today can do."""
        return algorithm.family is not KeyFamily.MLDSA

    def make(self, name: KeyName) -> bytes:
        """Make a key, which then has a name here."""
        self._may_fail()
        if str(name) in self.keys:
            raise HomeFailed(self.name, f"there is a key {name} already")
        self.keys[str(name)] = generate(name.algorithm)
        return f"pkcs11:object={name}".encode()

    def signer(self, name: KeyName, kept: bytes) -> CertificateIssuerPrivateKeyTypes:
        """The key."""
        self._may_fail()
        assert kept == f"pkcs11:object={name}".encode()
        return self.keys[str(name)]

    def for_workers(self, name: KeyName, _kept: bytes) -> bytes:
        """The key itself: this is not a device."""
        self._may_fail()
        return private_pem(self.keys[str(name)])

    def has(self, name: KeyName, _kept: bytes) -> bool:
        """Whether it is there."""
        self._may_fail()
        return str(name) in self.keys

    def destroy(self, name: KeyName) -> None:
        """Destroy it, if it is there."""
        self._may_fail()
        self.keys.pop(str(name), None)

    def _may_fail(self) -> None:
        if self.error is not None:
            self.answers -= 1
            if self.answers < 0:
                raise self.error
