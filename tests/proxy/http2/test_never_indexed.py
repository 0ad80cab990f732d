"""Which names are secret without a mark."""

from proxy.http2.never_indexed import NO_NAMES, SECRET_NAMES


def test_credentials_are_secret() -> None:
    assert {b"authorization", b"cookie", b"set-cookie"} <= SECRET_NAMES
    assert frozenset() == NO_NAMES
