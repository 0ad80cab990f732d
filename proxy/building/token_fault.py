"""Faults of keys in tokens, and how severe they are for an identity. Pure.

`check`, a start and a reload use the same rule. If a key is lost, locked or wrong, this is a
warning while another key of its identity signs. If no key of an identity can sign, this is an
error. One case differs: if the tokens of an identity are unavailable for now, a start continues
without them, because the parent knows this and waits for them. A check or a reload reports an
error.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from config.values.problems import Severity


@dataclass(frozen=True, slots=True)
class Unusable:
    """The fault of a key: a clause that begins with "which" or "whose", and what is allowed.

    `may_pass`: the token is unavailable or does not answer. The configuration may be right.
    `is_expected`: the parent knows of the fault and serves anyway. `may_return`: the token
    works and does not have the key. The key is looked for repeatedly.
    """

    found: str
    allowed: str
    may_pass: bool = False
    is_expected: bool = False
    may_return: bool = False

    @property
    def is_awaited(self) -> bool:
        """Whether the key is used as soon as it is found. If not, it is a wrong key: left out."""
        return self.may_pass or self.is_expected or self.may_return


def severity_of(faults: Iterable[Unusable | None]) -> Severity:
    """How severe the faults of an identity's keys are.

    `faults` has an entry for each key that usual clients accept.
    """
    is_served = any(fault is None or fault.is_expected for fault in faults)
    return Severity.WARNING if is_served else Severity.ERROR
