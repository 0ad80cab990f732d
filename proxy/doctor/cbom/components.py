"""One component of CycloneDX 1.6 for each asset of an inventory. Pure.

What is empty is left out. No key's content is ever here: `value` of related-crypto-material is not
written.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypedDict, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs.keys.signing_key import algorithm_of as algorithm_of_supported
from certs.keys.signing_key import supported_public_key
from proxy.doctor.cbom.algorithms import (
    ALGORITHMS,
    CIPHER_SUITES,
    SEALING,
    Algorithm,
    Primitive,
    algorithm_of_group,
    algorithm_of_key,
    algorithm_of_signature,
)
from proxy.doctor.cbom.inventory import (
    CertificateInUse,
    KeyAsset,
    LibraryFacts,
    LibraryRole,
    OfferedTls,
    Protection,
    TokenAsset,
)


class Property(TypedDict):
    """A fact that the standard has no field for."""

    name: str
    value: str


Component = TypedDict(
    "Component",
    {
        "type": str,
        "bom-ref": str,
        "name": str,
        "version": str,
        "description": str,
        "purl": str,
        "cryptoProperties": Mapping[str, Any],
        "properties": list[Property],
    },
    total=False,
)
"""A component; what is empty is left out."""

_SLUG: Final = re.compile(r"[^A-Za-z0-9._@+-]+")
_TLS_VERSION: Final = "1.3"
_PREFIX: Final = "plexigate:"
"""Of the names of properties that the standard has no field for."""


def algorithm_ref(algorithm: Algorithm) -> str:
    return f"algorithm/{_slug(algorithm.name)}"


def certificate_ref(certificate: x509.Certificate) -> str:
    """The bom-ref of a certificate: of equal ones in several chains there is one component."""
    return f"certificate/{hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()[:32]}"


def public_key_ref(certificate: x509.Certificate) -> str:
    return f"public-key/{_key_id(certificate)[:32]}"


def key_ref(key: KeyAsset) -> str:
    parts = [key.use, *([] if key.name == key.use else [key.name]), *([key.version] if key.version else [])]
    return "/".join(["key", *map(_slug, parts)])


def protocol_ref(listener: OfferedTls) -> str:
    return f"protocol/tls/{_slug(listener.listener)}"


def token_ref(name: str) -> str:
    return f"token/{_slug(name)}"


def library_ref(library: LibraryFacts) -> str:
    """The bom-ref of a library. There may be two of liboqs: of a provider, and of Python."""
    version = f"-{_slug(library.version)}" if library.role is LibraryRole.KEM_LIBRARY else ""
    return f"library/{_slug(library.name)}{version}"


def algorithm_of(key: KeyAsset) -> Algorithm:
    """The algorithm of a key: of an identity's by its name in the configuration."""
    known = ALGORITHMS.get(key.algorithm)
    return algorithm_of_key(key.algorithm) if known is None else known


def algorithm_component(algorithm: Algorithm) -> Component:
    facts = _filled(
        {
            "primitive": str(algorithm.primitive),
            "parameterSetIdentifier": algorithm.parameter_set,
            "curve": algorithm.curve,
            "executionEnvironment": "software-plain-ram",
            "implementationPlatform": "unknown",
            "certificationLevel": ["none"],
            "mode": algorithm.mode,
            "padding": algorithm.padding,
            "cryptoFunctions": list(algorithm.functions),
            "classicalSecurityLevel": algorithm.bits,
            "nistQuantumSecurityLevel": algorithm.level,
        }
    )
    point = {} if algorithm.code_point is None else {"tls:code-point": f"0x{algorithm.code_point:04X}"}
    properties = {"assetType": "algorithm", "algorithmProperties": facts, "oid": algorithm.oid}
    return _asset(algorithm_ref(algorithm), algorithm.name, properties, point)


def certificate_component(one: CertificateInUse) -> Component:
    """A certificate, with references to its key and to what it is signed with."""
    certificate = one.certificate
    signature = algorithm_of_signature(certificate.signature_algorithm_oid.dotted_string)
    facts = {
        "subjectName": certificate.subject.rfc4514_string() or "(empty)",
        "issuerName": certificate.issuer.rfc4514_string() or "(empty)",
        "notValidBefore": _time(certificate.not_valid_before_utc),
        "notValidAfter": _time(certificate.not_valid_after_utc),
        "signatureAlgorithmRef": algorithm_ref(signature),
        "subjectPublicKeyRef": public_key_ref(certificate),
        "certificateFormat": "X.509",
    }
    name = certificate.subject.rfc4514_string() or f"certificate {certificate.serial_number:x}"
    more = {
        "sha256": hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest(),
        "serial": f"{certificate.serial_number:x}",
        "role": "server certificate" if one.position == 0 else "issuer in the chain",
    }
    properties = {"assetType": "certificate", "certificateProperties": facts}
    return _asset(certificate_ref(certificate), name, properties, more)


def public_key_component(certificate: x509.Certificate) -> Component:
    facts = _filled(
        {
            "type": "public-key",
            "id": _key_id(certificate),
            "state": "active",
            "algorithmRef": algorithm_ref(algorithm_of_public_key(certificate)),
            "size": _size(certificate),
            "format": "SubjectPublicKeyInfo",
        }
    )
    name = f"public key of {certificate.subject.rfc4514_string() or f'certificate {certificate.serial_number:x}'}"
    return _asset(public_key_ref(certificate), name, _material(facts))


