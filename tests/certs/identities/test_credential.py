"""A chain and the key that fits it."""

import ssl
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from certs.files.errors import CredentialError, Part
from certs.files.pem import FileUnreadable
from certs.hsm.secret import Secret
from certs.identities.chain import CertificateExpired, ChainBroken
from certs.identities.credential import (
    CertificateUnsupported,
    Credential,
    Examination,
    KeyDoesNotFit,
    LeafNotFirst,
    TokenPlace,
    content_digest,
    digest_in_tokens,
    examine,
    examine_in_tokens,
    reexamine,
    reexamine_in_tokens,
)
from certs.keys.software import KeyEncrypted, KeyUnsupported, SoftwareKey
from config.values.pkcs11_uri import parse
from tests.certs.authority import DAY, NOW, Issued, issue, key_pem, private_key, write

ROOT = issue("Root", private_key("ecdsa-p384"))
MIDDLE = issue("Middle", private_key("ecdsa-p256", 1), issuer=ROOT, valid=(NOW - DAY, NOW + 5 * DAY))
LEAF = issue(
    "chat", private_key("ecdsa-p256"), issuer=MIDDLE, names=["chat.example.org", "*.chat.example.org", "192.0.2.1"]
)


def usable(certificate: Path, key: Path) -> Credential:
    credential = examine(certificate, key, NOW).credential
    assert credential is not None
    return credential


def errors(directory: Path, issued: Issued, *issuers: Issued, key: Issued | None = None) -> tuple[CredentialError, ...]:
    certificate, _ = write(directory, "chat", issued, *issuers)
    _, key_path = write(directory, "key", key or issued)
    examination = examine(certificate, key_path, NOW)
    assert (examination.credential is None) == bool(examination.errors)
    return examination.errors


def test_a_credential_knows_its_chain_key_and_files(tmp_path: Path) -> None:
    certificate, key = write(tmp_path, "chat", LEAF, MIDDLE, ROOT)
    credential = usable(certificate, key)
    assert credential.chain == (LEAF.certificate, MIDDLE.certificate, ROOT.certificate)
    assert credential.leaf == LEAF.certificate
    assert isinstance(credential.key, SoftwareKey)
    assert credential.key.mode == 0o600
    assert (credential.certificate_path, credential.key_pem_path) == (certificate, key)
    assert str(credential.algorithm) == "ecdsa-p256"
    assert not credential.is_post_quantum
    assert credential.names == ("chat.example.org", "*.chat.example.org", "192.0.2.1")


def test_it_ends_with_the_first_certificate_of_its_chain(tmp_path: Path) -> None:
    credential = usable(*write(tmp_path, "chat", LEAF, MIDDLE))
    assert credential.not_after == NOW + 5 * DAY
    assert credential.expires_within(timedelta(days=6), NOW)
    assert not credential.expires_within(timedelta(days=5), NOW)


@pytest.mark.parametrize(
    "kind", ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "ed25519", "mldsa-44", "mldsa-65", "mldsa-87"]
)
def test_openssl_takes_every_kind_that_is_taken_here(tmp_path: Path, kind: str) -> None:
    issuer = issue("CA", private_key(kind))
    leaf = issue("chat", private_key(kind, 2), issuer=issuer)
    credential = usable(*write(tmp_path, "chat", leaf, issuer))
    assert str(credential.algorithm) == kind
    assert credential.is_post_quantum == kind.startswith("mldsa")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(credential.certificate_path, credential.key_pem_path)


def test_a_self_signed_leaf_is_fine(tmp_path: Path) -> None:
    assert errors(tmp_path, issue("chat", private_key("ed25519"))) == ()


@pytest.mark.parametrize(
    ("name", "is_covered"),
    [
        ("chat.example.org", True),
        ("a.chat.example.org", True),
        ("*.chat.example.org", True),
        ("192.0.2.1", True),
        ("a.b.chat.example.org", False),
        ("*.example.org", False),
        ("example.org", False),
        ("192.0.2.2", False),
        ("chat", False),
    ],
)
def test_names_are_covered_as_clients_see_it(tmp_path: Path, name: str, is_covered: bool) -> None:  # noqa: FBT001
    assert usable(*write(tmp_path, "chat", LEAF)).covers(name) is is_covered


