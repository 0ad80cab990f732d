"""What is wrong with keys in tokens, and what that means for an identity: one rule for `check`, a
start and a reload. Pure.

What can serve serves, and says what it lacks: a key that is lost, locked up or wrong is a warning
while another key of its identity signs. Only an identity that no key could serve is refused. Where
its tokens are away for the moment, a proxy that starts goes on without them, as the parent has
found out and waits for them; a person who checks or reloads is told that it would not serve.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from config.problems import Severity


@dataclass(frozen=True, slots=True)
class Unusable:
    """What is wrong with a key: a clause that begins with "which" or "whose", and how to mend it.

    `may_pass`: the token does not answer, or is not there, which says nothing about the
    configuration. `is_expected`: the parent knows, and serves all the same. `may_return`: the token
    works and does not have the key, which is looked for again and again.
    """

    found: str
    allowed: str
    may_pass: bool = False
    is_expected: bool = False
    may_return: bool = False

    @property
    def is_awaited(self) -> bool:
        """Whether the key is used as soon as it is found; otherwise it is left out, as it is
        another key than the one that is meant.
        """
        return self.may_pass or self.is_expected or self.may_return


def severity_of(faults: Iterable[Unusable | None]) -> Severity:
    """How bad it is that keys of an identity cannot be used: `faults` are those of all keys that
    usual clients could do with.
    """
    is_served = any(fault is None or fault.is_expected for fault in faults)
    return Severity.WARNING if is_served else Severity.ERROR
