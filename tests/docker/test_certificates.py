"""The demo's certificates, as clients and operators meet them."""

import subprocess
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

SCRIPT = Path(__file__).parents[2] / "docker" / "demo" / "certificates.sh"


def make(directory: Path, *request: Path) -> x509.Certificate:
    """Run the script; the server's certificate that lies there afterwards."""
    subprocess.run(["sh", SCRIPT, directory, *request], check=True, timeout=30)
    return x509.load_pem_x509_certificate((directory / "server.pem").read_bytes())


def openssl(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What the openssl program says."""
    return subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=30, check=False)


def test_certificate_verifies_for_the_names_of_this_machine_and_no_other(tmp_path: Path) -> None:
    make(tmp_path)
    for name in ("localhost", "chat.localhost", "127.0.0.1", "::1", "example.org"):
        option = "-verify_hostname" if name[0].isalpha() else "-verify_ip"
        arguments = ["-x509_strict", "-purpose", "sslserver", option, name, "-CAfile", tmp_path / "ca.pem"]
        assert (openssl("verify", *arguments, tmp_path / "server.pem").returncode == 0) == (name != "example.org")


def test_key_is_ecdsa_p256_private_and_fits_the_certificate(tmp_path: Path) -> None:
    certificate = make(tmp_path)
    key = load_pem_private_key((tmp_path / "server.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp256r1"
    assert key.public_key() == certificate.public_key()
    assert (tmp_path / "server.key").stat().st_mode & 0o777 == 0o600


def test_key_of_the_authority_is_not_kept(tmp_path: Path) -> None:
    make(tmp_path / "made")
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["ca.pem", "server.key", "server.pem"]


def test_certificate_that_is_still_good_for_a_day_is_kept(tmp_path: Path) -> None:
    first = make(tmp_path)
    assert first.not_valid_after_utc - first.not_valid_before_utc == timedelta(days=90)
    assert make(tmp_path) == first


def test_certificate_that_ends_within_a_day_is_replaced_with_its_authority(tmp_path: Path) -> None:
    request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=old"]
    made = openssl(*request, "-days", "1", "-keyout", tmp_path / "server.key", "-out", tmp_path / "server.pem")
    assert made.returncode == 0
    certificate = make(tmp_path)
    assert certificate.subject.rfc4514_string() == "CN=localhost"
    authority = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())
    certificate.verify_directly_issued_by(authority)


def test_request_gets_a_certificate_for_its_key_and_no_key_file(tmp_path: Path) -> None:
    make(tmp_path)
    requests = []
    for name in ("first", "second"):
        request = tmp_path / f"{name}.csr"
        key: list[str | Path] = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            tmp_path / f"{name}.key",
        ]
        assert openssl("req", *key, "-subj", "/CN=whatever", "-out", request).returncode == 0
        requests.append(request)
    certificates = [make(tmp_path, request) for request in (requests[0], requests[0], requests[1])]
    assert certificates[0] == certificates[1] != certificates[2]
    for request, certificate in zip(requests, certificates[1:], strict=True):
        assert certificate.public_key() == x509.load_pem_x509_csr(request.read_bytes()).public_key()
        assert certificate.subject.rfc4514_string() == "CN=localhost"
    assert not (tmp_path / "server.key").exists()
