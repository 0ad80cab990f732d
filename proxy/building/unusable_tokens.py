"""Tokens that are out of use: they do not answer or refuse the PIN, as the parent has found. Pure.

A worker that builds a generation leaves them alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from proxy.building.token_fault import Unusable
from proxy.processes.messages.questions import ToldToken

# `certs.tokens.prober.Condition`
_WELL: Final = "well"
_UNWELL: Final = "unwell"
_REFUSED: Final = "pin_refused"


@dataclass(frozen=True, slots=True)
class UnusableTokens:
    """The conditions that the parent has found, with details. Both are by the NAME of the token."""

    conditions: Mapping[str, str]
    details: Mapping[str, str]
    seen: frozenset[str] = frozenset()
    """Tokens that the parent finds well. If this process misses one, the fault is its own."""
    is_waited_for: bool = True
    """Whether identities begin without the tokens that they need.

    They do in a process that serves, and not in one that only checks.
    """
    is_module_left_out: bool = False
    """Whether the module did not load in the parent. It would hang or fail in this process too."""

    @classmethod
    def told(cls, tokens: Mapping[str, ToldToken]) -> "UnusableTokens":
        """Take the parent's finding about each token, by its NAME."""
        well = [name for name, one in tokens.items() if one.condition == _WELL]
        conditions = {name: one.condition for name, one in tokens.items() if name not in well}
        details = {name: one.detail for name, one in tokens.items() if name not in well}
        down = next((name for name, one in tokens.items() if one.module_is_down), None)
        if down is None:
            return cls(conditions, details, frozenset(well))
        # the others are tokens of the same module, which this process must not load
        conditions |= dict.fromkeys(well, _UNWELL)
        details |= dict.fromkeys(
            well, f"its module is not loaded, because the token {down} hangs each process that loads it"
        )
        return cls(conditions, details, frozenset(), is_module_left_out=True)

    def __contains__(self, token: object) -> bool:
        return token in self.conditions

    def is_refused(self, token: str) -> bool:
        """Whether the PIN was refused, so that this process must not log in later either."""
        return self.conditions.get(token) == _REFUSED

    def fault(self, token: str) -> Unusable | None:
        """Why the keys of a token are not used."""
        if token not in self.conditions:
            return None
        if self.is_refused(token):
            allowed = f"the PIN of the token {token}, or `plexigate hsm unlatch`; until then only keys elsewhere serve"
        else:
            allowed = "a token that answers: it is used as soon as it does"
        return Unusable(
            f"which is not checked: {self.details[token]}", allowed, may_pass=True, is_expected=self.is_waited_for
        )


NONE_UNUSABLE: Final = UnusableTokens({}, {})
