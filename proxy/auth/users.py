"""A file of users: NAME:HASH on each line. Pure.

The file looks like an htpasswd file. Its hashes are other ones, see `password_hash`.
"""

import re
from collections.abc import Mapping
from typing import Final

from proxy.auth.password_hash import HashRefused, PasswordHash, parse_hash

# A name goes into a field for the server and into the log. RFC 7617 section 2 forbids the colon.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
NAMES: Final = "a name of up to 64 ASCII letters, digits and . _ @ + -"
_MOST_USERS: Final = 1_000


class UsersRefused(Exception):
    """A file of users that cannot be used. The sentences contain no hash."""

    def __init__(self, found: str, allowed: str) -> None:
        super().__init__(found, allowed)
        self.found = found
        self.allowed = allowed


class Users:
    """Names, and the hashes of their passwords."""

    def __init__(self, hashes: Mapping[str, PasswordHash]) -> None:
        self._hashes: Final = dict(hashes)
        self._costliest: Final = max(hashes.values(), key=lambda one: one.work)

    def __repr__(self) -> str:
        return f"<Users: {len(self._hashes)}>"

    def __len__(self) -> int:
        return len(self._hashes)

    def accepts(self, name: str, password: bytes) -> bool:
        """Whether the password is that of the name. Takes tens of milliseconds, also for an unknown
        name, so that time tells nothing.
        """
        found = self._hashes.get(name)
        is_right = (self._costliest if found is None else found).matches(password)
        return is_right and found is not None


def is_user_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def parse_users(content: bytes) -> Users:
    """Read a file of users, without empty lines and # comments. Raises `UsersRefused`."""
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError:
        raise UsersRefused("octets that are not ASCII", "lines of NAME:HASH in ASCII") from None
    hashes: dict[str, PasswordHash] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            name, one = _user(number, line)
            if name in hashes:
                raise UsersRefused(f"line {number} with a name that stands above", "each name once")
            hashes[name] = one
    if not hashes:
        raise UsersRefused("no user", "one line at least, which `plexigate password NAME` writes")
    if len(hashes) > _MOST_USERS:
        raise UsersRefused(f"{len(hashes)} users", f"at most {_MOST_USERS:_}: an authorization server holds more")
    return Users(hashes)


def _user(number: int, line: str) -> tuple[str, PasswordHash]:
    name, colon, encoded = line.partition(":")
    if not colon or not is_user_name(name):
        raise UsersRefused(f"line {number} without a name", f"NAME:HASH, with {NAMES}")
    try:
        return name, parse_hash(encoded)
    except HashRefused as error:
        raise UsersRefused(f"line {number} with {error.found}", error.allowed) from None
