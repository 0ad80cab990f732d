"""Which names are secret without a mark."""

from proxy.http2.hpack.never_indexed import NO_NAMES, SECRET_NAMES, with_copies


def test_credentials_are_secret() -> None:
    assert {b"authorization", b"cookie", b"set-cookie"} <= SECRET_NAMES
    assert frozenset() == NO_NAMES


def test_what_repeats_a_marked_field_is_marked_too() -> None:
    hosts = {b"forwarded", b"x-forwarded-host"}
    assert with_copies(frozenset({b":authority", b"x-key"})) == {b":authority", b"x-key", *hosts}
    assert with_copies(frozenset({b"host"})) == {b"host", b":authority", *hosts}
    assert with_copies(frozenset({b":path"})) == {b":path", b"x-forwarded-uri"}
    assert with_copies(frozenset({b"x-key"})) == {b"x-key"}
