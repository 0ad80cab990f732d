"""One token as the parent sees it: what its latest probe has found, when the next one is due, and
what workers are told of it.

Theory of operation. The PIN was tried once before the workers were told of the token. From then on
the parent asks the token nothing while every worker finds it well. Once a breaker is open anywhere,
the parent probes by signatures of its own, with the breaker's back-off for what needs a login and
twice a second in a session that lives, and tells all workers what comes of it: none of their
breakers closes before that. Where a worker looks at the token, the parent does, too, at most once a
second; and at once where a worker has found it well. So both look every second while clients are
refused. A call that hangs is said to be a failure soon, but awaited for longer: it is the first
that is back.

A token that has refused its PIN is left alone until its latch on disk is gone, by an operator or by
another PIN that worked; then the parent tries once more, and the workers after it. A worker sees
only a failure and a flag of the token, which another program's mistake may have set. When it says
that the PIN was refused, all logins stop, and the parent tries the PIN once to find out.
"""

import asyncio
import contextlib
import math
from collections import Counter
from pathlib import Path
from typing import Final, Protocol

from certs.hsm.pin_latch import is_about_pin
from certs.tokens.prober import Condition, ProbeFinding, Prober
from certs.tokens.token_use import TokenUse
from proxy.signing.breaker import BACK_OFF_SECONDS

# After that a call under way counts as failed.
_HANGING_SECONDS: Final = 3.0
# Between two looks that need no login.
_LIVING_SECONDS: Final = 0.5
# Between two looks because a worker looks.
_ACCOMPANYING_SECONDS: Final = 1.0
# A session is kept for so long after the trouble: it often comes back soon, and costs no login
# then.
_KEPT_SECONDS: Final = 30.0
# A call that hangs is given up then, and its process ended: the module may be what hangs, not the
# token.
_HOPELESS_SECONDS: Final = 30.0
# Between two looks at the latches: a person who has released one waits.
_LATCH_SECONDS: Final = 1.0
_LOGIN_SECONDS: Final = 15.0


class TokenObserver(Protocol):
    """Hears what a watch finds, and tells the workers and the log."""

    def found(self, token: "TokenWatch", finding: ProbeFinding, before: Condition) -> None:
        """A look is over, or late; `before` is what was known."""

    def may_log_in(self, token: "TokenWatch") -> None:
        """The PIN that was refused works now."""


