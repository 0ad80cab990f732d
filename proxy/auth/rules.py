"""How a route finds out who may use it: by an authorization server, or by passwords."""

from dataclasses import dataclass
from typing import Final, TypeAlias

from proxy.auth.grant import Grant
from proxy.auth.users import Users
from proxy.auth.verified import VerifiedCredentials
from proxy.limits.requests import RequestRate

_GUESSES_PER_SECOND: Final = 0.5
_GUESSES_AT_ONCE: Final = 10
"""A person mistypes a few times. A program that guesses gets 43,000 guesses a day of an address."""
_USER: Final = b"X-Forwarded-User"
_DECIDED: Final = frozenset({b"authorization", b"x-forwarded-user"})
_CREDENTIALS: Final = frozenset({b"authorization", b"cookie"})


@dataclass(frozen=True, slots=True)
class AuthRule:
    """Ask an upstream about each request."""

    upstream: str
    path: bytes
    """The target of the question, in origin-form."""
    copied: frozenset[bytes]
    """The fields of the answer that the server gets, in the form of `plain_name`."""
    seconds: float
    """How long the answer may take."""


@dataclass(frozen=True, slots=True)
class BasicRule:
    """Ask the client for a name and a password (RFC 7617)."""

    users: Users
    challenge: bytes
    """The field line of a 401."""
    rate: RequestRate
    """How often a client may have a password verified."""
    verified: VerifiedCredentials

    @classmethod
    def of(cls, users: Users, challenge: bytes, label: str, key: bytes) -> "BasicRule":
        """For the route with this label. `key` has 32 random octets."""
        rate = RequestRate.of(f"basic\0{label}", _GUESSES_PER_SECOND, _GUESSES_AT_ONCE, is_per_client=True)
        return cls(users, challenge, rate, VerifiedCredentials(key))


Rule: TypeAlias = AuthRule | BasicRule


def identity_names(rule: Rule) -> frozenset[bytes]:
    """By which fields the application learns who the client is, in the form of `plain_name`.

    Credentials are not among them: an application that takes them verifies them itself.
    """
    return (rule.copied if isinstance(rule, AuthRule) else frozenset({_USER.lower()})) - _CREDENTIALS


def user_grant(name: str) -> Grant:
    """What the server learns about a user: the name, and not the password."""
    return Grant(_DECIDED, ((_USER, name.encode("ascii")),))
