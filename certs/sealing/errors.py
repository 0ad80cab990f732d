"""Errors when a sealed document is opened.

SealingError
  NotSealed       no envelope, or one of a later version
  OtherKey        sealed with a key that is not here
  PreviousKey       opened by a key whose time is over
  OtherLabel      sealed for another purpose
  Tampered        changed after it was sealed
  KeyUnavailable  the key cannot be used now
    KeyAway       as its token is unavailable
"""

from datetime import datetime


class SealingError(Exception):
    """Something that could not be sealed or opened; `reason` is a clause that follows the name of
    the thing, without a secret.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotSealed(SealingError):
    """The bytes are no envelope."""


class OtherKey(SealingError):
    """The envelope names a sealing key that is not here."""

    def __init__(self, named: bytes, here: tuple[bytes, ...]) -> None:
        ours = " or ".join(key.hex() for key in here)
        super().__init__(f"is sealed with the key {named.hex()}; the sealing key here is {ours}")
        self.named = named


class PreviousKey(SealingError):
    """The sealing key was replaced, and the time in which it still opens is over."""

    def __init__(self, until: datetime, newest: str) -> None:
        super().__init__(
            f"was to be opened by a sealing key that was replaced, until {until:%Y-%m-%d %H:%M} UTC, by {newest}"
        )
        self.newest = newest


class OtherLabel(SealingError):
    """The envelope is for another purpose."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f'is sealed as "{found}"; it must be sealed as "{expected}"')
        self.found = found
        self.expected = expected


class Tampered(SealingError):
    """The envelope is not what was sealed."""

    def __init__(self) -> None:
        super().__init__("was changed or damaged after it was sealed; restore it from a backup, or make it again")


class KeyUnavailable(SealingError):
    """The sealing key cannot be used now: its token is gone, busy or logged out."""

    def __init__(self, reason: str, cause: Exception | None = None) -> None:
        """`cause` is an error of the file that the key should open, or of the file of the key; None
        for one of a key in a token.
        """
        super().__init__(f"cannot be sealed or opened now: {reason}")
        self.why = reason
        self.cause = cause


class KeyAway(KeyUnavailable):
    """The token of the sealing key is absent, does not answer or refuses logins: not an error of
    the configuration.
    """
