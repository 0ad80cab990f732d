"""The internal authority behind the seam."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from certs.homes.software_homes import FileHome
from certs.issuing.internal_ca.authority import InternalAuthority
from certs.issuing.issuer import FailureKind, IssueFailed, Issuer, IssueRequest
from certs.keys.generating import ALGORITHMS, digest_for, generate
from certs.keys.home import HomeFailed
from certs.keys.signing_key import KeyAlgorithm, KeyFamily
from certs.storage.disk import Disk
from certs.storage.store import Store
from config.tables.rotation import InternalIssuerConfig
from tests.certs.authority import DAY, NOW
from tests.certs.crashes import crashes
from tests.certs.fake_token import FakeToken


class Clock:
    now = NOW

    def __call__(self) -> datetime:
        return self.now


def authority(
    directory: Path,
    clock: Clock | None = None,
    token: FakeToken | None = None,
    disk: Disk | None = None,
    **settings: Any,
) -> InternalAuthority:
    """An authority in a directory."""
    root_key = settings.pop("moved", None)
    homes = settings.pop("homes", {"file": FileHome(), "plexi": token or FakeToken()})
    return InternalAuthority(
        "internal",
        InternalIssuerConfig.model_validate(settings),
        Store(directory, disk or Disk()),
        homes,
        root_key,
        clock or Clock(),
    )


def request(kind: str = "ec-p256", names: tuple[str, ...] = ("chat.test",)) -> IssueRequest:
    """A request with a new key."""
    key = generate(ALGORITHMS[kind])
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, digest_for(key))
    return IssueRequest(names, csr.public_bytes(Encoding.DER))


def issued(issuer: Issuer, kind: str = "ec-p256") -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(issuer.issue(request(kind)).chain_pem)


@pytest.mark.parametrize("kind", [one for one in ALGORITHMS if one != "rsa-4096"])
def test_each_kind_of_key_is_certified(tmp_path: Path, kind: str) -> None:
    issuer = authority(tmp_path)
    leaf, intermediate = issued(issuer, kind)
    (root,) = issuer.roots
    leaf.verify_directly_issued_by(intermediate)
    intermediate.verify_directly_issued_by(root)
    assert leaf.not_valid_after_utc == NOW + 7 * DAY
    assert issuer.renewal_window(leaf) is None
    assert issuer.name == "internal"


def test_root_and_intermediate_are_made_once(tmp_path: Path) -> None:
    first, second = authority(tmp_path), authority(tmp_path)
    assert issued(first)[1] == issued(second)[1]
    assert first.roots == second.roots == authority(tmp_path).roots


def test_other_keys_are_not_certified(tmp_path: Path) -> None:
    issuer = authority(tmp_path)
    assert not issuer.signs(KeyAlgorithm(KeyFamily.ECDSA, 521))
    key = ec.generate_private_key(ec.SECP521R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, digest_for(key))
    with pytest.raises(IssueFailed, match="this CA does not certify") as caught:
        issuer.issue(IssueRequest(("a.test",), csr.public_bytes(Encoding.DER)))
    assert caught.value.kind is FailureKind.PERMANENT


def test_a_csr_that_its_key_did_not_sign_is_refused(tmp_path: Path) -> None:
    good = request().csr_der
    for bad in (b"", good[:-1] + bytes([good[-1] ^ 1])):
        with pytest.raises(IssueFailed, match="a CSR that is damaged"):
            authority(tmp_path).issue(IssueRequest(("a.test",), bad))


def test_names_that_are_not_permitted_are_refused(tmp_path: Path) -> None:
    with pytest.raises(IssueFailed, match=r"may not certify other.org \(only example.org\)") as caught:
        authority(tmp_path, names=["example.org"]).issue(request(names=("a.example.org", "other.org")))
    assert caught.value.kind is FailureKind.PERMANENT


@pytest.mark.parametrize("change", [{"key": "ec-p256@plexi"}, {"names": ["chat.test"]}])
def test_a_changed_intermediate_is_made_anew(tmp_path: Path, change: Mapping[str, Any]) -> None:
    token = FakeToken()
    before = issued(authority(tmp_path))[1]
    after = issued(authority(tmp_path, token=token, **change))[1]
    assert before != after
    assert after == issued(authority(tmp_path, token=token, **change))[1]


def test_an_intermediate_is_replaced_before_it_ends(tmp_path: Path) -> None:
    clock = Clock()
    before = issued(authority(tmp_path, clock))[1]
    clock.now = NOW + 200 * DAY
    assert issued(authority(tmp_path, clock))[1] == before
    clock.now = NOW + 250 * DAY
    issuer = authority(tmp_path, clock)
    after = issued(issuer)[1]
    assert after != before
    assert len([one for one in issuer.intermediate_shelf.versions() if one.has_key]) == 2  # for lists of revocations
    clock.now = NOW + 366 * DAY
    issuer.recover()
    assert len([one for one in issuer.intermediate_shelf.versions() if one.has_key]) == 1


def test_an_intermediate_of_a_clock_that_was_ahead_is_replaced_when_that_is_right_again(tmp_path: Path) -> None:
    clock = Clock()
    before = issued(authority(tmp_path, clock))[1]
    clock.now = NOW + 400 * DAY
    ahead = issued(authority(tmp_path, clock))[1]
    assert ahead != before
    clock.now = NOW + DAY
    after = issued(authority(tmp_path, clock))[1]
    assert after.not_valid_before_utc <= clock.now
    moved(authority(tmp_path, clock), tmp_path / "root.key")
    clock.now = NOW - DAY
    with pytest.raises(IssueFailed, match="name its file in"):
        issued(authority(tmp_path, clock))


def moved(issuer: InternalAuthority, path: Path) -> None:
    """Take the root's key away."""
    kept = issuer.root_version().kept_path
    kept.rename(path)


