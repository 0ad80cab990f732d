"""What is wrong with a key in a token. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unusable:
    """What is wrong with a key: a clause that begins with "which" or "whose", and how to mend it.

    `may_pass`: the token does not answer, or is not there, which says nothing about the configuration. `is_expected`: the parent
    knows, and serves all the same.
    """

    found: str
    allowed: str
    may_pass: bool = False
    is_expected: bool = False
