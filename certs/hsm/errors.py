"""Errors of tokens.

The facts are the arguments of each error, so that it can cross the pipe from the token process.

HsmError
  ModuleUnusable, TokenMissing, TokenAmbiguous, TokenSilent       which token
  PinFileUnusable                                                 access
  PinRefused, PinLatched, PinFinalTry, LatchUnusable              the PIN
  CallFailed, CapabilityMissing                                   what the token answered
  KeyMissing, KeyAmbiguous, KeyExists, KeyNotAsAsked, KeyNotGone  which key
  DeadlinePassed, TokenProcessLost                                the process of the module
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict


class HsmError(Exception):
    """An error of a token. It never holds a PIN or content of a key."""


class ModuleUnusable(HsmError):
    """The PKCS#11 module cannot be loaded or does not start."""

    def __init__(self, module: str, found: str) -> None:
        super().__init__(module, found)
        self.module = module
        self.found = found

    @property
    def ckr(self) -> str:
        """What its C_Initialize returned, such as for an absent device; empty if the library could
        not be loaded.
        """
        return self.found if self.found.startswith("CKR") else ""

    def __str__(self) -> str:
        allowed = (
            "a module whose device is connected, whose daemon runs, and whose settings this user can read"
            if self.ckr
            else "a PKCS#11 library of this machine's architecture"
        )
        at = " from C_Initialize" if self.ckr else ""
        return f"PKCS#11 module {self.module}: found {self.found}{at}; allowed: {allowed}"


class TokenMissing(HsmError):
    def __init__(self, wanted: str, present: Sequence[str]) -> None:
        """`wanted` describes the token, `present` those that are there."""
        super().__init__(wanted, present)
        self.wanted = wanted
        self.present = present

    def __str__(self) -> str:
        there = ", ".join(self.present) or "none (is the device connected, and can this user read its configuration?)"
        return f"no token with {self.wanted}; present tokens: {there}"


class TokenAmbiguous(HsmError):
    def __init__(self, wanted: str, found: Sequence[str]) -> None:
        """`wanted` describes the token, `found` those that fit."""
        super().__init__(wanted, found)
        self.wanted = wanted
        self.found = found

    def __str__(self) -> str:
        return f"{len(self.found)} tokens with {self.wanted}: {', '.join(self.found)}; allowed: a serial or a slot of one of them"


class TokenSilent(HsmError):
    """A token is not among those that answer, and it may be in one of the slots that do not."""

    def __init__(self, wanted: str, slots: Sequence[int], seconds: float) -> None:
        super().__init__(wanted, slots, seconds)
        self.wanted = wanted
        self.slots = slots
        self.seconds = seconds

    def __str__(self) -> str:
        which = f"slot{'s' if len(self.slots) > 1 else ''} {', '.join(map(str, self.slots))}"
        return f"no token with {self.wanted} answers: {which} did not within {self.seconds:g} s"


class PinFileUnusable(HsmError):
    """The file with a PIN cannot be used; `found` and `allowed` say why, never what is in it."""

    def __init__(self, path: str, found: str, allowed: str) -> None:
        super().__init__(path, found, allowed)
        self.path = path
        self.found = found
        self.allowed = allowed

    def __str__(self) -> str:
        return f'PIN file "{self.path}": found {self.found}; allowed: {self.allowed}'


class PinRefused(HsmError):
    """The token refused the PIN, or states that it would (`ckr`).

    Logins are blocked until the latch is released.
    """

    def __init__(self, token: str, ckr: str) -> None:
        super().__init__(token, ckr)
        self.token = token
        self.ckr = ckr

    def __str__(self) -> str:
        return (
            f"token {self.token}: the PIN was refused ({self.ckr}); logins to this token stop until the PIN file changes"
            f" or `plexigate hsm unlatch {self.token}` allows another try"
        )


class PinLatched(HsmError):
    """This PIN was refused before, so it was not tried."""

    def __init__(self, token: str, ckr: str, at: str) -> None:
        """`at` is when that was, in UTC."""
        super().__init__(token, ckr, at)
        self.token = token
        self.ckr = ckr
        self.at = at

    def __str__(self) -> str:
        return (
            f"token {self.token}: not logged in, because this PIN was refused on {self.at} ({self.ckr}) and a token locks itself after"
            f" a few wrong ones; allowed: another PIN in the file, or `plexigate hsm unlatch {self.token}`"
        )


class PinFinalTry(HsmError):
    """The token would lock itself at the next wrong PIN, so none was tried."""

    def __init__(self, token: str) -> None:
        super().__init__(token)
        self.token = token

    def __str__(self) -> str:
        return (
            f"token {self.token}: not logged in, because one more wrong PIN locks it (CKF_USER_PIN_FINAL_TRY); allowed: a PIN file that"
            " you have verified, then `plexigate hsm list --token ... --final-try`"
        )


class LatchUnusable(HsmError):
    """The latch file cannot be written, so no PIN is tried."""

    def __init__(self, path: str, found: str) -> None:
        super().__init__(path, found)
        self.path = path
        self.found = found

    def __str__(self) -> str:
        return f'PIN latch "{self.path}": found {self.found}; allowed: a directory that this user can write, so that a refused PIN is remembered'


