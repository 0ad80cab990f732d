"""The certificate of RFC 8737 section 3, rule by rule."""

import subprocess
import sys
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from certs.acme.challenges.certificate import challenge_certificate, server_name_of

DIGEST = bytes(range(32))


@pytest.mark.parametrize("name", ["chat.test", "192.0.2.7", "2001:db8::1"])
def test_it_has_one_name_and_the_digest(name: str) -> None:
    pem = challenge_certificate(name, DIGEST)
    certificate = x509.load_pem_x509_certificate(pem)
    assert load_pem_private_key(pem, None).public_key() == certificate.public_key()
    certificate.verify_directly_issued_by(certificate)
    names = list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    assert [one.value for one in names] == [name if name == "chat.test" else ip_address(name)]
    identifier = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31"))
    assert isinstance(identifier.value, x509.UnrecognizedExtension)
    assert (identifier.critical, identifier.value.value) == (True, bytes.fromhex("0420") + DIGEST)
    assert (certificate.not_valid_before_utc.year, certificate.not_valid_after_utc.year) == (1970, 9999)


def test_no_two_have_the_same_key() -> None:
    one, two = (x509.load_pem_x509_certificate(challenge_certificate("a.test", DIGEST)) for _ in range(2))
    assert one.public_key() != two.public_key()


@pytest.mark.parametrize(
    ("name", "asked_for"),
    [
        ("chat.test", "chat.test"),
        ("192.0.2.7", "7.2.0.192.in-addr.arpa"),
        ("2001:db8::1", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"),
    ],
)
def test_addresses_are_asked_for_by_their_reverse_name(name: str, asked_for: str) -> None:
    assert server_name_of(name) == asked_for


def test_workers_do_not_carry_the_whole_client() -> None:
    code = (
        "import sys, proxy.worker.entry, certs.acme.challenges.certificate as c\n"
        "sys.exit(' '.join({'acme', 'josepy', 'requests'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.strip() == ""