def test_the_key_of_the_root_may_be_away(tmp_path: Path) -> None:
    clock = Clock()
    issuer = authority(tmp_path / "state", clock)
    before = issued(issuer)[1]
    away = tmp_path / "root.key"
    moved(issuer, away)
    assert issued(issuer)[1] == before
    clock.now = NOW + 300 * DAY
    assert issued(issuer)[1] == before  # late, but good enough
    clock.now = NOW + 363 * DAY
    with pytest.raises(IssueFailed, match="name its file in") as caught:
        issued(issuer)
    assert caught.value.kind is FailureKind.PERMANENT
    assert issued(authority(tmp_path / "state", clock, moved=away))[1] != before
    other = authority(tmp_path / "other", clock)
    assert other.roots
    moved(other, away)
    clock.now += 363 * DAY
    with pytest.raises(IssueFailed, match="root_key"):
        issued(authority(tmp_path / "state", clock, moved=away))


def test_what_goes_wrong_is_told_as_the_seam_has_it(tmp_path: Path) -> None:
    token = FakeToken(error=HomeFailed("plexi", "the token is gone"))
    with pytest.raises(IssueFailed, match="the token is gone") as caught:
        issued(authority(tmp_path, token=token, key="ec-p384@plexi"))
    assert caught.value.kind is FailureKind.TEMPORARY
    with pytest.raises(IssueFailed, match="no such place"):
        issued(authority(tmp_path, key="ec-p384@elsewhere"))
    issuer = authority(tmp_path / "second")
    issued(issuer)
    (issuer.root_version().chain_path).write_bytes(b"rubbish")
    with pytest.raises(IssueFailed, match="not a certificate") as caught:
        _ = issuer.roots
    assert caught.value.kind is FailureKind.PERMANENT


def test_each_crash_is_recovered_from(in_memory: Path) -> None:
    tokens: dict[Path, FakeToken] = {}

    def work(place: Path, disk: Disk) -> None:
        issuer = authority(
            place, token=tokens.setdefault(place, FakeToken()), disk=disk, key="ec-p256@plexi", root="ec-p256@plexi"
        )
        issuer.recover()
        issuer.revoke(issued(issuer)[0])

    count = 0
    for _, place in crashes(work, in_memory):
        count += 1
        issuer = authority(place, token=tokens[place], key="ec-p256@plexi", root="ec-p256@plexi")
        issuer.recover()
        issuer.revoke(issued(issuer)[0])
        assert len(tokens[place].keys) == 2, "a key was left behind in the token"
        assert len(issuer.roots) == 1
    assert count > 50
