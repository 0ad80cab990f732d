"""What is known of a client that has shown a certificate."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from proxy.tls.wire.client_certificate import ClientCertificate, UnusableCertificate, subject_of, unpacked_chain
from tests.certificates import DAY
from tests.client_authorities import ClientAuthority

ROOT = ClientAuthority("Root")
BELOW = ClientAuthority("Below", above=ROOT, valid=(-DAY, timedelta(hours=1)))


def name(*parts: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts])


@pytest.mark.parametrize(
    ("subject", "names", "text"),
    [
        (name((NameOID.COUNTRY_NAME, "AT"), (NameOID.COMMON_NAME, "bot, 1")), (), "CN=bot\\, 1,C=AT"),
        (name(), ("spiffe://chat/bot", "urn:2"), "spiffe://chat/bot"),
        (name((NameOID.COMMON_NAME, "é\n")), (), "CN=é\n"),  # the log escapes it
        (name(*[(NameOID.ORGANIZATIONAL_UNIT_NAME, "x" * 60)] * 5), (), ("OU=" + "x" * 60 + ",") * 3 + "OU=x..."),
    ],
)
def test_subject_is_the_text_of_rfc_4514_and_bounded(
    tmp_path: Path, subject: x509.Name, names: tuple[str, ...], text: str
) -> None:
    shown = ClientCertificate(ROOT.issue(tmp_path, subject, names=names).der).subject
    assert len(shown) <= 256
    assert shown == text if len(text) < 190 else shown.startswith(text[:190])


def test_who_has_no_name_at_all_has_a_number(tmp_path: Path) -> None:
    issued = ROOT.issue(tmp_path, name())
    assert subject_of(issued.leaf) == f"serial {issued.leaf.serial_number:x}"


def test_subject_that_breaks_the_rules_for_text_is_a_number_too(tmp_path: Path) -> None:
    """OpenSSL takes a UTF8String that is not UTF-8."""
    issued = ROOT.issue(tmp_path, "abcd")
    broken = x509.load_der_x509_certificate(issued.der.replace(b"\x0c\x04abcd", b"\x0c\x04\xff\xffcd"))
    assert subject_of(broken) == f"serial {broken.serial_number:x}"


def test_it_ends_with_the_first_certificate_that_ends(tmp_path: Path) -> None:
    issued = BELOW.issue(tmp_path, "bot")
    shown = ClientCertificate(issued.der, issued.chain)
    assert shown.ends_at == BELOW.certificate.not_valid_after_utc.timestamp()
    assert ClientCertificate(issued.der).ends_at == issued.leaf.not_valid_after_utc.timestamp()


def test_chain_survives_a_ticket(tmp_path: Path) -> None:
    issued = BELOW.issue(tmp_path, "bot")
    for chain in ([], issued.chain, [*issued.chain, issued.der]):
        assert unpacked_chain(ClientCertificate(issued.der, chain).packed_chain) == chain


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableCertificate, match="parsing"):
        ClientCertificate(b"\x30\x00")
    version_10 = ROOT.issue(tmp_path, "bot").der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x09")
    with pytest.raises(UnusableCertificate, match="version"):
        ClientCertificate(version_10)
