"""The kinds of keys that are made in tokens, and the PKCS#11 mechanisms that each needs."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class KeyKind(StrEnum):
    """A kind of key; the values are those of `signing_key.KeyAlgorithm` where it has one."""

    ECDSA_P256 = "ecdsa-p256"
    ECDSA_P384 = "ecdsa-p384"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    MLDSA_44 = "mldsa-44"
    MLDSA_65 = "mldsa-65"
    MLDSA_87 = "mldsa-87"
    AES_256 = "aes-256"

    @property
    def is_secret(self) -> bool:
        """Whether it is a symmetric key, which has no public half."""
        return self is KeyKind.AES_256

    @property
    def is_mldsa(self) -> bool:
        return self.value.startswith("mldsa")

    @property
    def needs(self) -> "tuple[NeededMechanism, ...]":
        """What a token must have to make such a key and to use it."""
        return _NEEDS[self]


@dataclass(frozen=True, slots=True)
class NeededMechanism:
    """A mechanism by its `name` in the standard and its `number` (PKCS#11 3.2, pkcs11t.h)."""

    name: str
    number: int


class SignatureMechanism(StrEnum):
    """How a signature is made: of a digest, so that a long message need not go to the token, or of
    the message.
    """

    ECDSA = "ecdsa"
    RSA_PKCS1 = "rsa-pkcs1"
    """Takes the message: a TPM signs no DigestInfo of others (CKM_RSA_PKCS) with a key that only
    signs.
    """
    RSA_PSS = "rsa-pss"
    MLDSA = "mldsa"
    """Takes the message (pure ML-DSA, FIPS 204 5.2)."""


_ECDSA: Final = (NeededMechanism("CKM_EC_KEY_PAIR_GEN", 0x1040), NeededMechanism("CKM_ECDSA", 0x1041))
_RSA: Final = (
    NeededMechanism("CKM_RSA_PKCS_KEY_PAIR_GEN", 0x0000),
    NeededMechanism("CKM_SHA256_RSA_PKCS", 0x0040),
    NeededMechanism("CKM_RSA_PKCS_PSS", 0x000D),
)
_MLDSA: Final = (NeededMechanism("CKM_ML_DSA_KEY_PAIR_GEN", 0x001C), NeededMechanism("CKM_ML_DSA", 0x001D))
_AES: Final = (NeededMechanism("CKM_AES_KEY_GEN", 0x1080), NeededMechanism("CKM_AES_GCM", 0x1087))
_OPENING: Final = (NeededMechanism("CKM_RSA_PKCS_OAEP", 0x0009), NeededMechanism("CKM_ECDH1_DERIVE", 0x1050))
_MLKEM: Final = (NeededMechanism("CKM_ML_KEM_KEY_PAIR_GEN", 0x000F), NeededMechanism("CKM_ML_KEM", 0x0017))

_NEEDS: Final[dict[KeyKind, tuple[NeededMechanism, ...]]] = {
    KeyKind.ECDSA_P256: _ECDSA,
    KeyKind.ECDSA_P384: _ECDSA,
    KeyKind.RSA_3072: _RSA,
    KeyKind.RSA_4096: _RSA,
    KeyKind.MLDSA_44: _MLDSA,
    KeyKind.MLDSA_65: _MLDSA,
    KeyKind.MLDSA_87: _MLDSA,
    KeyKind.AES_256: _AES,
}

MECHANISMS_THAT_MATTER: Final = {
    one.number: one.name for group in (_ECDSA, _RSA, _MLDSA, _MLKEM, _AES, _OPENING) for one in group
}
"""Those of a token's list that Plexigate can use."""


def opening_kind(mechanisms: frozenset[str]) -> KeyKind | None:
    """The kind of key pair by which a token without AES-GCM can open what was sealed; None if it
    has no such mechanism.
    """
    kinds = (KeyKind.RSA_3072, KeyKind.ECDSA_P256)
    able = (kind for kind, opening in zip(kinds, _OPENING, strict=True) if opening.name in mechanisms)
    return next((kind for kind in able if missing_of(kind, mechanisms) is None), None)


def missing_of(kind: KeyKind, mechanisms: frozenset[str]) -> NeededMechanism | None:
    """The first mechanism that a token lacks for a kind of key; None when it has all."""
    return next((one for one in kind.needs if one.name not in mechanisms), None)
