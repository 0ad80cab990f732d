"""The entries of an audit log: each operation on a key, and totals of handshakes."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from certs.audit.line import Facts, LineKind
from config.values.problems import is_key_material

_LONGEST_TEXT: Final = 500
_NOT_SHOWN: Final = "(looks like key material: not shown)"


class Action(StrEnum):
    """What was done with a key."""

    GENERATE = "generate"
    IMPORT = "import"
    ACTIVATE = "activate"
    RETIRE = "retire"
    DESTROY = "destroy"
    SIGN = "sign"
    """Other than in a handshake: a certificate request, a certificate, a probe."""
    SEAL = "seal"
    OPEN = "open"
    DERIVE = "derive"
    ROTATE = "rotate"
    EXPORT = "export"
    """Its secret was handed to an operator."""
    SPLIT = "split"
    RECOVER = "recover"
    LOGIN = "login"
    UNLATCH = "unlatch"
    """A refused PIN may be tried again."""
    LOAD = "load"
    """The key of a certificate that is served from now on."""
    UNLOAD = "unload"
    BREAKER = "breaker"
    """A worker trusts a token no more, or again."""
    LOSE = "lose"
    """Lines that could not be written."""
    TEST = "test"


class Outcome(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    """By us: it was not tried."""
    FAILED = "failed"
    """By the token, the file or the network: it was tried."""
    GIVEN_UP = "given up"
    """By the operator, who interrupted it or did not answer."""


Told = Callable[[Action, str, Outcome, str], None]
"""Takes what was done with which key, what came of it, and a detail for an operator."""


def unheard(_action: Action, _key: str, _outcome: Outcome, _detail: str) -> None:
    """A `Told` for callers without a log."""


@dataclass(frozen=True, slots=True)
class KeyOperation:
    """One operation on one key.

    `actor` says who: `parent`, `worker 2`, `cli root`. `key` is the id of the key or its place
    (`pkcs11:token=plexi;object=chat`), never a secret. `detail` is for an operator.
    """

    actor: str
    action: Action
    key: str
    outcome: Outcome
    detail: str = ""

    @property
    def kind(self) -> LineKind:
        return LineKind.OPERATION

    @property
    def facts(self) -> Facts:
        facts = {
            "actor": _safe(self.actor),
            "action": self.action.value,
            "key": _safe(self.key),
            "outcome": self.outcome.value,
        }
        return {**facts, "detail": _safe(self.detail)} if self.detail else facts


@dataclass(frozen=True, slots=True)
class HandshakeTotal:
    """Handshakes of one key in a worker (`actor`) since the line before about both: how many
    signatures were `done` and `failed`.
    """

    actor: str
    key: str
    done: int
    failed: int

    @property
    def kind(self) -> LineKind:
        return LineKind.HANDSHAKES

    @property
    def facts(self) -> Facts:
        return {"actor": _safe(self.actor), "key": _safe(self.key), "done": self.done, "failed": self.failed}


Entry = KeyOperation | HandshakeTotal


def _safe(text: str) -> str:
    """A text that cannot make a line too long, nor, by a mistake of a caller, carry a key in PEM or
    base64.
    """
    if is_key_material(text):
        return _NOT_SHOWN
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."
