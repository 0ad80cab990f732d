"""Several CAs in order, and what is said when none of them gives a certificate."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from certs.acme.fallback import FallbackIssuer
from certs.issuing.issuer import FailureKind, Issued, IssueFailed, IssueRequest, RenewalWindow
from certs.keys.signing_key import KeyAlgorithm, KeyFamily
from tests.acme_directory import _root

if TYPE_CHECKING:
    from cryptography import x509

ROOT = _root(ec.generate_private_key(ec.SECP256R1()))
REQUEST = IssueRequest(("a.test",), b"csr")
WINDOW = RenewalWindow(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
K = FailureKind


@dataclass
class Ca:
    """Answers as the test says."""

    name: str
    failure: IssueFailed | None = None
    window: RenewalWindow | None = None
    roots: "tuple[x509.Certificate, ...]" = ()
    asked: list[IssueRequest] = field(default_factory=list)

    def signs(self, algorithm: KeyAlgorithm) -> bool:
        return algorithm.family.value == self.name

    def issue(self, request: IssueRequest) -> Issued:
        self.asked.append(request)
        if self.failure is not None:
            raise self.failure
        return Issued(self.name.encode())

    def renewal_window(self, leaf: "x509.Certificate") -> RenewalWindow | None:
        assert leaf is ROOT
        if self.failure is not None:
            raise self.failure
        return self.window


def failing(name: str, kind: FailureKind, retry_after: float | None = None) -> Ca:
    return Ca(name, IssueFailed(kind, f"{name} failed", retry_after))


def test_next_one_is_asked_only_when_the_one_before_fails() -> None:
    first, second = Ca("first"), Ca("second")
    issuer = FallbackIssuer([first, second])
    assert issuer.issue(REQUEST).chain_pem == b"first"
    assert second.asked == []
    first.failure = IssueFailed(K.PERMANENT, "no")
    assert issuer.issue(REQUEST).chain_pem == b"second"
    assert second.asked == [REQUEST]
    assert issuer.name == "first"


@pytest.mark.parametrize(
    ("kinds", "kind", "retry_after"),
    [
        ([(K.PERMANENT, None), (K.TEMPORARY, 7.0)], K.TEMPORARY, None),
        ([(K.RATE_LIMITED, 60.0), (K.RATE_LIMITED, 30.0)], K.RATE_LIMITED, 30.0),
        ([(K.RATE_LIMITED, 60.0), (K.RATE_LIMITED, None)], K.RATE_LIMITED, None),
        ([(K.RATE_LIMITED, 60.0), (K.PERMANENT, None)], K.RATE_LIMITED, 60.0),
        ([(K.PERMANENT, None), (K.PERMANENT, None)], K.PERMANENT, None),
    ],
)
def test_asking_again_depends_on_whoever_may_be_asked_first(
    kinds: list[tuple[FailureKind, float | None]], kind: FailureKind, retry_after: float | None
) -> None:
    issuer = FallbackIssuer([failing(str(number), *one) for number, one in enumerate(kinds)])
    with pytest.raises(IssueFailed, match=r"^0 failed; 1 failed$") as caught:
        issuer.issue(REQUEST)
    assert (caught.value.kind, caught.value.retry_after) == (kind, retry_after)


def test_window_comes_from_whoever_knows_the_certificate() -> None:
    assert FallbackIssuer([Ca("a"), Ca("b", window=WINDOW)]).renewal_window(ROOT) is WINDOW
    assert FallbackIssuer([failing("a", K.TEMPORARY), Ca("b", window=WINDOW)]).renewal_window(ROOT) is WINDOW
    assert FallbackIssuer([Ca("a"), Ca("b")]).renewal_window(ROOT) is None
    with pytest.raises(IssueFailed, match=r"^a failed$"):
        FallbackIssuer([failing("a", K.TEMPORARY), Ca("b")]).renewal_window(ROOT)


@dataclass
class RevokingCa(Ca):
    """Revokes, unless it fails."""

    revoked: int = 0

    def revoke(self, leaf: "x509.Certificate") -> None:
        assert leaf is ROOT
        if self.failure is not None:
            raise self.failure
        self.revoked += 1


def test_revocation_goes_to_whoever_takes_it() -> None:
    foreign, own = RevokingCa("a", IssueFailed(K.TEMPORARY, "not mine")), RevokingCa("b")
    FallbackIssuer([Ca("other"), foreign, own]).revoke(ROOT)
    assert own.revoked == 1
    with pytest.raises(IssueFailed, match=r"^not mine$"):
        FallbackIssuer([foreign]).revoke(ROOT)


def test_it_signs_what_the_first_one_signs_and_trusts_all_roots() -> None:
    issuer = FallbackIssuer([Ca("ecdsa", roots=(ROOT,)), Ca("rsa", roots=(ROOT, ROOT))])
    assert issuer.signs(KeyAlgorithm(KeyFamily.ECDSA, 256))
    assert not issuer.signs(KeyAlgorithm(KeyFamily.RSA, 2_048))
    assert len(issuer.roots) == 3
