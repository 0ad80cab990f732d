"""The algorithms that Plexigate can use: what they are, how strong, and by which identifiers. Pure.

`bits` is the strength against a classical computer: NIST SP 800-57 part 1 table 2, for sizes of RSA
and of finite fields between its rows SP 800-56B appendix D. `level` is the category of the NIST PQC
process that a standard gives (FIPS 203 section 8, FIPS 204 section 4), or for AES and SHA the
definition of that category itself. For a KEM of liboqs without a standard, its submission says. It
is 0 where a quantum computer breaks the algorithm, and None where nothing says.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from proxy.tls.wire.groups import KNOWN, GroupKind


class Primitive(StrEnum):
    """`algorithmProperties.primitive` of CycloneDX 1.6."""

    AE = "ae"
    BLOCK_CIPHER = "block-cipher"
    COMBINER = "combiner"
    HASH = "hash"
    KDF = "kdf"
    KEM = "kem"
    KEY_AGREE = "key-agree"
    MAC = "mac"
    PKE = "pke"
    SIGNATURE = "signature"


_FUNCTIONS: Final[Mapping[Primitive, tuple[str, ...]]] = {
    Primitive.AE: ("keygen", "encrypt", "decrypt"),
    Primitive.BLOCK_CIPHER: ("keygen", "encrypt", "decrypt"),
    Primitive.COMBINER: ("keygen", "encapsulate", "decapsulate"),
    Primitive.HASH: ("digest",),
    Primitive.KDF: ("keyderive",),
    Primitive.KEM: ("keygen", "encapsulate", "decapsulate"),
    Primitive.KEY_AGREE: ("keygen", "keyderive"),
    Primitive.MAC: ("keygen", "tag"),
    Primitive.PKE: ("keygen", "encrypt", "decrypt"),
    Primitive.SIGNATURE: ("keygen", "sign", "verify"),
}


@dataclass(frozen=True, slots=True)
class Algorithm:
    """An algorithm with its parameters. `parts` are the names of those that it is made of."""

    name: str
    primitive: Primitive
    bits: int | None = None
    level: int | None = None
    parameter_set: str = ""
    oid: str = ""
    curve: str = ""
    mode: str = ""
    padding: str = ""
    parts: tuple[str, ...] = ()
    code_point: int | None = None
    """Of a key exchange group of TLS."""

    @property
    def functions(self) -> tuple[str, ...]:
        """`cryptoFunctions` of CycloneDX."""
        return _FUNCTIONS[self.primitive]


TICKETS: Final = "AES-256-CBC-HMAC-SHA256"
"""How OpenSSL protects session tickets; HKDF makes its keys of one secret (`openssl.tickets`)."""
SEALING: Final = "AES-256-GCM"
"""What files are sealed with (`certs.sealing.envelope`)."""
FERNET: Final = "Fernet"

_P = Primitive
_NIST: Final = "2.16.840.1.101.3.4."
_PKCS_1: Final = "1.2.840.113549.1.1."
_TWO_WAYS: Final = (
    Algorithm("AES-128-GCM", _P.AE, 128, 1, "128", f"{_NIST}1.6", mode="gcm"),
    Algorithm("AES-256-GCM", _P.AE, 256, 5, "256", f"{_NIST}1.46", mode="gcm"),
    Algorithm("ChaCha20-Poly1305", _P.AE, 256, None, "256", "1.2.840.113549.1.9.16.3.18"),
    Algorithm("AES-128-CBC", _P.BLOCK_CIPHER, 128, 1, "128", f"{_NIST}1.2", mode="cbc", padding="pkcs7"),
    Algorithm("AES-256-CBC", _P.BLOCK_CIPHER, 256, 5, "256", f"{_NIST}1.42", mode="cbc", padding="pkcs7"),
    Algorithm("HMAC-SHA256", _P.MAC, 256, None, "256", "1.2.840.113549.2.9", parts=("SHA-256",)),
    Algorithm(
        TICKETS,
        _P.AE,
        256,
        5,
        "256",
        mode="cbc",
        padding="pkcs7",
        parts=("AES-256-CBC", "HMAC-SHA256", "HKDF-SHA256"),
    ),
    Algorithm("Fernet", _P.AE, 128, 1, "128", parts=("AES-128-CBC", "HMAC-SHA256")),
)
_HASHES: Final = (
    Algorithm("SHA-256", _P.HASH, 128, 2, "256", f"{_NIST}2.1"),
    Algorithm("SHA-384", _P.HASH, 192, 4, "384", f"{_NIST}2.2"),
    Algorithm("SHA-512", _P.HASH, 256, 5, "512", f"{_NIST}2.3"),
    Algorithm("HKDF-SHA256", _P.KDF, 256, None, "256", "1.2.840.113549.1.9.16.3.28", parts=("SHA-256",)),
    Algorithm("HKDF-SHA384", _P.KDF, 384, None, "384", "1.2.840.113549.1.9.16.3.29", parts=("SHA-384",)),
)
_SIGNATURES: Final = (
    Algorithm("ECDSA-P256", _P.SIGNATURE, 128, 0, "256", "1.2.840.10045.2.1", "nist/P-256"),
    Algorithm("ECDSA-P384", _P.SIGNATURE, 192, 0, "384", "1.2.840.10045.2.1", "nist/P-384"),
    Algorithm("ECDSA-P521", _P.SIGNATURE, 256, 0, "521", "1.2.840.10045.2.1", "nist/P-521"),
    *(
        Algorithm(f"RSA-{size}", _P.SIGNATURE, bits, 0, str(size), f"{_PKCS_1}1")
        for size, bits in ((2048, 112), (3072, 128), (4096, 152))
    ),
    Algorithm("Ed25519", _P.SIGNATURE, 128, 0, "256", "1.3.101.112", "other/Ed25519"),
    Algorithm("Ed448", _P.SIGNATURE, 224, 0, "448", "1.3.101.113", "other/Ed448"),
    Algorithm("ML-DSA-44", _P.SIGNATURE, 128, 2, "44", f"{_NIST}3.17"),
    Algorithm("ML-DSA-65", _P.SIGNATURE, 192, 3, "65", f"{_NIST}3.18"),
    Algorithm("ML-DSA-87", _P.SIGNATURE, 256, 5, "87", f"{_NIST}3.19"),
)
_OF_CERTIFICATES: Final = (
    *(
        Algorithm(f"ECDSA-with-SHA{size}", _P.SIGNATURE, None, 0, str(size), oid, parts=(f"SHA-{size}",))
        for size, oid in ((256, "1.2.840.10045.4.3.2"), (384, "1.2.840.10045.4.3.3"), (512, "1.2.840.10045.4.3.4"))
    ),
    *(
        Algorithm(
            f"RSA-with-SHA{size}",
            _P.SIGNATURE,
            None,
            0,
            str(size),
            f"{_PKCS_1}{number}",
            "",
            "",
            "pkcs1v15",
            (f"SHA-{size}",),
        )
        for size, number in ((256, 11), (384, 12), (512, 13))
    ),
    Algorithm("RSASSA-PSS", _P.SIGNATURE, None, 0, "", f"{_PKCS_1}10"),
)
_MLKEM: Final = (
    Algorithm("ML-KEM-512", _P.KEM, 128, 1, "512", f"{_NIST}4.1"),
    Algorithm("ML-KEM-768", _P.KEM, 192, 3, "768", f"{_NIST}4.2"),
    Algorithm("ML-KEM-1024", _P.KEM, 256, 5, "1024", f"{_NIST}4.3"),
)
_AGREEMENTS: Final = (
    Algorithm("X25519", _P.KEY_AGREE, 128, 0, "256", "1.3.101.110", "other/Curve25519"),
    Algorithm("X448", _P.KEY_AGREE, 224, 0, "448", "1.3.101.111", "other/Curve448"),
    Algorithm("ECDH-P256", _P.KEY_AGREE, 128, 0, "256", "1.2.840.10045.3.1.7", "nist/P-256"),
    Algorithm("ECDH-P384", _P.KEY_AGREE, 192, 0, "384", "1.3.132.0.34", "nist/P-384"),
    Algorithm("ECDH-P521", _P.KEY_AGREE, 256, 0, "521", "1.3.132.0.35", "nist/P-521"),
    Algorithm("ECDH-brainpoolP256r1", _P.KEY_AGREE, 128, 0, "256", "1.3.36.3.3.2.8.1.1.7", "brainpool/brainpoolP256r1"),
    Algorithm(
        "ECDH-brainpoolP384r1", _P.KEY_AGREE, 192, 0, "384", "1.3.36.3.3.2.8.1.1.11", "brainpool/brainpoolP384r1"
    ),
    Algorithm(
        "ECDH-brainpoolP512r1", _P.KEY_AGREE, 256, 0, "512", "1.3.36.3.3.2.8.1.1.13", "brainpool/brainpoolP512r1"
    ),
    *(
        Algorithm(f"FFDH-{size}", _P.KEY_AGREE, bits, 0, f"ffdhe{size}", "1.2.840.113549.1.3.1")
        for size, bits in ((2048, 112), (3072, 128), (4096, 152), (6144, 176), (8192, 200))
    ),
)
_OF_PAYLOAD: Final = (
    Algorithm("RSA-OAEP-4096", _P.PKE, 152, 0, "4096", f"{_PKCS_1}7", padding="oaep", parts=("SHA-256",)),
)
_OF_LIBOQS: Final = (
    *(
        Algorithm(f"FrodoKEM-{size}{variant}", _P.KEM, bits, level, f"{size}{variant}")
        for size, bits, level in ((640, 128, 1), (976, 192, 3), (1344, 256, 5))
        for variant in ("", "-SHAKE")  # without a word it is that with AES
    ),
    *(Algorithm(f"HQC-{bits}", _P.KEM, bits, level, str(bits)) for bits, level in ((128, 1), (192, 3), (256, 5))),
    *(Algorithm(f"BIKE-L{level}", _P.KEM, bits, level, f"L{level}") for bits, level in ((128, 1), (192, 3), (256, 5))),
    Algorithm("Classic-McEliece-460896", _P.KEM, 192, 3, "460896"),
)
OF_LIBOQS: Final = frozenset(one.name for one in _OF_LIBOQS)
"""What liboqs computes, for oqs-provider or for liboqs-python."""
_PARTS_OF_SUITES: Final[Mapping[str, tuple[str, ...]]] = {
    "MLKEM768-X25519": ("ML-KEM-768", "X25519", "HKDF-SHA256", "AES-256-GCM"),
    "MLKEM1024-P384": ("ML-KEM-1024", "ECDH-P384", "HKDF-SHA384", "AES-256-GCM"),
    "RSA4096-MLKEM1024": ("RSA-OAEP-4096", "ML-KEM-1024", "HKDF-SHA256"),
    "X25519-FrodoKEM976": ("X25519", "FrodoKEM-976", "HKDF-SHA256"),
    "X25519-HQC256": ("X25519", "HQC-256", "HKDF-SHA256"),
    "X25519-ClassicMcEliece460896": ("X25519", "Classic-McEliece-460896", "HKDF-SHA256"),
}
_PARTS_OF_GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "X25519MLKEM768": ("X25519", "ML-KEM-768"),
    "SecP256r1MLKEM768": ("ECDH-P256", "ML-KEM-768"),
    "SecP384r1MLKEM1024": ("ECDH-P384", "ML-KEM-1024"),
    "MLKEM512": ("ML-KEM-512",),
    "MLKEM768": ("ML-KEM-768",),
    "MLKEM1024": ("ML-KEM-1024",),
    "X25519": ("X25519",),
    "X448": ("X448",),
    "secp256r1": ("ECDH-P256",),
    "secp384r1": ("ECDH-P384",),
    "secp521r1": ("ECDH-P521",),
    "brainpoolP256r1tls13": ("ECDH-brainpoolP256r1",),
    "brainpoolP384r1tls13": ("ECDH-brainpoolP384r1",),
    "brainpoolP512r1tls13": ("ECDH-brainpoolP512r1",),
    **{f"ffdhe{size}": (f"FFDH-{size}",) for size in (2048, 3072, 4096, 6144, 8192)},
}

_SINGLE: Final = (
    *_TWO_WAYS, *_HASHES, *_SIGNATURES, *_OF_CERTIFICATES, *_MLKEM, *_AGREEMENTS, *_OF_PAYLOAD, *_OF_LIBOQS
)  # fmt: skip
_BY_NAME: Final = {one.name: one for one in _SINGLE}
_BY_SIGNATURE_OID: Final = {
    one.oid: one for one in (*_OF_CERTIFICATES, *_SIGNATURES) if one.oid not in ("1.2.840.10045.2.1", f"{_PKCS_1}1")
}


def _combined(name: str, parts: tuple[str, ...], code_point: int | None = None) -> Algorithm:
    """Several exchanges whose secrets are used together: as strong as the strongest."""
    exchanges = [_BY_NAME[part] for part in parts if _BY_NAME[part].primitive in (_P.KEM, _P.KEY_AGREE, _P.PKE)]
    bits = max(one.bits or 0 for one in exchanges)
    level = max(one.level or 0 for one in exchanges)
    return Algorithm(name, _P.COMBINER, bits, level, name, parts=parts, code_point=code_point)


_COMBINED: Final = {
    **{name: _combined(name, parts) for name, parts in _PARTS_OF_SUITES.items()},
    **{
        name: _combined(name, parts, KNOWN[name.lower()].code_point)
        for name, parts in _PARTS_OF_GROUPS.items()
        if KNOWN[name.lower()].kind is GroupKind.HYBRID
    },
}

ALGORITHMS: Final[Mapping[str, Algorithm]] = MappingProxyType(_BY_NAME | _COMBINED)
"""All that are known, by name."""

CIPHER_SUITES: Final[Mapping[str, tuple[str, str, tuple[str, str]]]] = MappingProxyType(
    {
        "TLS_AES_128_GCM_SHA256": ("AES-128-GCM", "SHA-256", ("0x13", "0x01")),
        "TLS_AES_256_GCM_SHA384": ("AES-256-GCM", "SHA-384", ("0x13", "0x02")),
        "TLS_CHACHA20_POLY1305_SHA256": ("ChaCha20-Poly1305", "SHA-256", ("0x13", "0x03")),
    }
)
"""Cipher, hash and the two octets of each suite (RFC 8446 appendix B.4)."""


# How oqs-provider names what its groups are made of: `p384_frodo976shake`, `hqc5`.
_CURVES_OF_OQS: Final[Mapping[str, str]] = {
    "x25519": "X25519",
    "x448": "X448",
    "p256": "ECDH-P256",
    "p384": "ECDH-P384",
    "p521": "ECDH-P521",
    "bp256": "ECDH-brainpoolP256r1",
    "bp384": "ECDH-brainpoolP384r1",
    "bp512": "ECDH-brainpoolP512r1",
}
_KEM_OF_OQS: Final = re.compile(
    r"(?P<frodo>frodo(?P<size>640|976|1344)(?P<hash>aes|shake))|hqc(?P<hqc>1|3|5|128|192|256)|bikel(?P<bike>1|3|5)"
    r"|mlkem(?P<mlkem>512|768|1024)"
)
_HQC_BITS: Final = {"1": "128", "3": "192", "5": "256"}


def algorithm_of_group(name: str) -> Algorithm:
    """The key exchange of a TLS group. Of a provider's group that is named in a way of its own only
    the name is known.
    """
    known = KNOWN.get(name.lower())
    parts = _parts_of_oqs(name.lower()) if known is None else _PARTS_OF_GROUPS[known.name]
    if not parts:
        return Algorithm(name, Primitive.KEM, parameter_set=name)
    if len(parts) == 1:
        return ALGORITHMS[parts[0]]
    return _combined(name, parts) if known is None else ALGORITHMS[known.name]


def _parts_of_oqs(name: str) -> tuple[str, ...]:
    curve, _, rest = name.rpartition("_")
    found = _KEM_OF_OQS.fullmatch(rest)
    if found is None or (curve and curve not in _CURVES_OF_OQS):
        return ()
    if found["frodo"]:
        kem = f"FrodoKEM-{found['size']}{'-SHAKE' if found['hash'] == 'shake' else ''}"
    elif found["hqc"]:
        kem = f"HQC-{_HQC_BITS.get(found['hqc'], found['hqc'])}"
    else:
        kem = f"BIKE-L{found['bike']}" if found["bike"] else f"ML-KEM-{found['mlkem']}"
    return (_CURVES_OF_OQS[curve], kem) if curve else (kem,)


def algorithm_of_key(name: str) -> Algorithm:
    """The algorithm of a key by its name in configurations and in the status.

    Both `ec-p256` and `ecdsa-p256` are in use, and `mldsa-65`, `rsa-3072`, `ed25519`.
    """
    family, _, size = name.lower().partition("-")
    written = {"ec": "ECDSA-", "ecdsa": "ECDSA-", "mldsa": "ML-DSA-", "rsa": "RSA-", "ed25519": "Ed25519"}.get(family)
    found = None if written is None else ALGORITHMS.get(written + size.upper())
    if found is not None:
        return found
    return Algorithm(name, Primitive.SIGNATURE, level=0 if family == "rsa" else None, parameter_set=size)


def algorithm_of_signature(oid: str) -> Algorithm:
    """The algorithm that a certificate is signed with, by its object identifier."""
    found = _BY_SIGNATURE_OID.get(oid)
    return Algorithm(oid, Primitive.SIGNATURE, oid=oid) if found is None else found
