"""The seam shows nothing of what goes through it."""

import pytest

from certs.issuing.issuer import FailureKind, Issued, IssueFailed, IssueRequest


def test_failure_is_told_by_its_detail() -> None:
    failure = IssueFailed(FailureKind.RATE_LIMITED, "too many certificates for example.org", 3_600.0)
    assert str(failure) == "too many certificates for example.org"
    assert failure.retry_after == 3_600.0


@pytest.mark.parametrize("shown", [IssueRequest(("a.test",), b"csr", b"leaf"), Issued(b"chain")])
def test_content_is_not_shown(shown: object) -> None:
    assert not {"csr", "leaf", "chain"} & set(repr(shown).replace("b'", "").split("'"))
    assert "b'" not in repr(shown)
