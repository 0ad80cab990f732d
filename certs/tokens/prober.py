"""Probes the health of one token outside the TLS library: a separate process logs in and signs.

A process that has failed is not used again: a module only knows the tokens that were present when
it was loaded, a lost session stays lost, and a call that hangs ends only with its process. So a new
process follows each failure, unless the token answered in a live session: then the next signature
needs no login. A session that was lost since the last probe says nothing about the token now; a new
session is tried.
"""

import asyncio
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from certs.hsm.clients import calls
from certs.hsm.clients.async_client import AsyncTokenProcess
from certs.hsm.errors import (
    CallFailed,
    DeadlinePassed,
    HsmError,
    KeyAmbiguous,
    KeyMissing,
    LatchUnusable,
    ModuleUnusable,
    PinFinalTry,
    PinLatched,
    PinRefused,
    TokenAmbiguous,
    TokenMissing,
    TokenProcessLost,
    TokenSilent,
)
from certs.tokens.token_use import TokenUse
from certs.tokens.trial import trial
from config.values.problems import printable

if TYPE_CHECKING:
    from certs.hsm.facts import KeyAddress, TokenFacts


class Condition(StrEnum):
    """How a token is. The values are stable: they stand in logs, metrics and the status."""

    WELL = "well"
    UNWELL = "unwell"
    """It fails, or does not answer."""
    ABSENT = "absent"
    """It, or its module, is not there."""
    REFUSED = "pin_refused"
    """Its PIN was refused, or is not tried: no process may log in."""


@dataclass(frozen=True, slots=True)
class ProbeFinding:
    """What a look has shown.

    `error` is what it is counted by, a CKR_ name where there is one; `detail` a sentence.
    """

    condition: Condition
    error: str = ""
    detail: str = ""
    facts: "TokenFacts | None" = field(default=None, compare=False)
    """What the token said of itself; None where it did not come to that."""
    missing: "frozenset[KeyAddress]" = frozenset()
    """Keys that it does not have, also where others of it sign."""
    silent_slots: frozenset[int] | None = field(default=None, compare=False)
    """All slots of the module whose token does not answer; None if not all were asked."""

    @property
    def is_module_down(self) -> bool:
        """Whether the module did not start, or not in time: one that reaches its device over a
        network, while that is unavailable.
        """
        return self.condition is Condition.ABSENT and (self.is_late or self.error.startswith("CKR"))

    @property
    def is_no_such_token(self) -> bool:
        """Whether its module answers, and knows no such token."""
        return self.error == _NAMES[TokenMissing]

    @property
    def is_late(self) -> bool:
        """Whether there was no answer in time."""
        return self.error == _NAMES[DeadlinePassed]


_NAMES: Final[dict[type[HsmError], str]] = {
    DeadlinePassed: "deadline",
    KeyAmbiguous: "key_ambiguous",
    KeyMissing: "key_missing",
    LatchUnusable: "latch_unusable",
    ModuleUnusable: "module_unusable",
    PinFinalTry: "pin_final_try",
    TokenAmbiguous: "token_ambiguous",
    TokenMissing: "no_such_token",
    TokenProcessLost: "process_lost",
    TokenSilent: "deadline",
}


