"""How a route finds out who may use it."""

from proxy.auth.basic import BasicCredentials, challenge
from proxy.auth.page_tokens import PageTokens
from proxy.auth.rules import (
    AuthRule,
    BasicRule,
    TokenRule,
    VerifiedCredentials,
    WrongTokens,
    identity_names,
    user_grant,
)
from proxy.auth.users import parse_users
from tests.proxy.auth.test_password_hash import argon2

ADA = BasicCredentials("ada", b"secret")


def test_right_credentials_are_remembered_for_five_minutes() -> None:
    memory = VerifiedCredentials(bytes(32))
    digest = memory.digest(ADA)
    assert not memory.has(digest, 0.0)
    memory.add(digest, 0.0)
    assert memory.has(digest, 299.9)
    assert not memory.has(digest, 300.0)
    assert not memory.has(digest, 0.0)  # it is forgotten


def test_other_credentials_and_other_keys_have_other_digests() -> None:
    memory = VerifiedCredentials(bytes(32))
    others = [("ada", b"Secret"), ("adas", b"ecret"), ("ada", b"secret ")]
    digests = {memory.digest(BasicCredentials(*one)) for one in others}
    assert len(digests) == 3
    assert memory.digest(ADA) not in digests
    assert memory.digest(ADA) != VerifiedCredentials(b"k" * 32).digest(ADA)


def test_the_oldest_give_way() -> None:
    memory = VerifiedCredentials(bytes(32))
    for number in range(257):
        memory.add(b"%d" % number, 0.0)
    assert not memory.has(b"0", 1.0)
    assert memory.has(b"1", 1.0)
    assert repr(memory) == "<VerifiedCredentials: 256>"


USERS = parse_users(f"ada:{argon2()}".encode())


def test_guesses_of_a_client_are_few_and_each_route_counts_its_own() -> None:
    one = BasicRule.of(USERS, challenge("x"), "chat.test/", bytes(32))
    other = BasicRule.of(USERS, challenge("x"), "chat.test/admin", bytes(32))
    assert one.rate.key != other.rate.key
    assert one.rate.is_per_client
    assert (one.rate.rate.interval, one.rate.rate.tolerance) == (2.0, 18.0)


def test_credentials_say_nothing_that_the_application_does_not_verify() -> None:
    names = frozenset({b"x-user", b"authorization", b"cookie"})
    assert identity_names(AuthRule("sso", b"/", names, 5.0)) == {b"x-user"}
    assert identity_names(BasicRule.of(USERS, challenge("x"), "chat.test/", bytes(32))) == {b"x-forwarded-user"}


def test_server_learns_the_name_and_not_the_password() -> None:
    grant = user_grant("ada")
    assert grant.added == ((b"X-Forwarded-User", b"ada"),)
    assert grant.removed == {b"authorization", b"x-forwarded-user"}


def test_wrong_tokens_are_few_and_tell_the_page_nothing() -> None:
    rule = TokenRule.of(PageTokens([bytes(32)]), "ops.test/")
    assert rule.rate.is_per_client
    assert (rule.rate.rate.interval, rule.rate.rate.tolerance) == (2.0, 18.0)
    assert identity_names(rule) == frozenset()


def test_wrong_tokens_are_told_of_once_a_minute() -> None:
    wrong = WrongTokens()
    assert [wrong.add(now) for now in (0.0, 1.0, 59.9, 60.0, 61.0, 120.0)] == [1, None, None, 3, None, 2]