class CallFailed(HsmError):
    """The token answered `operation` with the return value `ckr`."""

    def __init__(self, operation: str, ckr: str) -> None:
        super().__init__(operation, ckr)
        self.operation = operation
        self.ckr = ckr

    @property
    def needs_new_login(self) -> bool:
        """Whether the session is lost: this process cannot continue, and another one has to log
        in.
        """
        return self.ckr in _SESSION_LOST

    def __str__(self) -> str:
        return f"the token failed to {self.operation}: {self.ckr}"


class CapabilityMissing(HsmError):
    """The token has no such keys."""

    def __init__(self, token: str, wanted: str, lack: str, instead: str) -> None:
        """`wanted` in words, `lack` is what its mechanisms say, `instead` what can be used."""
        super().__init__(token, wanted, lack, instead)
        self.token = token
        self.wanted = wanted
        self.lack = lack
        self.instead = instead

    def __str__(self) -> str:
        return f"token {self.token} has no {self.wanted} ({self.lack}); allowed: {self.instead}"


class KeyMissing(HsmError):
    def __init__(self, token: str, wanted: str) -> None:
        super().__init__(token, wanted)
        self.token = token
        self.wanted = wanted

    def __str__(self) -> str:
        return f"token {self.token} has no key with {self.wanted}; allowed: a key that `plexigate hsm list` shows"


class KeyAmbiguous(HsmError):
    """Several keys of the token fit."""

    def __init__(self, token: str, wanted: str, count: int) -> None:
        super().__init__(token, wanted, count)
        self.token = token
        self.wanted = wanted
        self.count = count

    def __str__(self) -> str:
        return f"token {self.token} has {self.count} keys with {self.wanted}; allowed: a label and an id that only one key has"


class KeyExists(HsmError):
    """The token already has a key with that label or id; two would be ambiguous."""

    def __init__(self, token: str, label: str) -> None:
        super().__init__(token, label)
        self.token = token
        self.label = label

    def __str__(self) -> str:
        return f"token {self.token} already has a key with the label or id of {self.label}; allowed: another version or identity"


class KeyNotAsAsked(HsmError):
    """The token made a key with other attributes than requested; `is_undone` says whether it was
    destroyed.
    """

    def __init__(self, label: str, differences: Sequence[str], *, is_undone: bool = True) -> None:
        """`differences` are sentences such as `CKA_EXTRACTABLE is true, asked for false`."""
        super().__init__(label, differences)
        self.label = label
        self.differences = differences
        self.is_undone = is_undone

    def __str__(self) -> str:
        rest = "it was destroyed" if self.is_undone else "it could NOT be destroyed and is still in the token"
        return f"key {self.label}: {'; '.join(self.differences)}; {rest}"


class KeyNotGone(HsmError):
    """The token reported an object as destroyed but still has it."""

    def __init__(self, token: str, label: str) -> None:
        super().__init__(token, label)
        self.token = token
        self.label = label

    def __str__(self) -> str:
        return f"token {self.token} still has objects of key {self.label} after they were destroyed"


class DeadlinePassed(HsmError):
    """A call took longer than `seconds`; the process that waited for the module was killed."""

    def __init__(self, operation: str, seconds: float) -> None:
        super().__init__(operation, seconds)
        self.operation = operation
        self.seconds = seconds

    def __str__(self) -> str:
        return (
            f"the token did not {self.operation} within {self.seconds:g} s; the process that waited for it was killed"
        )


class TokenProcessLost(HsmError):
    """The process that talks to the module is gone: it crashed, was killed or closed."""

    def __init__(self, operation: str, how: str) -> None:
        super().__init__(operation, how)
        self.operation = operation
        self.how = how

    def __str__(self) -> str:
        return f"could not {self.operation}: the process that talks to the PKCS#11 module is gone ({self.how})"


_SESSION_LOST: Final = frozenset(
    {
        "CKR_CRYPTOKI_NOT_INITIALIZED",
        "CKR_DEVICE_REMOVED",
        "CKR_SESSION_CLOSED",
        "CKR_SESSION_HANDLE_INVALID",
        "CKR_TOKEN_NOT_PRESENT",
        "CKR_USER_NOT_LOGGED_IN",
    }
)
_KINDS: Final = {kind.__name__: kind for kind in HsmError.__subclasses__()}  # those above


class ErrorDocument(TypedDict):
    """An error on the pipe: its class, and the arguments of that."""

    kind: str
    facts: list[Any]
    named: dict[str, bool]


def as_document(error: HsmError) -> ErrorDocument:
    """The error as JSON, for the pipe."""
    named = {"is_undone": error.is_undone} if isinstance(error, KeyNotAsAsked) else {}
    return {"kind": type(error).__name__, "facts": list(error.args), "named": named}


def from_document(document: Mapping[str, Any]) -> HsmError:
    kind = _KINDS[document["kind"]]
    error: HsmError = kind(*document["facts"], **document["named"])
    return error
