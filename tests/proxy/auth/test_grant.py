"""What a server learns about a client: never what the client says itself."""

import pytest

from proxy.auth.grant import Grant, copied
from proxy.http.fields import sort_request_fields

NAMES = frozenset({b"x-user"})


def granted(*sent: tuple[bytes, bytes], grant: Grant) -> list[tuple[bytes, bytes]]:
    fields = grant.applied(sort_request_fields(sent))
    return [*fields.forwarded, *fields.claims]


@pytest.mark.parametrize("name", [b"X-User", b"x-user", b"X_User", b"x.USER", b"X!user"])
def test_forged_field_never_passes_in_any_spelling(name: bytes) -> None:
    told = copied([(b"x-user", b"ada"), (b"x-other", b"1")], NAMES)
    assert granted((name, b"root"), (b"Accept", b"*/*"), grant=told) == [(b"Accept", b"*/*"), (b"x-user", b"ada")]


def test_field_that_the_answer_lacks_is_removed_all_the_same() -> None:
    assert granted((b"X-User", b"root"), grant=copied([], NAMES)) == []


def test_claims_of_trusted_peers_are_replaced_too() -> None:
    grant = Grant(frozenset({b"x-forwarded-user"}), ((b"X-Forwarded-User", b"ada"),))
    sent = ((b"X-Forwarded-User", b"root"), (b"X-Forwarded-For", b"192.0.2.1"))
    assert granted(*sent, grant=grant) == [(b"X-Forwarded-User", b"ada"), (b"X-Forwarded-For", b"192.0.2.1")]


def test_grant_tells_whether_it_changes_anything() -> None:
    ordinary, claimed = ((name, b"v") for name in (b"Accept", b"X-Forwarded-User"))
    assert not Grant(NAMES).changes(sort_request_fields([ordinary, claimed]))
    assert Grant(NAMES).changes(sort_request_fields([ordinary, (b"x_user", b"root")]))
    assert Grant(frozenset({b"x-forwarded-user"})).changes(sort_request_fields([claimed]))
    assert Grant(NAMES, ((b"X-User", b"ada"),)).changes(sort_request_fields([]))


def test_grant_may_remove_what_another_one_removes() -> None:
    grant = copied([(b"X-User", b"ada")], NAMES).beside(Grant(frozenset({b"x-mail"})))
    assert granted((b"X-User", b"root"), (b"X_Mail", b"root"), grant=grant) == [(b"X-User", b"ada")]


def test_several_lines_of_the_answer_are_all_copied() -> None:
    told = copied([(b"X-User", b"a"), (b"X-User", b"b")], NAMES)
    assert told.added == ((b"X-User", b"a"), (b"X-User", b"b"))