def key_component(key: KeyAsset) -> Component:
    """A key that must stay secret: what it is, and where it is protected, never its content."""
    algorithm = algorithm_of(key)
    set_of = algorithm.parameter_set
    mechanism = {Protection.TOKEN: "HSM", Protection.SEALED: "Software", Protection.FILE: "None"}.get(key.protection)
    secured = _filled(
        {
            "mechanism": mechanism,
            "algorithmRef": algorithm_ref(ALGORITHMS[SEALING]) if key.protection is Protection.SEALED else "",
        }
    )
    facts = _filled(
        {
            "type": "secret-key" if key.is_secret_key else "private-key",
            "state": key.state,
            "algorithmRef": algorithm_ref(algorithm),
            "creationDate": "" if key.created is None else _time(key.created),
            "size": int(set_of) if _is_size_of_key(key, algorithm) else None,
            "securedBy": secured,
        }
    )
    more = {"use": str(key.use), "protection": key.protection.value, "place": key.place, "token": key.token}
    name = f"{key.use} key" if key.name == key.use else f"{key.use} key {key.name}"
    name += f", version {key.version}" if key.version else ""
    return _asset(key_ref(key), name, _material(facts), {**more, "version": key.version})


def protocol_component(listener: OfferedTls) -> Component:
    """The TLS of a listener: cipher suites and groups offered, and how often each was agreed."""
    suites = []
    for name in listener.suites:
        cipher, digest, octets = CIPHER_SUITES[name]
        refs = [algorithm_ref(ALGORITHMS[one]) for one in (cipher, digest)]
        suites.append({"name": name, "algorithms": refs, "identifiers": list(octets)})
    groups = [algorithm_ref(algorithm_of_group(name)) for name in listener.groups]
    facts = {
        "type": "tls",
        "version": _TLS_VERSION,
        "cipherSuites": suites,
        "cryptoRefArray": list(dict.fromkeys(groups)),
    }
    more = {"tls:pq": listener.pq, "tls:level": listener.level, "tls:groups-offered": " ".join(listener.groups)}
    if listener.observed is not None:
        more["observed:handshakes"] = str(sum(listener.observed.values()))
        for group, count in sorted(listener.observed.items()):
            more[f"observed:group:{group}"] = str(count)
    properties = {"assetType": "protocol", "protocolProperties": facts}
    return _asset(protocol_ref(listener), f"TLS 1.3 of listener {listener.listener}", properties, more)


def token_component(token: TokenAsset) -> Component:
    more = {
        "pkcs11:module": token.module,
        "pkcs11:label": token.label,
        "pkcs11:serial": token.serial,
        "state": token.state,
    }
    return {
        "type": "device",
        "bom-ref": token_ref(token.name),
        "name": token.name,
        "description": "PKCS#11 token",
        "properties": _properties(more),
    }


def library_component(library: LibraryFacts) -> Component:
    component: Component = {
        "type": "library",
        "bom-ref": library_ref(library),
        "name": library.name,
        "version": library.version,
        "description": str(library.role),
        "purl": library.purl,
    }
    return cast("Component", _filled(component))


def algorithm_of_public_key(certificate: x509.Certificate) -> Algorithm:
    key = certificate.public_key()
    supported = supported_public_key(key)
    if supported is not None:
        return algorithm_of_key(str(algorithm_of_supported(supported)))
    oid = certificate.public_key_algorithm_oid.dotted_string
    if isinstance(key, ec.EllipticCurvePublicKey):
        name = f"ECDSA-{key.curve.name}"
        return Algorithm(name, Primitive.SIGNATURE, None, 0, str(key.key_size), oid, f"other/{key.curve.name}")
    return algorithm_of_signature(oid)


def _size(certificate: x509.Certificate) -> int | None:
    key = certificate.public_key()
    return key.key_size if isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey) else None


def _key_id(certificate: x509.Certificate) -> str:
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(key).hexdigest()


def _is_size_of_key(key: KeyAsset, algorithm: Algorithm) -> bool:
    """Whether the parameter set is the size of the key in bits: that of ML-DSA is not."""
    is_of_bits = key.is_secret_key or algorithm.name.startswith(("ECDSA-", "RSA-", "Ed"))
    return is_of_bits and algorithm.parameter_set.isdecimal()


def _material(facts: Mapping[str, object]) -> Mapping[str, object]:
    return {"assetType": "related-crypto-material", "relatedCryptoMaterialProperties": dict(facts)}


def _asset(ref: str, name: str, crypto: Mapping[str, object], more: Mapping[str, str] | None = None) -> Component:
    component: Component = {
        "type": "cryptographic-asset",
        "bom-ref": ref,
        "name": name,
        "cryptoProperties": _filled(crypto),
    }
    properties = _properties(more or {})
    return {**component, "properties": properties} if properties else component


def _properties(values: Mapping[str, str]) -> list[Property]:
    return [{"name": f"{_PREFIX}{name}", "value": value} for name, value in values.items() if value]


def _filled(values: Mapping[str, object]) -> dict[str, object]:
    """What is not empty; 0 is not."""
    return {name: value for name, value in values.items() if value not in ("", None, [], {})}


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _slug(name: str) -> str:
    return _SLUG.sub("-", name).strip("-")
