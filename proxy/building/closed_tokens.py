"""What the parent has told of tokens: those that do not answer or refuse the PIN are left alone
while a worker builds. Pure.
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
class ClosedTokens:
    """By the NAME of the token: the condition that the parent has found it in, and a sentence about
    it.
    """

    conditions: Mapping[str, str]
    details: Mapping[str, str]
    seen: frozenset[str] = frozenset()
    """Those that the parent finds well: when they are missing here, it is the fault of this
    process.
    """
    is_waited_for: bool = True
    """Whether identities that depend on them begin without them: a process that serves does that,
    one that only checks does not.
    """
    is_module_left_out: bool = False
    """Whether the module did not even load in the parent: it would hang or fail in this process
    too.
    """

    @classmethod
    def told(cls, tokens: Mapping[str, ToldToken]) -> "ClosedTokens":
        """Take what the parent says of each token, by its NAME."""
        well = [name for name, one in tokens.items() if one.condition == _WELL]
        conditions = {name: one.condition for name, one in tokens.items() if name not in well}
        details = {name: one.detail for name, one in tokens.items() if name not in well}
        down = next((name for name, one in tokens.items() if one.module_is_down), None)
        if down is None:
            return cls(conditions, details, frozenset(well))
        # of the same module, which this process is not to load
        conditions |= dict.fromkeys(well, _UNWELL)
        details |= dict.fromkeys(well, f"its module is left alone as the token {down} hangs each process that loads it")
        return cls(conditions, details, frozenset(), is_module_left_out=True)

    def __contains__(self, token: object) -> bool:
        """Whether it is left alone."""
        return token in self.conditions

    def is_refused(self, token: str) -> bool:
        """Whether no login is to be tried, later either."""
        return self.conditions.get(token) == _REFUSED

    def fault(self, token: str) -> Unusable | None:
        """Why its keys are not looked at."""
        if token not in self.conditions:
            return None
        if self.is_refused(token):
            allowed = f"the PIN of the token {token}, or `plexigate hsm unlatch`; until then others serve, or nobody"
        else:
            allowed = "a token that answers: it is used as soon as it does"
        return Unusable(
            f"which is not looked at: {self.details[token]}", allowed, may_pass=True, is_expected=self.is_waited_for
        )


NONE_CLOSED: Final = ClosedTokens({}, {})
