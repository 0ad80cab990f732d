"""Certificates of an internal authority, judged by OpenSSL as strictly as it can."""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.issuing.internal_ca.profiles import IssuerKey, intermediate_certificate, root_certificate, server_certificate
from certs.keys.generating import ALGORITHMS, generate
from tests.certs.authority import DAY, NOW

LONG = f"{'a' * 60}.example.org"


def chain(kind: str, names: tuple[str, ...], permitted: tuple[str, ...] = ()) -> tuple[x509.Certificate, ...]:
    """Leaf, intermediate, root."""
    root_key, key, leaf = (generate(ALGORITHMS[kind]) for _ in range(3))
    root = root_certificate("root", root_key, NOW)
    intermediate = intermediate_certificate(
        "intermediate", key.public_key(), IssuerKey(root, root_key), NOW + 300 * DAY, permitted, NOW
    )
    server = server_certificate(
        names, leaf.public_key(), IssuerKey(intermediate, key), NOW + 7 * DAY, NOW, "http://ca.test/crl.pem"
    )
    return server, intermediate, root


def verified(directory: Path, certificates: tuple[x509.Certificate, ...], *options: str) -> str:
    """What `openssl verify` says at the time of the tests."""
    for name, one in zip(("leaf", "intermediate", "root"), certificates, strict=True):
        (directory / name).write_bytes(one.public_bytes(Encoding.PEM))
    command = [
        *("openssl", "verify", "-x509_strict", "-attime", f"{NOW.timestamp():.0f}", "-purpose", "sslserver"),
        *("-no-CApath", "-no-CAstore", "-CAfile", "root", "-untrusted", "intermediate", *options, "leaf"),
    ]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["ec-p256", "ec-p384", "rsa-2048", "mldsa-65", "mldsa-87"])
def test_openssl_accepts_the_chain(tmp_path: Path, kind: str) -> None:
    made = chain(kind, ("chat.example.org", "10.0.0.1"), ("example.org", "10.0.0.1"))
    assert verified(tmp_path, made, "-verify_hostname", "chat.example.org") == "leaf: OK\n"
    assert verified(tmp_path, made, "-verify_ip", "10.0.0.1") == "leaf: OK\n"
    assert "hostname mismatch" in verified(tmp_path, made, "-verify_hostname", "other.example.org")


@pytest.mark.parametrize("name", ["chat.test", "badexample.org", "10.0.0.1"])
def test_openssl_refuses_names_that_the_intermediate_may_not_certify(tmp_path: Path, name: str) -> None:
    assert "subtree" in verified(tmp_path, chain("ec-p256", (name,), ("example.org",)))


def test_a_name_that_is_too_long_for_a_common_name_is_no_obstacle(tmp_path: Path) -> None:
    made = chain("ec-p256", (LONG,))
    assert verified(tmp_path, made, "-verify_hostname", LONG) == "leaf: OK\n"
    assert not list(made[0].subject)


def test_a_leaf_ends_with_its_issuer_at_the_latest() -> None:
    key = generate(ALGORITHMS["ec-p256"])
    root = root_certificate("root", key, NOW)
    leaf = server_certificate(("a.test",), key.public_key(), IssuerKey(root, key), NOW + 9_999 * DAY, NOW, None)
    assert leaf.not_valid_after_utc == root.not_valid_after_utc
