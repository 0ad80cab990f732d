"""The signature of one handshake: a race between tokens for the server's flight.

Theory of operation. The first candidate is asked for a flight. If it fails, the next one is asked,
with the same client bytes. If it is late, the next one is asked as well (a hedge), but only if that
one is idle: tokens with long queues would only make them longer for each other. The first flight
that is ready wins. Later answers are thrown away; they only tell how their token is. The race runs
on the event loop; the threads only make attempts.

If all candidates have failed, or those that still run hang, the race waits for the probe that
follows the first failures of a token. It heals a lost session within milliseconds, and no client
needs to be sent away for that. Each key is asked a second time at most. If the client has to be
sent away, every token that could have signed for it is probed soon, also one that was never there.

An error is the client's fault in two cases: OpenSSL refused the hello before it answered it, or a
context that needs no token fails on the same bytes. Every other error is the token's fault: so a
client cannot shut a token down by what it sends.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from proxy.signing.candidates import candidates
from proxy.signing.executor import CrowdedOut, GivenUp, Job, JobRefusal
from proxy.signing.token import SigningToken
from proxy.tls.attempt import AttemptFailed, Flight, Transcript, attempt_in_thread
from proxy.tls.results import FailureReason
from proxy.tls.signing_plan import TokenCredential
from proxy.tls.token_key import KeyContext

# A token that needs longer is as good as gone, and the client should hear it while it is still
# there.
_MOST_SECONDS: Final = 5.0
# A token that was just healed is asked as well if the one that was asked instead needs longer than
# so many times the median of the healed one.
_TIMES_TYPICAL: Final = 2.0
# A login and some keys to load. For a waiting client a token that takes longer is dead.
_RECOVERY_SECONDS: Final = 1.0


class RaceOwner(Protocol):
    """The object that needs the flight.

    Exactly one of `race_won`, `race_lost` and `race_refused` is called, once; none after `abandon`.
    """

    def race_won(self, flight: Flight) -> None:
        """Send the flight. Its object has no BIOs and belongs to the owner from now on."""

    def race_lost(self, reason: FailureReason, detail: str) -> None:
        """There will be no signature, and that is not the client's fault."""

    def race_refused(self, failure: AttemptFailed) -> None:
        """OpenSSL does not take what the client has sent."""

    def judge(self) -> AttemptFailed | None:
        """Try the client's bytes where no token is needed; None if they are good."""


@dataclass(frozen=True, slots=True)
class SigningServices:
    """What all handshakes of a process share: its loop and its tokens, by name."""

    loop: asyncio.AbstractEventLoop
    clock: Callable[[], float]
    tokens: Mapping[str, SigningToken]


class _Runner:
    """One token that was asked.

    `hedges` is the one that was late, if this one is its hedge. After `limit` seconds this one is
    late itself.
    """

    __slots__ = ("hedges", "job", "key", "limit", "token")

    job: Job[Flight]
    """Set when the token has taken the job; only then is this one in `_running`."""

    def __init__(self, token: SigningToken, key: KeyContext, hedges: "_Runner | None", limit: float) -> None:
        self.token: Final = token
        self.key: Final = key
        self.hedges: Final = hedges
        self.limit: Final = limit

    def succeeded(self, seconds: float) -> None:
        """Its flight came in time."""
        self.token.succeeded(seconds)
        self.token.counters.signed(self.key.key.location, is_good=True)

    def failed(self) -> None:
        """It gave no flight in time, by the fault of the token."""
        self.token.failed(self.job.started)
        self.token.counters.signed(self.key.key.location, is_good=False)


