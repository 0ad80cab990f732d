"""Keys in PEM files."""

import ssl
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from certs.files.errors import CredentialError, Part
from certs.files.pem import FileUnreadable, NotPem
from certs.keys.signing_key import Custody, SigningKey
from certs.keys.software import KeyEncrypted, KeyTooWeak, KeyUnsupported, SoftwareKey
from tests.certs.authority import issue, key_pem, private_key


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.key"


KINDS = ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "ed25519", "mldsa-44", "mldsa-65", "mldsa-87"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_tells_its_public_half_and_openssl_loads_the_file(path: Path, kind: str) -> None:
    private = private_key(kind)
    path.write_bytes(key_pem(private))
    key: SigningKey = SoftwareKey.load(path)
    assert str(key.algorithm) == kind
    assert key.public_key == private.public_key()
    assert key.custody is Custody.FILE
    assert key.location == str(path)
    certificate = path.with_suffix(".pem")
    certificate.write_bytes(issue("a", private).pem)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key.pem_path)


@pytest.mark.parametrize("algorithm", ["ML-DSA-44", "ML-DSA-65", "ML-DSA-87"])
def test_an_mldsa_key_of_openssl_is_read(path: Path, algorithm: str) -> None:
    certificate = path.with_suffix(".pem")
    openssl(
        "req",
        "-x509",
        "-newkey",
        algorithm,
        "-nodes",
        "-subj",
        "/CN=a",
        "-keyout",
        path,
        "-out",
        certificate,
    )
    key = SoftwareKey.load(path)
    assert str(key.algorithm) == algorithm.lower().replace("ml-dsa", "mldsa")
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key.pem_path)


def test_traditional_forms_and_blocks_before_the_key_are_read(path: Path) -> None:
    private = private_key("ecdsa-p256")
    traditional = private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    path.write_bytes(parameters + traditional)
    assert SoftwareKey.load(path).public_key == private.public_key()
    path.write_bytes(issue("a", private).pem + traditional)
    assert SoftwareKey.load(path).public_key == private.public_key()


def test_mode_and_exposure_are_those_of_the_file(path: Path) -> None:
    path.write_bytes(key_pem(private_key("ecdsa-p256")))
    path.chmod(0o600)
    assert (SoftwareKey.load(path).mode, SoftwareKey.load(path).is_exposed) == (0o600, False)
    path.chmod(0o644)
    assert (SoftwareKey.load(path).mode, SoftwareKey.load(path).is_exposed) == (0o644, True)


def failure(path: Path, content: bytes) -> CredentialError:
    path.write_bytes(content)
    with pytest.raises(CredentialError) as caught:
        SoftwareKey.load(path)
    assert caught.value.part is Part.KEY
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return caught.value


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("kind", ["ecdsa-p256", "rsa-2048"])
def test_an_encrypted_key_is_refused(path: Path, kind: str, form: PrivateFormat) -> None:
    content = private_key(kind).private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"word"))
    error = failure(path, content)
    assert isinstance(error, KeyEncrypted)
    assert error.found == "which is encrypted"
    assert "without passphrase" in error.allowed


def test_an_encrypted_mldsa_key_is_refused(path: Path) -> None:
    openssl("genpkey", "-algorithm", "ML-DSA-65", "-aes256", "-pass", "pass:word", "-out", path)
    assert isinstance(failure(path, path.read_bytes()), KeyEncrypted)


def test_an_encrypted_key_that_cryptography_cannot_read_is_told_by_its_label(path: Path) -> None:
    assert isinstance(
        failure(path, b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"),
        KeyEncrypted,
    )
    traditional = b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: X,0\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"
    assert isinstance(failure(path, traditional), KeyEncrypted | KeyUnsupported)


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("ecdsa-k256", "which holds a key of another kind (secp256k1)"),
        ("ed448", "which holds a key of another kind (Ed448)"),
    ],
)
def test_a_key_of_another_kind_is_refused(path: Path, kind: str, found: str) -> None:
    error = failure(path, key_pem(private_key(kind)))
    assert isinstance(error, KeyUnsupported)
    assert error.found == found
    assert "ML-DSA" in error.allowed


def test_small_rsa_is_refused(path: Path) -> None:
    error = failure(path, key_pem(private_key("rsa-1024")))
    assert isinstance(error, KeyTooWeak)
    assert error.found == "which is a weak key (rsa-1024)"
    assert "2048 bits" in error.allowed


def test_an_mldsa_key_without_seed_is_refused_with_the_reason(path: Path) -> None:
    openssl(
        "genpkey",
        "-algorithm",
        "ML-DSA-65",
        "-provparam",
        "ml-dsa.output_formats=priv-only",
        "-out",
        path,
    )
    error = failure(path, path.read_bytes())
    assert isinstance(error, KeyUnsupported)
    assert error.found == "which holds an ML-DSA expanded key without its seed"
    assert "make a new key" in error.allowed


@pytest.mark.parametrize("algorithm", ["SLH-DSA-SHA2-128s", "ML-KEM-768", "X25519", "RSA-PSS"])
def test_a_key_that_cannot_be_used_is_refused_without_its_content(path: Path, algorithm: str) -> None:
    openssl("genpkey", "-algorithm", algorithm, "-out", path)
    if algorithm == "RSA-PSS":  # for TLS it is an RSA key
        assert str(SoftwareKey.load(path).algorithm) == "rsa-2048"
    else:
        assert isinstance(failure(path, path.read_bytes()), KeyUnsupported | NotPem)


@pytest.mark.parametrize(
    ("content", "kind", "found"),
    [
        (b"", NotPem, "which holds nothing"),
        (b"-----BEGIN PRIVATE KEY-----\nAAA\n-----END PRIVATE KEY-----\n", NotPem, "which holds a damaged PRIVATE KEY"),
        (
            b"-----BEGIN PKCS#11 PROVIDER URI-----\nMAA=\n-----END PKCS#11 PROVIDER URI-----\n",
            KeyUnsupported,
            "PKCS#11 token",
        ),
    ],
)
def test_what_is_no_key_is_described(path: Path, content: bytes, kind: type, found: str) -> None:
    error = failure(path, content)
    assert isinstance(error, kind)
    assert found in error.found


def test_a_public_key_and_a_certificate_are_no_private_keys(path: Path) -> None:
    private = private_key("ecdsa-p256")
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    certificate = issue("a", private).pem
    assert (
        failure(path, certificate + certificate + public).found
        == "which holds no private key but CERTIFICATE, PUBLIC KEY"
    )


def test_a_missing_file_is_refused(path: Path) -> None:
    with pytest.raises(FileUnreadable):
        SoftwareKey.load(path)


@pytest.mark.parametrize("kind", KINDS)
def test_the_private_half_is_in_no_text_about_the_key(path: Path, kind: str) -> None:
    content = key_pem(private_key(kind))
    path.write_bytes(content)
    key = SoftwareKey.load(path)
    assert not any(line in repr(key) + str(key) for line in content.decode().splitlines()[1:-1])
    for damaged in (content[:-40], content.replace(b"A", b"B"), content.replace(b"PRIVATE", b"SECRET")):
        path.write_bytes(damaged)
        try:
            SoftwareKey.load(path)
        except CredentialError as error:
            text = f"{error!s}{error!r}{error.__dict__}{error.args}"
            assert not any(line in text for line in damaged.decode().splitlines()[1:-1] if line)
