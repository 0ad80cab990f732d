"""One token as the parent sees it: the finding of its latest probe, and when the next one is due.

Theory of operation. The PIN is tried once before workers get the token. While every worker
finds the token well, the parent does not use it.

Once a breaker is open in any worker, the parent probes the token by signatures of its own. In a
living session it probes twice a second. If it must log in, it probes with the back-off of the
breaker. It tells all workers the finding, and no breaker closes before that. When a worker probes,
the parent probes too, at most once a second. When a worker has found the token well, the parent
probes at once. So both probe every second while clients are refused. A call that hangs soon counts
as a failure, but the parent waits for it longer: it is the first to return when the token is back.

If a token has refused its PIN, it is not used until its latch on disk is gone. An operator
removes the latch, or another PIN that works does. Then the parent tries the PIN once more, and
the workers after it. A worker sees only a failed login and a flag of the token, which a mistake of
another program may have set. So when a worker says that the PIN was refused, all logins stop, and
the parent tries the PIN once to find out.
"""

import asyncio
import math
from collections import Counter
from pathlib import Path
from typing import Final, Protocol

from certs.hsm.process.pin_latch import is_about_pin
from certs.tokens.prober import Condition, ProbeFinding, Prober
from certs.tokens.token_use import TokenUse
from proxy.net.waiting import happened
from proxy.signing.breaker import BACK_OFF_SECONDS

# After that a call in progress counts as failed.
_HANGING_SECONDS: Final = 3.0
# Between two probes that need no login.
_LIVING_SECONDS: Final = 0.5
# Between two probes that follow probes of workers.
_ACCOMPANYING_SECONDS: Final = 1.0
# A session is kept for so long after the trouble. If the trouble comes back, this saves a login.
_KEPT_SECONDS: Final = 30.0
# A call that hangs is given up then, and its process is killed: the fault may be the module's and
# not the token's.
_HOPELESS_SECONDS: Final = 30.0
# Between two looks at the latches: an operator who has removed one waits for this.
_LATCH_SECONDS: Final = 1.0
_LOGIN_SECONDS: Final = 15.0


class TokenObserver(Protocol):
    """Takes the findings of a watch, and tells the workers and the log."""

    def found(self, token: "TokenWatch", finding: ProbeFinding, before: Condition) -> None:
        """A probe has ended, or is late. `before` is the condition that was known before."""

    def may_log_in(self, token: "TokenWatch") -> None:
        """The token accepts the PIN again, which it had refused."""


class TokenWatch:
    """Watches a token from `start` on."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, use: TokenUse, finding: ProbeFinding, herald: TokenObserver
    ) -> None:
        """`finding` is the result of the first try of the PIN."""
        self.finding = finding
        self.errors: Counter[str] = Counter()
        """Errors by CKR_ name, or by another short name."""
        self.probes = 0
        self.good_at: float | None = None
        """The time of the last good probe, by the clock of the loop."""
        self._loop = loop
        self._herald = herald
        self._prober = Prober(loop, use)
        self._prober.facts = finding.facts
        self._troubled: set[int] = set()
        """Process ids of workers whose breaker is not closed."""
        self._stirred = asyncio.Event()
        self._wanted_after = math.inf
        """How long after the start of the last probe a worker wants the next one.

        A shorter back-off still holds.
        """
        self._is_doubted = False
        """Whether a worker said that the PIN was refused, and the parent has not tried it since."""
        self._latches = _stamps(use.access.latch_directory)
        self._is_free = asyncio.Event()
        self._is_free.set()
        self._count(finding)

    @property
    def use(self) -> TokenUse:
        return self._prober.use

    def follow(self, use: TokenUse) -> None:
        """Use the token like this from now on, with the same login."""
        self._prober.use = use

    @property
    def is_refused(self) -> bool:
        """Whether the PIN was refused, so that no process logs in."""
        return self.finding.condition is Condition.REFUSED

    @property
    def sessions(self) -> int:
        """How many sessions the parent has open."""
        return int(self._prober.is_logged_in)

    @property
    def pid(self) -> int | None:
        """The id of the process that talks to the token, or None."""
        return self._prober.pid

    def hold(self) -> None:
        """Try no PIN until `release`: another PIN is tried, and removes the latch if it works."""
        self._is_free.clear()

    def release(self) -> None:
        """Try PINs again. A change of the latch since `hold` says nothing about this PIN."""
        self._latches = _stamps(self.use.access.latch_directory)
        self._is_free.set()

    def trouble(self, worker: int, *, is_there: bool) -> None:
        """The breaker of a worker (a process id) is open, or is closed again."""
        (self._troubled.add if is_there else self._troubled.discard)(worker)
        self._stirred.set()

    def accompany(self) -> None:
        """A worker probes the token: the parent probes, too."""
        self._want(_ACCOMPANYING_SECONDS)

    def hurry(self) -> None:
        """A worker has found the token well and waits for the parent's finding: probe at once."""
        self._want(0.0)

    def _want(self, after: float) -> None:
        self._wanted_after = min(self._wanted_after, after)
        self._stirred.set()

    def doubt(self) -> bool:
        """A worker says that the PIN was refused: try it.

        Returns False if that is known already, or if the try is in progress.
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
                    failures = 0
                    self._wanted_after = math.inf
                    if self._prober.is_logged_in:
                        await self._stirring(self._loop.time(), _KEPT_SECONDS)
                    if not (self._troubled or self._is_doubted or self.is_refused):
                        await self._prober.close()
                        await self._stirring(0.0, math.inf)
        finally:
            self._prober.kill()

    # -- probes

    async def _probe(self, failures: int) -> bool:
        """Probe, tell the finding, and wait until the next probe is due. Tells if it was good."""
        began = self._loop.time()
        self._wanted_after = math.inf
        looking = self._loop.create_task(self._prober.probe())
        try:
            done, _ = await asyncio.wait({looking}, timeout=_HANGING_SECONDS)
            if not done:
                late = f"no answer within {_HANGING_SECONDS:g} s"
                self._found(ProbeFinding(Condition.UNWELL, "deadline", late, self._prober.facts))
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
        """Wait for `pause` seconds from `began` on.

        It ends sooner if a worker's state changes, if a worker wants a probe sooner, or if the PIN
        was refused. A probe that is due soon is not missed: `run` probes at once only when the
        trouble has just begun.
        """
        had = bool(self._troubled), self._is_doubted
        self._stirred.clear()
        while (bool(self._troubled), self._is_doubted) == had and not self.is_refused:
            left = began + min(pause, self._wanted_after) - self._loop.time()
            if left <= 0:
                return
            await happened(self._stirred, None if left == math.inf else left)
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
        """Log in once. A wrong PIN writes a latch. Tells whether the token judged the PIN."""
        await self._is_free.wait()
        began = self._loop.time()
        self._wanted_after = math.inf
        await self._prober.close()  # a living session says nothing about the PIN
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
        # Without a latch the cause is the token's own flag, or a directory that cannot be written.
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
    """Identifies a state of the latches. The files are few and small, and on a local disk."""
    try:
        return frozenset((one.name, one.stat().st_mtime_ns) for one in directory.glob("*.json"))
    except OSError:
        return frozenset()