@pytest.mark.parametrize(
    ("key", "kinds"),
    [(("ecdsa-p256", 7), ""), (("rsa-2048", 0), ": it is rsa-2048, the certificate's ecdsa-p256")],
)
def test_a_key_of_another_certificate_does_not_fit(tmp_path: Path, key: tuple[str, int], kinds: str) -> None:
    (error,) = errors(tmp_path, LEAF, MIDDLE, key=issue("other", private_key(*key)))
    assert isinstance(error, KeyDoesNotFit)
    assert error.found == f'which does not fit the certificate "{tmp_path / "chat.pem"}"{kinds}'
    assert error.allowed == "the private key that the certificate was made for"
    assert error.part is Part.KEY


def test_the_leaf_must_stand_first(tmp_path: Path) -> None:
    (error,) = errors(tmp_path, MIDDLE, LEAF, key=LEAF)
    assert isinstance(error, LeafNotFirst)
    assert error.found == "which has the certificate of the key in place 2"
    assert error.allowed == "the server's own certificate first, then the issuer of each certificate"


def test_an_unrelated_certificate_is_refused(tmp_path: Path) -> None:
    (error,) = errors(tmp_path, LEAF, MIDDLE, issue("stranger", private_key("ed25519")))
    assert isinstance(error, ChainBroken)
    assert error.found.startswith("which has in place 3 ")


def test_a_certificate_of_another_kind_is_refused(tmp_path: Path) -> None:
    odd = issue("chat", private_key("ed448"))
    unsupported, does_not_fit = errors(tmp_path, odd, key=LEAF)
    assert isinstance(unsupported, CertificateUnsupported)
    assert unsupported.found == "which is for a key of an unsupported kind"
    assert unsupported.allowed.startswith("a certificate for a key of ECDSA P-256")
    assert "the certificate's of an unsupported kind" in does_not_fit.found


def test_a_key_that_cryptography_cannot_read_in_a_certificate_is_refused(tmp_path: Path) -> None:
    certificate, key = write(tmp_path, "chat", LEAF)
    # The curve of the public key becomes 1.2.840.10045.3.1.127, which nobody knows.
    der = ssl.PEM_cert_to_DER_cert(LEAF.pem.decode())
    curve = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01"
    certificate.write_text(ssl.DER_cert_to_PEM_cert(der.replace(curve + b"\x07", curve + b"\x7f")))
    kinds = [type(error) for error in examine(certificate, key, NOW).errors]
    assert kinds == [CertificateUnsupported, KeyDoesNotFit]


def test_all_faults_of_both_files_are_found(tmp_path: Path) -> None:
    old = issue("chat", private_key("ecdsa-p256"), valid=(NOW - 9 * DAY, NOW - DAY))
    found = errors(tmp_path, old, ROOT, key=issue("other", private_key("ed448")))
    assert [type(error) for error in found] == [KeyUnsupported, ChainBroken, CertificateExpired]


def test_missing_files_are_both_reported(tmp_path: Path) -> None:
    found = examine(tmp_path / "none.pem", tmp_path / "none.key", NOW).errors
    assert [(type(error), error.part) for error in found] == [
        (FileUnreadable, Part.CERTIFICATE),
        (FileUnreadable, Part.KEY),
    ]


def test_no_text_about_a_credential_has_content_of_its_key(tmp_path: Path) -> None:
    certificate, key = write(tmp_path, "chat", LEAF)
    secret = key_pem(LEAF.key).decode().splitlines()[1:-1]
    credential = usable(certificate, key)
    texts = [repr(credential), str(credential)]
    key.write_bytes(key_pem(LEAF.key).replace(b"PRIVATE KEY", b"ENCRYPTED PRIVATE KEY"))
    (error,) = examine(certificate, key, NOW).errors
    assert isinstance(error, KeyEncrypted)
    texts += [str(error), repr(error)]
    swapped = examine(key, certificate, NOW)
    texts += [str(one) + repr(one) for one in swapped.errors] + [repr(swapped)]
    assert not any(line in text for line in secret for text in texts)