class SigningRace:
    """The race of one handshake."""

    def __init__(
        self,
        services: SigningServices,
        credential: TokenCredential,
        transcript: Transcript,
        network: bytes,
        owner: RaceOwner,
    ) -> None:
        """Set up; `begin` asks the first token.

        `network` is the client's, for the order in the queues.
        """
        self._services = services
        self._transcript = transcript
        self._network = network
        self._owner = owner
        self._is_over = False
        known = [(key, token) for key in credential.keys if (token := services.tokens.get(key.key.token)) is not None]
        keys = [(key, token) for key, token in known if key.key.is_loaded]
        self._tokens: list[SigningToken] = [token for _, token in known]
        self._left: list[KeyContext] = candidates(keys, credential.turn())
        self._passed_over: list[KeyContext] = [key for key, _ in keys if key not in self._left]
        self._again: list[KeyContext] = [key for key, _ in keys]
        """The keys that were not asked a second time."""
        self._awaited = 0
        self._running: list[_Runner] = []
        self._was_busy = False
        self._began = self._deadline = 0.0
        self._winner: _Runner | None = None
        self._is_judged = self._is_refused = False
        self._late_timer: asyncio.TimerHandle | None = None
        self._end_timer: asyncio.TimerHandle | None = None
        self._recovery_timer: asyncio.TimerHandle | None = None

    def begin(self, deadline: float) -> None:
        """Ask the first token. `deadline` is the handshake's, in loop time."""
        self._began = self._services.clock()
        self._deadline = min(deadline, self._began + _MOST_SECONDS)
        self._end_timer = self._services.loop.call_later(self._deadline - self._began, self._out_of_time)
        if not self._ask_next():
            self._lose()

    def abandon(self) -> None:
        """The handshake ended in another way: the owner is not told any more.

        The time of tokens that sign at this moment is still watched. So a token that hangs is found
        even if all clients leave before.
        """
        self._close()
        if self._running:
            left = max(0.0, self._deadline - self._services.clock())
            self._end_timer = self._services.loop.call_later(left, self._out_of_time)

    # -- asking

    def _ask_next(self) -> bool:
        """Ask the next candidate that takes the job; whether there was one."""
        while self._left:
            if self._ask(self._left.pop(0)):
                return True
        return False

    def _look_again(self) -> None:
        """Add those that were passed over at first and are well by now."""
        tokens = self._services.tokens
        by_now = candidates(
            [(key, token) for key in self._passed_over if (token := tokens.get(key.key.token)) is not None]
        )
        self._left += by_now
        self._passed_over = [key for key in self._passed_over if key not in by_now]

    def _ask(self, key: KeyContext, late: _Runner | None = None) -> bool:
        token = self._services.tokens.get(key.key.token)
        if token is None:
            return False  # a reload has taken it away meanwhile
        runner = _Runner(token, key, late, token.latencies.hedge_after)
        work = partial(attempt_in_thread, key.current, self._transcript)
        job = token.sign(self._network, self._deadline, work, partial(self._settled, runner))
        if isinstance(job, JobRefusal):
            self._was_busy = self._was_busy or job is not JobRefusal.NO_THREAD
            return False
        runner.job = job
        self._running.append(runner)
        self._watch(runner, runner.limit)
        return True

    def _watch(self, runner: _Runner, limit: float) -> None:
        if self._late_timer is not None:
            self._late_timer.cancel()
            self._late_timer = None
        if self._left or self._passed_over:
            self._late_timer = self._services.loop.call_later(limit, self._late, runner)

    def _late(self, runner: _Runner) -> None:
        tokens = self._services.tokens
        self._look_again()
        idle = next(
            (key for key in self._left if (token := tokens.get(key.key.token)) and token.executor.has_idle_thread), None
        )
        if idle is not None:
            self._left.remove(idle)
            if self._ask(idle, runner):
                runner.token.counters.hedges += 1
                return
            self._left.append(idle)
        self._watch(runner, runner.limit)

    # -- answers

    def _settled(self, runner: _Runner, job: Job[Flight], result: Flight | BaseException) -> None:
        del job
        self._running.remove(runner)
        if self._is_over:
            if not self._running and self._end_timer is not None:
                self._end_timer.cancel()
            self._late_answer(runner, result)
        elif isinstance(result, Flight):
            self._win(runner, result)
        else:
            self._failed(runner, result)

    def _win(self, runner: _Runner, flight: Flight) -> None:
        runner.succeeded(flight.seconds)
        self._winner = runner
        late = runner.hedges
        if late is not None:
            runner.token.counters.hedges_won += 1
            if late in self._running and late.job.is_running:
                late.token.outrun(late.limit)
        self._close()
        self._owner.race_won(flight)

    def _failed(self, runner: _Runner, error: BaseException) -> None:
        if not isinstance(error, GivenUp):
            refused = self._client_fault(error)
            if refused is not None:
                self._is_refused = True
                self._close()
                self._owner.race_refused(refused)
                return
            runner.failed()
        self._was_busy = self._was_busy or isinstance(error, CrowdedOut)
        if self._ask_next():
            runner.token.counters.failovers += 1
        if not self._running:
            self._lose()
        elif runner.key in self._again:  # what is asked now may hang, while this one is healed by a login
            self._again.remove(runner.key)
            self._await_recovery([runner.key])

    def _client_fault(self, error: BaseException) -> AttemptFailed | None:
        if isinstance(error, AttemptFailed) and error.is_refusal:
            return error
        if self._is_judged:
            return None
        self._is_judged = True  # what was good once is good
        return self._owner.judge()

    def _late_answer(self, runner: _Runner, result: Flight | BaseException) -> None:
        """Take an answer after the end of the race: it only tells how its token is."""
        # true if the client left before the deadline
        is_in_time = self._winner is None and not self._is_refused and self._services.clock() < self._deadline
        if isinstance(result, Flight) and is_in_time:
            runner.succeeded(result.seconds)
        elif isinstance(result, Flight):
            runner.token.came_late()
            runner.token.counters.signed(runner.key.key.location, is_good=True)
        elif isinstance(result, GivenUp):
            return
        elif self._winner is not None:
            runner.failed()  # another one could do it with the same bytes
        elif is_in_time and self._client_fault(result) is None:
            runner.failed()

    # -- the end

    def _await_recovery(self, keys: Sequence[KeyContext]) -> bool:
        until = self._services.clock() + _RECOVERY_SECONDS
        for key in keys:
            token = self._services.tokens.get(key.key.token)
            if token is not None and token.await_recovery(self._began, until, partial(self._recovered, key, token)):
                self._awaited += 1
        if self._awaited and self._recovery_timer is None:
            self._recovery_timer = self._services.loop.call_later(_RECOVERY_SECONDS, self._unrecovered)
        return self._awaited > 0

    def _recovered(self, key: KeyContext, token: SigningToken) -> None:
        if self._is_over:
            return
        self._awaited -= 1
        if token.is_well:
            self._left.append(key)
        if self._running:  # it is asked as well when they have had the time that it takes, or are late anyway
            first = self._running[0]
            left = first.job.submitted + first.limit - self._services.clock()
            self._watch(first, max(0.0, min(left, _TIMES_TYPICAL * token.latencies.typical)))
        elif not self._ask_next() and not self._awaited:
            self._lose()

    def _unrecovered(self) -> None:
        self._awaited = 0
        if not self._is_over and not self._running:
            self._lose()

    def _out_of_time(self) -> None:
        now = self._services.clock()
        for runner in self._running:
            began = runner.job.started
            # one with less time than its limit gets no blame: it is the client's time that is over
            if began is not None and now - began >= runner.limit:
                runner.failed()
        if not self._is_over:
            self._end(FailureReason.SIGNING_TIMEOUT, "no signature came in time")

    def _lose(self) -> None:
        again, self._again = self._again, []
        if self._await_recovery(again):
            return  # even if another token was busy: a token that hangs looks the same
        for token in self._tokens:
            token.wanted()
        if self._was_busy:
            self._end(FailureReason.SIGNING_BUSY, "too many signatures are waiting")
        else:
            self._end(FailureReason.SIGNING_UNAVAILABLE, "no token can sign with a key of the identity")

    def _end(self, reason: FailureReason, detail: str) -> None:
        self._close()
        self._owner.race_lost(reason, detail)

    def _close(self) -> None:
        """End the race, and take its jobs out of the queues."""
        self._is_over = True
        for timer in (self._late_timer, self._end_timer, self._recovery_timer):
            if timer is not None:
                timer.cancel()
        for runner in list(self._running):
            if runner.token.executor.cancel(runner.job):
                self._running.remove(runner)
