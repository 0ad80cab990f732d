"""How a route finds out who may use it: an authorization server, passwords, or tokens."""

import hmac
from dataclasses import dataclass
from typing import Final, TypeAlias

from proxy.auth.basic import BasicCredentials
from proxy.auth.grant import Grant
from proxy.auth.page_tokens import PageTokens
from proxy.auth.users import Users
from proxy.limits.request_rates import RequestRate

_SECONDS: Final = 300.0
_MOST: Final = 256


class VerifiedCredentials:
    """Credentials that were right a short while ago, of one route in one process.

    A browser sends the password with each request, and one verification takes tens of milliseconds
    of a core. So a right password is verified once in `_SECONDS`. The memory holds no password:
    only a keyed digest, and the key is made for this memory.
    """

    def __init__(self, key: bytes) -> None:
        """`key` has 32 random octets."""
        self._key: Final = key
        self._until: dict[bytes, float] = {}

    def __repr__(self) -> str:
        return f"<VerifiedCredentials: {len(self._until)}>"

    def digest(self, credentials: BasicCredentials) -> bytes:
        """The name under which these credentials are remembered."""
        name = credentials.name.encode()
        return hmac.digest(self._key, b"%d:%b%b" % (len(name), name, credentials.password), "sha256")

    def has(self, digest: bytes, now: float) -> bool:
        """Whether they were found right, not too long ago. `now` is in seconds of any clock."""
        until = self._until.get(digest)
        if until is None:
            return False
        if until <= now:
            del self._until[digest]
            return False
        return True

    def add(self, digest: bytes, now: float) -> None:
        """They are right. The oldest ones give way."""
        while len(self._until) >= _MOST:
            del self._until[next(iter(self._until))]
        self._until[digest] = now + _SECONDS


_GUESSES_PER_SECOND: Final = 0.5
_GUESSES_AT_ONCE: Final = 10
"""A person mistypes a few times. A program that guesses gets 43,000 guesses a day of an address."""
_QUIET_SECONDS: Final = 60.0
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


class WrongTokens:
    """Counts wrong tokens, so that the log has a line a minute and not one for each."""

    def __init__(self) -> None:
        self._count = 0
        self._told_at = -_QUIET_SECONDS

    def add(self, now: float) -> int | None:
        """Count one. Returns how many there were since the last line if it is time for another."""
        self._count += 1
        if now < self._told_at + _QUIET_SECONDS:
            return None
        count, self._count, self._told_at = self._count, 0, now
        return count


@dataclass(frozen=True, slots=True)
class TokenRule:
    """Ask the client for a token of the admin page."""

    tokens: PageTokens
    rate: RequestRate
    """How many wrong tokens a client may show. A right one is let in anyway."""
    wrong: WrongTokens

    @classmethod
    def of(cls, tokens: PageTokens, label: str) -> "TokenRule":
        rate = RequestRate.of(f"token\0{label}", _GUESSES_PER_SECOND, _GUESSES_AT_ONCE, is_per_client=True)
        return cls(tokens, rate, WrongTokens())


Rule: TypeAlias = AuthRule | BasicRule | TokenRule


def identity_names(rule: Rule) -> frozenset[bytes]:
    """Fields that tell the application who the client is (`plain_name`), but not credentials."""
    if isinstance(rule, TokenRule):
        return frozenset()
    return (rule.copied if isinstance(rule, AuthRule) else frozenset({_USER.lower()})) - _CREDENTIALS


def user_grant(name: str) -> Grant:
    """What the server learns about a user: the name, and not the password."""
    return Grant(_DECIDED, ((_USER, name.encode("ascii")),))