class TestKnown:
    """A credential whose content was examined before."""

    def test_digest_is_that_of_both_files_and_tells_them_apart(self, tmp_path: Path) -> None:
        certificate, key = tmp_path / "certificate", tmp_path / "key"
        found = set()
        for contents in ((b"ab", b"c"), (b"a", b"bc"), (b"abc", b""), (b"c", b"ab")):
            certificate.write_bytes(contents[0])
            key.write_bytes(contents[1])
            found.add(content_digest(certificate, key))
        assert len(found) == 4
        assert None not in found
        key.unlink()
        assert content_digest(certificate, key) is None

    def test_only_time_can_have_made_it_unusable(self, tmp_path: Path) -> None:
        certificate, key = write(tmp_path, "chat", LEAF, MIDDLE, ROOT)
        known = usable(certificate, key)
        assert isinstance(known.key, SoftwareKey)
        elsewhere = replace(known.key, pem_path=tmp_path / "elsewhere.key")
        again = reexamine(known, tmp_path / "elsewhere.pem", elsewhere, NOW)
        assert again.errors == ()
        assert again.credential is not None
        assert (again.credential.certificate_path, again.credential.key) == (tmp_path / "elsewhere.pem", elsewhere)
        assert again.credential.digest == known.digest == content_digest(certificate, key)
        late = reexamine(known, certificate, elsewhere, NOW + timedelta(days=10_000))
        assert late.credential is None
        assert {type(error) for error in late.errors} == {CertificateExpired}


class TestInTokens:
    def places(self, *uris: str) -> list[TokenPlace]:
        return [TokenPlace(parse(uri), "plexi", Secret("1234")) for uri in uris or ("pkcs11:token=plexi;object=chat",)]

    def examined(self, tmp_path: Path, kind: str = "ecdsa-p256") -> Examination:
        certificate, _ = write(tmp_path, "chat", issue("chat", private_key(kind), names=["chat.test"]))
        return examine_in_tokens(certificate, self.places(), NOW)

    def test_chain_is_judged_as_with_a_file(self, tmp_path: Path) -> None:
        assert self.examined(tmp_path).errors == ()
        certificate = tmp_path / "chat.pem"
        (error,) = examine_in_tokens(certificate, self.places(), NOW + timedelta(days=10_000)).errors
        assert "expired" in error.found
        (error,) = examine_in_tokens(tmp_path / "missing.pem", self.places(), NOW).errors
        assert "cannot be read" in error.found

    @pytest.mark.parametrize("kind", ["rsa-1024", "ed448", "ecdsa-k256"])
    def test_keys_that_cannot_be_used(self, tmp_path: Path, kind: str) -> None:
        examination = self.examined(tmp_path, kind)
        assert examination.credential is None
        assert any(isinstance(error, CertificateUnsupported) for error in examination.errors)

    def test_digest_is_of_chain_place_and_pin(self, tmp_path: Path) -> None:
        self.examined(tmp_path)
        certificate = tmp_path / "chat.pem"
        places = self.places()
        digests = {
            digest_in_tokens(certificate, places),
            digest_in_tokens(certificate, self.places("pkcs11:token=plexi;object=other")),
            digest_in_tokens(certificate, [TokenPlace(places[0].uri, "plexi", Secret("5678"))]),
            digest_in_tokens(certificate, [TokenPlace(places[0].uri, "spare", Secret("1234"))]),
            digest_in_tokens(certificate, places * 2),
        }
        assert len(digests) == 5
        assert None not in digests
        assert digest_in_tokens(tmp_path / "missing.pem", places) is None

    def test_known_one_is_only_compared_with_the_clock(self, tmp_path: Path) -> None:
        known = self.examined(tmp_path).credential
        assert known is not None
        again = reexamine_in_tokens(known, tmp_path / "elsewhere.pem", self.places(), NOW)
        assert again.credential is not None
        assert again.credential.certificate_path == tmp_path / "elsewhere.pem"
        assert again.credential.key is not known.key
        late = reexamine_in_tokens(known, tmp_path / "chat.pem", self.places(), NOW + timedelta(days=10_000))
        assert (late.credential, len(late.errors)) == (None, 1)
