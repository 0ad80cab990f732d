"""What a key is asked to be, and whether it became that: attributes by their names in the standard.

A private key signs and does nothing else, a secret key encrypts and decrypts and does nothing else;
neither can ever be read. Tokens may ignore what they are asked for, so everything is read back and
compared: `differences`.
"""

from collections.abc import Mapping
from typing import Any, Final, TypedDict

from certs.hsm.key_kinds import KeyKind


class Attributes(TypedDict, total=False):
    """Attributes of a key object (PKCS#11 3.2) that are asked for or were read back: CKA_TOKEN is
    `TOKEN`.
    """

    TOKEN: bool
    PRIVATE: bool
    SENSITIVE: bool
    EXTRACTABLE: bool
    LOCAL: bool
    ALWAYS_SENSITIVE: bool
    NEVER_EXTRACTABLE: bool
    SIGN: bool
    SIGN_RECOVER: bool
    VERIFY: bool
    ENCRYPT: bool
    DECRYPT: bool
    WRAP: bool
    UNWRAP: bool
    DERIVE: bool
    LABEL: str
    ID: bytes
    KEY_TYPE: int
    EC_PARAMS: bytes
    EC_POINT: bytes
    MODULUS: bytes
    PUBLIC_EXPONENT: bytes
    PARAMETER_SET: int
    VALUE: bytes
    VALUE_LEN: int


# Never leaves the token, is never copied out under a key that wraps, is seen only after a login.
_KEPT_IN: Final[Attributes] = {"TOKEN": True, "PRIVATE": True, "SENSITIVE": True, "EXTRACTABLE": False}
PRIVATE_KEY: Final[Attributes] = {
    **_KEPT_IN,
    "SIGN": True,
    "SIGN_RECOVER": False,  # true unless said otherwise in SoftHSM: a raw RSA operation
    "DECRYPT": False,
    "UNWRAP": False,
    "DERIVE": False,
}
"""Of a private key: it signs only."""
_OPENS_ONLY: Final[Attributes] = {**_KEPT_IN, "SIGN": False, "SIGN_RECOVER": False, "UNWRAP": False}
OPENING_RSA_KEY: Final[Attributes] = {**_OPENS_ONLY, "DECRYPT": True, "DERIVE": False}
OPENING_EC_KEY: Final[Attributes] = {**_OPENS_ONLY, "DERIVE": True}
"""Of a private key that opens what was sealed with its public half."""
PUBLIC_KEY: Final[Attributes] = {"TOKEN": True, "PRIVATE": False, "WRAP": False}
"""Of the public key beside it. It may verify and encrypt where the token has it so: anybody can do
that outside, and a TPM has one flag for `VERIFY` and the private key's `DECRYPT`."""
SECRET_KEY: Final[Attributes] = {
    **_KEPT_IN,
    "ENCRYPT": True,
    "DECRYPT": True,
    "SIGN": False,
    "VERIFY": False,
    "WRAP": False,
    "UNWRAP": False,
    "DERIVE": False,
}
"""Of a secret key: it seals only."""
_BORN_INSIDE: Final[Attributes] = {"LOCAL": True, "ALWAYS_SENSITIVE": True, "NEVER_EXTRACTABLE": True}
# Not asked of an imported key: it was outside once, and an honest token says so.
_BORN_OUTSIDE: Final[Attributes] = {"LOCAL": False}

EC_PARAMETERS: Final = {
    KeyKind.ECDSA_P256: bytes.fromhex("06082a8648ce3d030107"),  # 1.2.840.10045.3.1.7 (RFC 5480 2.1.1.1)
    KeyKind.ECDSA_P384: bytes.fromhex("06052b81040022"),  # 1.3.132.0.34
}
"""CKA_EC_PARAMS of each curve: the DER of its OID."""
RSA_BITS: Final = {KeyKind.RSA_3072: 3_072, KeyKind.RSA_4096: 4_096}
"""CKA_MODULUS_BITS."""
MLDSA_SETS: Final = {KeyKind.MLDSA_44: 1, KeyKind.MLDSA_65: 2, KeyKind.MLDSA_87: 3}
"""CKA_PARAMETER_SET (PKCS#11 3.2, CKP_ML_DSA_*)."""


def expected_of_private(label: str, key_id: bytes, asked: Attributes = PRIVATE_KEY) -> Attributes:
    """What must be read back from a private key that was made in the token."""
    return {**asked, **_BORN_INSIDE, "LABEL": label, "ID": key_id}


def expected_of_public(label: str, key_id: bytes) -> Attributes:
    return {"TOKEN": True, "LABEL": label, "ID": key_id}


def expected_of_secret(label: str, key_id: bytes, *, is_imported: bool) -> Attributes:
    born = _BORN_OUTSIDE if is_imported else _BORN_INSIDE
    return {**SECRET_KEY, **born, "LABEL": label, "ID": key_id}


def differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """The differences to the request, a sentence each.

    An attribute that the token does not report is one too.
    """
    return [
        f"CKA_{name} is {_shown(found.get(name))}, requested {_shown(wanted)}"
        for name, wanted in expected.items()
        if found.get(name) != wanted
    ]


def _shown(value: Any) -> str:
    match value:
        case None:
            return "not reported"
        case bool():
            return "true" if value else "false"
        case bytes():
            return value.hex()
        case _:
            return str(value)