class Prober:
    """Looks at one token. One look at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, use: TokenUse) -> None:
        self._loop = loop
        self.use = use
        """May be another one from the next look on, with the same login."""
        self._process: AsyncTokenProcess | None = None
        self._has_loaded = False
        self._has_login = False
        self.facts: TokenFacts | None = None
        """What the token said of itself at the last login, which may have been another prober's."""
        self._missing: set[KeyAddress] = set()
        """What the look in progress has not found."""
        self._silent_slots: frozenset[int] | None = None

    @property
    def is_logged_in(self) -> bool:
        """Whether a session lives, so that the next look needs no login."""
        return self._has_login and self._process is not None and self._process.is_usable

    @property
    def pid(self) -> int | None:
        """Its process, None while it needs none."""
        return None if self._process is None else self._process.pid

    async def try_pin(self, seconds: float) -> ProbeFinding:
        """Log in once and out again; after `seconds` the process is killed."""
        try:
            async with asyncio.timeout(seconds):
                return await self._look(with_signatures=False)
        except TimeoutError:
            # a module that never started would hang each process that loads it; one that hangs
            # later still serves other tokens
            condition = Condition.UNWELL if self._has_loaded else Condition.ABSENT
            operation = "log in" if self._has_loaded else "load its module"
            return ProbeFinding(condition, "deadline", str(DeadlinePassed(operation, seconds)))
        finally:
            await self.close()

    async def probe(self) -> ProbeFinding:
        """Log in where that is needed, and sign with each key: well if one of them works.

        Takes as long as the calls may.
        """
        return await self._look(with_signatures=True)

    async def _look(self, *, with_signatures: bool) -> ProbeFinding:
        was_logged_in = self.is_logged_in
        self._missing.clear()
        self._silent_slots = None
        try:
            process = await self._logged_in()
            if with_signatures:
                await self._sign(process)
        except HsmError as error:
            is_lost = isinstance(error, CallFailed) and error.needs_new_login
            if is_lost or not isinstance(error, CallFailed):
                self.kill()
            if is_lost and was_logged_in:
                return await self._look(with_signatures=with_signatures)
            silent = frozenset(error.slots) if isinstance(error, TokenSilent) else self._silent_slots
            found = _finding(error, has_loaded=self._has_loaded)
            return replace(found, missing=frozenset(self._missing), silent_slots=silent)
        except OSError as error:
            return ProbeFinding(Condition.UNWELL, "no_process", f"no room for another process: {error.strerror}")
        missing = frozenset(self._missing)
        return ProbeFinding(Condition.WELL, facts=self.facts, missing=missing, silent_slots=self._silent_slots)

    async def _logged_in(self) -> AsyncTokenProcess:
        if self._process is not None and self.is_logged_in:
            return self._process
        self.kill()
        self._has_loaded = self._has_login = False
        self._process = process = AsyncTokenProcess(self._loop)
        try:
            await process.perform(calls.load(self.use.access.module))
            self._has_loaded = True
            likely_slot = None if self.facts is None else self.facts.slot
            found = await process.perform(calls.find(self.use.access.token, likely_slot))
            self._silent_slots = found.silent_slots
            self.facts = await process.perform(calls.log_in(self.use.access, found.token.slot))
        except BaseException:
            process.kill()
            raise
        self._has_login = True
        return process

    async def _sign(self, process: AsyncTokenProcess) -> None:
        failure: HsmError | None = None
        works = False
        for key in self.use.keys:
            one = trial(key)
            try:
                one.check(await process.perform(one.call))
            except HsmError as error:
                failure = failure or error
                if isinstance(error, KeyMissing):
                    self._missing.add(key.address)
                if not process.is_usable:
                    break
            else:
                works = True
        if failure is not None and not works:
            raise failure

    def kill(self) -> None:
        """End the process at once, also in the middle of a look, which then finds that."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    async def close(self) -> None:
        """Log out and end the process."""
        process, self._process = self._process, None
        if process is not None:
            await process.close()


def _finding(error: HsmError, *, has_loaded: bool) -> ProbeFinding:
    match error:
        case PinRefused() | PinLatched() | PinFinalTry() | LatchUnusable():
            condition = Condition.REFUSED
        case TokenMissing() | ModuleUnusable():
            condition = Condition.ABSENT
        case DeadlinePassed() if not has_loaded:
            condition = Condition.ABSENT
        case _:
            condition = Condition.UNWELL
    return ProbeFinding(condition, _name(error), printable(str(error)))


def _name(error: HsmError) -> str:
    match error:
        case CallFailed() | PinRefused() | PinLatched():
            return error.ckr
        case ModuleUnusable() if error.ckr:
            return error.ckr
        case _:
            return _NAMES.get(type(error), "error")
