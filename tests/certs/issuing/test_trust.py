"""What chains have to end in: an issuer's own roots, or those of the system."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.issuing.internal_ca.profiles import IssuerKey, intermediate_certificate, root_certificate
from certs.issuing.issuer import FailureKind, IssueFailed
from certs.issuing.trust import NoTrustStore, system_trust, trust_of
from certs.keys.generating import ALGORITHMS, generate
from tests.certs.authority import DAY, NOW
from tests.rotations import Rotations

KEY, INTERMEDIATE_KEY = (generate(ALGORITHMS["ec-p256"]) for _ in range(2))
ROOT, OTHER = (root_certificate(name, KEY, NOW) for name in ("root", "other"))
INTERMEDIATE = intermediate_certificate("i", INTERMEDIATE_KEY.public_key(), IssuerKey(ROOT, KEY), NOW + DAY, (), NOW)


class Store:
    """The system's, as OpenSSL is told by its environment."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file = directory / "bundle.pem"
        self.directory = directory / "certs"
        self.directory.mkdir()
        monkeypatch.setenv("SSL_CERT_FILE", str(self.file))
        monkeypatch.setenv("SSL_CERT_DIR", f"{self.directory}:{directory / 'missing'}")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    return Store(tmp_path, monkeypatch)


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def test_roots_are_found_in_the_file(store: Store) -> None:
    store.file.write_bytes(b"# comment\n" + pem(OTHER, ROOT))
    assert system_trust([INTERMEDIATE]).roots == (ROOT,)
    assert str(store.file) in system_trust().place


def test_roots_are_found_in_the_directory_under_the_names_that_openssl_looks_for(store: Store) -> None:
    (store.directory / "0123abcd.0").write_bytes(pem(OTHER))
    (store.directory / "0123abcd.1").write_bytes(pem(ROOT))
    (store.directory / "0123abcd.2").mkdir()
    (store.directory / "root.pem").write_bytes(pem(INTERMEDIATE))
    assert system_trust([INTERMEDIATE]).roots == (ROOT,)


def test_a_root_is_one_also_where_it_stands_twice(store: Store) -> None:
    store.file.write_bytes(pem(ROOT))
    (store.directory / "0123abcd.0").write_bytes(pem(ROOT))
    assert system_trust([INTERMEDIATE, ROOT]).roots == (ROOT,)


def test_what_cannot_be_read_is_passed_over(store: Store) -> None:
    rubbish = b"-----BEGIN CERTIFICATE-----\nAAAAA\n-----END CERTIFICATE-----\n"
    trusted = pem(OTHER).replace(b"BEGIN CERT", b"BEGIN TRUSTED CERT")
    store.file.write_bytes(rubbish + trusted + pem(ROOT))
    assert system_trust([INTERMEDIATE]).roots == (ROOT,)


def test_a_machine_without_roots_is_told_where_they_were_looked_for(store: Store) -> None:
    with pytest.raises(NoTrustStore) as refused:
        system_trust()
    assert str(store.file) in str(refused.value)
    assert str(store.directory) in str(refused.value)


def test_an_issuer_with_roots_of_its_own_needs_no_others(store: Store, tmp_path: Path) -> None:
    moody = Rotations(tmp_path).moody
    trust = trust_of(moody)
    assert (trust.roots, trust.place) == (moody.roots, "the roots of issuer internal")
    assert not store.file.exists()


class Public:
    """As much of an issuer as is asked: one whose chains end in what the system trusts."""

    name = "le"
    roots = ()


def test_an_issuer_without_roots_has_those_of_the_system(store: Store) -> None:
    with pytest.raises(
        IssueFailed, match=r"le: the system has no trusted roots in .*set issuer\.le\.root_file"
    ) as refused:
        trust_of(Public())  # type: ignore[arg-type]
    assert refused.value.kind is FailureKind.PERMANENT
    store.file.write_bytes(pem(ROOT))
    trust = trust_of(Public(), [INTERMEDIATE])  # type: ignore[arg-type]
    assert trust.roots == (ROOT,)
    assert trust.place.endswith("for a CA of your own set issuer.le.root_file to its root")
