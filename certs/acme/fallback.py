"""Several CAs in order: when one cannot issue a certificate, the next is asked."""

from collections.abc import Sequence

from cryptography import x509

from certs.issuing.issuer import FailureKind, Issued, IssueFailed, Issuer, IssueRequest, RenewalWindow, Revoker
from certs.keys.signing_key import KeyAlgorithm


class FallbackIssuer:
    """An `Issuer` (see `issuing.issuer`) under the name of the first of several."""

    def __init__(self, issuers: Sequence[Issuer]) -> None:
        """`issuers` has at least one; each further one is asked only if those before it failed."""
        self._issuers = tuple(issuers)

    @property
    def name(self) -> str:
        """The name of the first issuer."""
        return self._issuers[0].name

    @property
    def roots(self) -> tuple[x509.Certificate, ...]:
        """The roots of all issuers; empty if all use the system's (a mixture is refused)."""
        return tuple(root for issuer in self._issuers for root in issuer.roots)

    def signs(self, algorithm: KeyAlgorithm) -> bool:
        """Whether the first issuer signs such keys: the others only replace it."""
        return self._issuers[0].signs(algorithm)

    def issue(self, request: IssueRequest) -> Issued:
        """Ask the issuers in order. Raises `IssueFailed`, retryable if one of them is."""
        failures: list[IssueFailed] = []
        for issuer in self._issuers:
            try:
                return issuer.issue(request)
            except IssueFailed as failure:
                failures.append(failure)
        raise _together(failures)

    def renewal_window(self, leaf: x509.Certificate) -> RenewalWindow | None:
        """The window from the issuer that knows the certificate.

        Raises `IssueFailed` if no issuer knows it and one of them could not be asked.
        """
        failures: list[IssueFailed] = []
        for issuer in self._issuers:
            try:
                window = issuer.renewal_window(leaf)
            except IssueFailed as failure:
                failures.append(failure)
            else:
                if window is not None:
                    return window
        if failures:
            raise _together(failures)
        return None

    def revoke(self, leaf: x509.Certificate) -> None:
        """Have a certificate revoked by the CA that issued it. Raises `IssueFailed`."""
        failures: list[IssueFailed] = []
        for issuer in self._issuers:
            if isinstance(issuer, Revoker):
                try:
                    issuer.revoke(leaf)
                except IssueFailed as failure:
                    failures.append(failure)
                else:
                    return
        raise _together(failures)


def _together(failures: Sequence[IssueFailed]) -> IssueFailed:
    detail = "; ".join(one.detail for one in failures)
    kinds = {one.kind for one in failures}
    if FailureKind.TEMPORARY in kinds:
        return IssueFailed(FailureKind.TEMPORARY, detail)
    if FailureKind.RATE_LIMITED in kinds:
        limited = [one for one in failures if one.kind is FailureKind.RATE_LIMITED]
        waits = [one.retry_after for one in limited if one.retry_after is not None]
        # one that named no time may be asked again by the table
        return IssueFailed(FailureKind.RATE_LIMITED, detail, min(waits) if len(waits) == len(limited) else None)
    return IssueFailed(FailureKind.PERMANENT, detail)
