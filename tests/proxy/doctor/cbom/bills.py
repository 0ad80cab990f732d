"""A bill of materials in tests: an inventory that has everything, and the official schema."""

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from proxy.doctor.cbom.inventory import (
    CertificateInUse,
    Inventory,
    KeyAsset,
    KeyRole,
    LibraryFacts,
    LibraryRole,
    OfferedTls,
    Protection,
    TokenAsset,
)
from tests.certs.authority import private_key

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
KINDS = ("ecdsa-p256", "rsa-2048", "ed25519", "mldsa-65")


@cache
def certificate(kind: str, name: str = "chat.test", digest: str = "sha256") -> x509.Certificate:
    key = private_key(kind, 7)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)] if name else [])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 4711, NOON, NOON + timedelta(days=90))
    if not kind.startswith(("ecdsa", "rsa")):
        return builder.sign(key, None)
    return builder.sign(key, hashes.SHA256() if digest == "sha256" else hashes.SHA384())


def full() -> Inventory:
    """One of each kind."""
    keys = (
        KeyAsset(KeyRole.IDENTITY, "chat-1", "ecdsa-p256", Protection.FILE, "chat.key"),
        KeyAsset(KeyRole.IDENTITY, "chat-2.1", "mldsa-65", Protection.TOKEN, "pkcs11:token=one;object=chat", "one"),
        KeyAsset(KeyRole.IDENTITY, "chat-2.2", "mldsa-65", Protection.TOKEN, "pkcs11:token=two;object=chat", "two"),
        KeyAsset(KeyRole.IDENTITY, "files-1", "rsa-2048", Protection.SEALED, "state"),
        KeyAsset(KeyRole.SEALING, KeyRole.SEALING, "AES-256-GCM", Protection.TOKEN, "pkcs11:token=one;object=s", "one", is_secret_key=True),
        KeyAsset(KeyRole.TICKETS, KeyRole.TICKETS, "AES-256-CBC-HMAC-SHA256", Protection.SEALED, "state", is_secret_key=True),
        KeyAsset(KeyRole.PAYLOAD, "rooms", "Fernet", Protection.SEALED, "state", state="active", version="3", created=NOON, is_secret_key=True),
        KeyAsset(KeyRole.PAYLOAD, "kem X25519-HQC256", "X25519-HQC256", Protection.SEALED, "state", state="deactivated", version="1"),
    )  # fmt: skip
    certificates = (
        CertificateInUse("chat", 0, certificate("ecdsa-p256"), (0,)),
        CertificateInUse("chat", 1, certificate("ecdsa-p256", "Some CA", "sha384")),
        CertificateInUse("chat", 0, certificate("mldsa-65"), (1, 2)),
        CertificateInUse("files", 0, certificate("rsa-2048", ""), (3,)),
        CertificateInUse("files", 1, certificate("ecdsa-p256", "Some CA", "sha384")),
        CertificateInUse("old", 0, certificate("ed25519")),
    )
    suites = ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256")
    return Inventory(
        version="1.2.3",
        at=NOON,
        is_observed=True,
        listeners=(
            OfferedTls(
                "public",
                "prefer",
                "standard",
                ("X25519MLKEM768", "X25519", "secp256r1", "ffdhe3072", "x25519_frodo640aes"),
                suites,
                ("chat", "files"),
                {"X25519MLKEM768": 41, "X25519": 1},
            ),
            OfferedTls("inner", "require", "critical", ("X25519MLKEM768",), suites[:1], ("chat",)),
        ),
        keys=keys,
        certificates=certificates,
        suites=("MLKEM768-X25519", "X25519-HQC256"),
        libraries=(
            LibraryFacts("OpenSSL", "3.5.9", LibraryRole.TLS, "pkg:generic/openssl@3.5.9"),
            LibraryFacts("cryptography", "50.0.2", LibraryRole.KEYS, "pkg:pypi/cryptography@50.0.2"),
            LibraryFacts("liboqs-python", "", LibraryRole.OTHER_KEMS),
        ),
        tokens=(TokenAsset("one", "/usr/lib/softhsm.so", "one", "", "well"), TokenAsset("two", "m.so", "", "17", "")),
        unread=("identity gone: no such file",),
    )


def schema_fault(text: str) -> str | None:
    """What the official schema of CycloneDX 1.6 finds."""
    # Here, as it takes a second: each process of a test run would spend it.
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    return None if found is None else str(found)


def faults(text: str) -> list[str]:
    """What the official schema finds, and references that lead nowhere."""
    found = schema_fault(text)
    document = json.loads(text)
    refs = [one["bom-ref"] for one in document["components"]] + [document["metadata"]["component"]["bom-ref"]]
    twice = {one for one in refs if refs.count(one) > 1}
    lost = [one for one in references(document["components"]) if one not in refs]
    for entry in document["dependencies"]:
        lost += [
            one for one in (entry["ref"], *entry.get("dependsOn", ()), *entry.get("provides", ())) if one not in refs
        ]
    return [*([] if found is None else [found]), *sorted(twice), *lost]


def references(part: Any, name: str = "") -> list[str]:
    """Every reference to another component."""
    if isinstance(part, dict):
        return [one for key, value in part.items() for one in references(value, key)]
    if isinstance(part, list):
        return [one for value in part for one in references(value, name)]
    is_reference = name.endswith("Ref") or name in {"cryptoRefArray", "algorithms"}
    return [part] if is_reference else []
