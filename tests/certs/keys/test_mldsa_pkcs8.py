"""The forms of ML-DSA private keys, as OpenSSL writes them."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs.keys.mldsa_pkcs8 import Form, public_key_of
from tests.certs.authority import key_pem, private_key


def genpkey(path: Path, algorithm: str, form: str) -> bytes:
    forms = ["-provparam", f"ml-dsa.output_formats={form}"] if form else []
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", algorithm, *forms, "-out", path], check=True, capture_output=True
    )
    return path.read_bytes()


@pytest.mark.parametrize("algorithm", ["ML-DSA-44", "ML-DSA-65", "ML-DSA-87"])
@pytest.mark.parametrize("form", ["", "seed-priv"])
def test_the_public_key_is_the_one_that_openssl_finds(tmp_path: Path, algorithm: str, form: str) -> None:
    path = tmp_path / "a.key"
    public = public_key_of(genpkey(path, algorithm, form))
    assert public is not None
    assert not isinstance(public, Form)
    theirs = subprocess.run(["openssl", "pkey", "-in", path, "-pubout"], check=True, capture_output=True).stdout
    assert public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) == theirs


def test_an_expanded_key_alone_is_told_apart(tmp_path: Path) -> None:
    assert public_key_of(genpkey(tmp_path / "a.key", "ML-DSA-65", "priv-only")) is Form.EXPANDED_ONLY


@pytest.mark.parametrize("kind", ["ecdsa-p256", "rsa-2048", "ed25519", "mldsa-65"])
def test_everything_else_is_left_to_cryptography(kind: str) -> None:
    assert public_key_of(key_pem(private_key(kind))) is None


@pytest.mark.parametrize("form", ["bare-seed", "bare-priv"])
def test_forms_outside_the_rfc_are_not_guessed(tmp_path: Path, form: str) -> None:
    assert public_key_of(genpkey(tmp_path / "a.key", "ML-DSA-65", form)) is None


def test_a_text_without_a_key_is_none() -> None:
    assert public_key_of(b"junk") is None


def test_broken_base64_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="padding"):
        public_key_of(b"-----BEGIN PRIVATE KEY-----\nAAA\n-----END PRIVATE KEY-----\n")