class TokenWatch:
    """Watches a token from `start` on."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, use: TokenUse, finding: ProbeFinding, herald: TokenObserver
    ) -> None:
        """`finding` is that of the first try of the PIN."""
        self.finding = finding
        self.errors: Counter[str] = Counter()
        """By CKR_ name, or by what went wrong instead."""
        self.probes = 0
        self.good_at: float | None = None
        """When a probe was good last, by the clock of the loop."""
        self._loop = loop
        self._herald = herald
        self._prober = Prober(loop, use)
        self._prober.facts = finding.facts
        self._troubled: set[int] = set()
        """Slots and processes of workers whose breaker is not closed."""
        self._stirred = asyncio.Event()
        self._wanted_after = math.inf
        """How long after the beginning of the last look the next one is due; it goes before the
        back-off.
        """
        self._is_doubted = False
        """Whether a worker has said that the PIN was refused, and no login of ours has told yet."""
        self._latches = _stamps(use.access.latch_directory)
        self._is_free = asyncio.Event()
        self._is_free.set()
        self._count(finding)

    @property
    def use(self) -> TokenUse:
        """What is used of it."""
        return self._prober.use

    def follow(self, use: TokenUse) -> None:
        """Use it so from now on; the login is the same."""
        self._prober.use = use

    @property
    def is_refused(self) -> bool:
        """Whether all logins stop, as the PIN was refused."""
        return self.finding.condition is Condition.REFUSED

    @property
    def sessions(self) -> int:
        """Those that the parent has open."""
        return int(self._prober.is_logged_in)

    @property
    def pid(self) -> int | None:
        """The process that talks to the token; None while there is none."""
        return self._prober.pid

    def hold(self) -> None:
        """Try no PIN until `release`: another one is being tried, which lets go of the latch when
        it works.
        """
        self._is_free.clear()

    def release(self) -> None:
        """Try PINs again. What became of the latch meanwhile says nothing about this PIN."""
        self._latches = _stamps(self.use.access.latch_directory)
        self._is_free.set()

    def trouble(self, worker: int, *, is_there: bool) -> None:
        """A worker (by its process id) has an open breaker, or none any more."""
        (self._troubled.add if is_there else self._troubled.discard)(worker)
        self._stirred.set()

    def accompany(self) -> None:
        """A worker looks at the token: it is time for the parent, too."""
        self._want(_ACCOMPANYING_SECONDS)

    def hurry(self) -> None:
        """A worker has found the token well, and waits for a word: what was found before that is
        out of date.
        """
        self._want(0.0)

    def _want(self, after: float) -> None:
        self._wanted_after = min(self._wanted_after, after)
        self._stirred.set()

    def doubt(self) -> bool:
        """A worker says that the PIN was refused: try it.

        False where that is known, or under way.
        """
        if self.is_refused or self._is_doubted:
            return False
        self._is_doubted = True
        self._stirred.set()
        return True

    async def run(self) -> None:
        """Watch until cancelled."""
        failures = 0
        try:
            while True:
                if self._is_doubted:
                    failures = 0 if await self._try_doubted(failures) else failures + 1
                elif self.is_refused:
                    await self._prober.close()
                    await self._until_latches_change()
                    await self._try_again()
                elif self._troubled:
                    failures = 0 if await self._probe(failures) else failures + 1
                else:
                    failures, self._wanted_after = 0, math.inf
                    if self._prober.is_logged_in:
                        await self._stirring(self._loop.time(), _KEPT_SECONDS)
                    if not (self._troubled or self._is_doubted or self.is_refused):
                        await self._prober.close()
                        await self._stirring(0.0, math.inf)
        finally:
            self._prober.kill()

    # -- probes

    async def _probe(self, failures: int) -> bool:
        """Probe, say what came of it, and wait until the next probe is due; answers whether it was
        good.
        """
        began, self._wanted_after = self._loop.time(), math.inf
        looking = self._loop.create_task(self._prober.probe())
        try:
            done, _ = await asyncio.wait({looking}, timeout=_HANGING_SECONDS)
            if not done:
                self._found(ProbeFinding(Condition.UNWELL, "deadline", f"no answer within {_HANGING_SECONDS:g} s"))
                done, _ = await asyncio.wait({looking}, timeout=_HOPELESS_SECONDS - _HANGING_SECONDS)
            if not done:
                self._prober.kill()
                await looking
                return False
            finding = looking.result()
        finally:
            looking.cancel()
            await asyncio.wait({looking})
        self._found(finding)
        is_well = finding.condition is Condition.WELL
        if is_well or self._prober.is_logged_in:
            pause = _LIVING_SECONDS
        else:
            pause = BACK_OFF_SECONDS[min(failures + 1, len(BACK_OFF_SECONDS) - 1)]
        if not self._is_doubted:
            await self._stirring(began, pause)
        return is_well

    async def _stirring(self, began: float, pause: float) -> None:
        """Wait until so long after a look began, or until a worker has another state or wants one
        sooner, or a PIN was refused.

        What is due soon comes in time all the same: `run` looks at once at a token that has just
        become a trouble only.
        """
        had = bool(self._troubled), self._is_doubted
        self._stirred.clear()
        while (bool(self._troubled), self._is_doubted) == had and not self.is_refused:
            left = began + min(pause, self._wanted_after) - self._loop.time()
            if left <= 0:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if left == math.inf else left):
                    await self._stirred.wait()
            self._stirred.clear()

    def _found(self, finding: ProbeFinding) -> None:
        before, self.finding = self.finding.condition, finding
        if finding.condition is Condition.REFUSED:
            self._latches = _stamps(self.use.access.latch_directory)
        self.probes += 1
        if finding.condition is Condition.WELL:
            self.good_at = self._loop.time()
        self._count(finding)
        self._herald.found(self, finding, before)

    def _count(self, finding: ProbeFinding) -> None:
        if finding.error:
            self.errors[finding.error] += 1

    # -- PINs

    async def _try_doubted(self, failures: int) -> bool:
        """Log in once, which writes a latch where the PIN is wrong; answers whether the token said
        anything about it.
        """
        await self._is_free.wait()
        began, self._wanted_after = self._loop.time(), math.inf
        await self._prober.close()  # a session that lives says nothing of the PIN
        finding = await self._prober.try_pin(_LOGIN_SECONDS)
        self._is_doubted = finding.condition not in (Condition.WELL, Condition.REFUSED)
        self._found(finding)
        if self._is_doubted:
            await self._stirring(began, BACK_OFF_SECONDS[min(failures + 1, len(BACK_OFF_SECONDS) - 1)])
            return False
        if not self.is_refused:
            self._herald.may_log_in(self)
        return True

    async def _until_latches_change(self) -> None:
        directory = self.use.access.latch_directory
        # without a latch it is the token's own flag that counts, or the directory that cannot be
        # written
        is_latched = is_about_pin(self.finding.error)
        ends = math.inf if is_latched else self._loop.time() + BACK_OFF_SECONDS[-1]
        while True:
            await self._is_free.wait()
            now = _stamps(directory)
            if now != self._latches or self._loop.time() >= ends:
                self._latches = now
                return
            await asyncio.sleep(_LATCH_SECONDS)

    async def _try_again(self) -> None:
        finding = await self._prober.try_pin(_LOGIN_SECONDS)
        if finding != self.finding:
            self._found(finding)
        if finding.condition is not Condition.REFUSED:
            self._herald.may_log_in(self)


def _stamps(directory: Path) -> frozenset[tuple[str, int]]:
    """What tells one state of the latches from another; the files are few and small, and on a local
    disk.
    """
    try:
        return frozenset((one.name, one.stat().st_mtime_ns) for one in directory.glob("*.json"))
    except OSError:
        return frozenset()
