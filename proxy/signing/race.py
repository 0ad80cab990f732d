"""A race between tokens for one signature: which is asked when, and which answer counts.

Theory of operation. The first candidate is asked. If it fails, the next one is asked, for the same
signature. If it is late, the next one is asked as well (a hedge), but only if that one is idle:
tokens with long queues would only make them longer for each other. The first result that is ready
wins. Later answers are thrown away; they only tell how their token is. The race runs on the event
loop; the threads only sign.

If all candidates have failed, or those that still run hang, the race waits for the probe that
follows the first failures of a token. It heals a lost session within milliseconds, and no client
needs to be sent away for that. Each key is asked a second time at most. If the client has to be
sent away, every token that could have signed for it is probed soon, also one that was never there.

The owner judges each error. If it is the client's fault, the race is over. Every other error is the
token's fault: so a client cannot shut a token down by what it sends.

    state    what is in progress                              what follows
    -------  ---------------------------------------------  ------------------------
    RACING   tokens sign, or probes heal them               one of the others
    WON      the owner has a result                         -
    REFUSED  the owner knows that the client is at fault    -
    LOST     the owner knows why there is no result         -
    LEFT     the owner has left (`abandon`)                 -

When a race is over, tokens may still be at work for it (`_take_late_answer`).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Final, Generic, Protocol, TypeVar

from proxy.signing.candidates import candidates
from proxy.signing.executor import CrowdedOut, GivenUp, Job, JobRefusal
from proxy.signing.token import SigningToken

# A token that needs longer is as good as gone, and the client should hear it while it is still
# there.
_MOST_SECONDS: Final = 5.0
# A token that was just healed is asked as well if the one that was asked instead needs longer than
# a multiple of the median of the healed one.
_TIMES_TYPICAL: Final = 2.0
# A login and some keys to load. For a waiting client a token that takes longer is dead.
_RECOVERY_SECONDS: Final = 1.0


class RaceKey(Protocol):
    @property
    def token(self) -> str: ...

    @property
    def location(self) -> str: ...

    @property
    def is_loaded(self) -> bool: ...


class Signed(Protocol):
    @property
    def seconds(self) -> float:
        """How long the token took for it."""


Key = TypeVar("Key", bound=RaceKey)
Result = TypeVar("Result", bound=Signed)
Result_contra = TypeVar("Result_contra", bound=Signed, contravariant=True)
Fault = TypeVar("Fault", bound=Exception)


class RaceLoss(Enum):
    """Why there is no result, without a fault of the client."""

    TIMEOUT = auto()
    BUSY = auto()
    """A queue was full."""
    UNAVAILABLE = auto()


class RaceOwner(Protocol[Result_contra, Fault]):
    """The object that needs the result.

    Exactly one of `race_won`, `race_lost` and `race_refused` is called, once; none after `abandon`.
    """

    def race_won(self, result: Result_contra) -> None: ...

    def race_lost(self, loss: RaceLoss) -> None:
        """There will be no result, and that is not the client's fault."""

    def race_refused(self, fault: Fault) -> None:
        """The client is at fault, as `judge` has found."""

    def judge(self, error: BaseException) -> Fault | None:
        """What the client did wrong, if a key failed for that. May come after `abandon`."""


@dataclass(frozen=True, slots=True)
class SigningServices:
    """What all races of a process share: its loop and its tokens, by name."""

    loop: asyncio.AbstractEventLoop
    clock: Callable[[], float]
    tokens: Mapping[str, SigningToken]


class _State(Enum):
    RACING = auto()
    WON = auto()
    REFUSED = auto()
    LOST = auto()
    LEFT = auto()


class _Runner(Generic[Key, Result]):
    """One token that was asked.

    `hedges` is the one that was late, if this one is its hedge. After `limit` seconds this one is
    late itself.
    """

    job: Job[Result]
    """Set when the token has taken the job; only then is this one in `_running`."""

    def __init__(self, token: SigningToken, key: Key, hedges: "_Runner[Key, Result] | None", limit: float) -> None:
        self.token: Final = token
        self.key: Final = key
        self.hedges: Final = hedges
        self.limit: Final = limit

    def succeeded(self, seconds: float) -> None:
        """Its result came in time."""
        self.token.succeeded(seconds)
        self.token.counters.signed(self.key.location, is_good=True)

    def came_late(self) -> None:
        """Its result came after the end of the race, and is not used."""
        self.token.came_late()
        self.token.counters.signed(self.key.location, is_good=True)

    def failed(self) -> None:
        """It gave no result in time, by the fault of the token."""
        self.token.failed(self.job.started)
        self.token.counters.signed(self.key.location, is_good=False)


class SigningRace(Generic[Key, Result, Fault]):
    def __init__(
        self,
        services: SigningServices,
        keys: Sequence[Key],
        turn: int | None,
        sign: Callable[[Key], Result],
        network: bytes,
        owner: RaceOwner[Result, Fault],
    ) -> None:
        """Set up; `begin` asks the first token.

        `keys` are in the order of preference; for `turn` see `candidates`. `sign` is called in a
        thread. `network` is the client's, for the order in the queues.
        """
        self._services = services
        self._sign = sign
        self._network = network
        self._owner = owner
        self._state = _State.RACING
        self._loss = RaceLoss.UNAVAILABLE
        """What the owner hears if no token signs."""
        known = [(key, token) for key in keys if (token := services.tokens.get(key.token)) is not None]
        loaded = [(key, token) for key, token in known if key.is_loaded]
        self._tokens: list[SigningToken] = [token for _, token in known]
        self._next: list[Key] = candidates(loaded, turn)
        """Those to ask, the first one first."""
        self._passed_over: list[Key] = [key for key, _ in loaded if key not in self._next]
        """Those whose token was not well when the race began."""
        self._asked_once: list[Key] = [key for key, _ in loaded]
        """Those that were not asked a second time."""
        self._recovering: list[Key] = []
        """Those whose probe is awaited."""
        self._running: list[_Runner[Key, Result]] = []
        self._began = 0.0
        self._deadline = 0.0
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

        The time of tokens that sign now is still watched. So a token that hangs is found
        even if all clients leave before.
        """
        if self._state is not _State.RACING:
            return
        self._end(_State.LEFT)
        if self._running:
            left = max(0.0, self._deadline - self._services.clock())
            self._end_timer = self._services.loop.call_later(left, self._out_of_time)

    # -- asking

    def _ask_next(self) -> bool:
        """Ask the next candidate that takes the job; whether there was one."""
        while self._next:
            if self._ask(self._next.pop(0)):
                return True
        return False

    def _ask(self, key: Key, late: _Runner[Key, Result] | None = None) -> bool:
        token = self._services.tokens.get(key.token)
        if token is None:
            return False  # a reload has taken it away meanwhile
        runner: _Runner[Key, Result] = _Runner(token, key, late, token.latencies.hedge_after)
        job = token.sign(self._network, self._deadline, partial(self._sign, key), partial(self._settled, runner))
        if isinstance(job, JobRefusal):
            if job is not JobRefusal.NO_THREAD:
                self._loss = RaceLoss.BUSY
            return False
        runner.job = job
        self._running.append(runner)
        self._watch(runner, runner.limit)
        return True

    def _watch(self, runner: _Runner[Key, Result], limit: float) -> None:
        if self._late_timer is not None:
            self._late_timer.cancel()
            self._late_timer = None
        if self._next or self._passed_over:
            self._late_timer = self._services.loop.call_later(limit, self._late, runner)

    def _late(self, runner: _Runner[Key, Result]) -> None:
        self._look_again()
        idle = self._idle_candidate()
        if idle is not None:
            self._next.remove(idle)
            if self._ask(idle, runner):
                runner.token.counters.hedges += 1
                return
            self._next.append(idle)
        self._watch(runner, runner.limit)

    def _look_again(self) -> None:
        """Add those that were passed over at first and are well by now."""
        tokens = self._services.tokens
        by_now = candidates([(key, token) for key in self._passed_over if (token := tokens.get(key.token)) is not None])
        self._next += by_now
        self._passed_over = [key for key in self._passed_over if key not in by_now]

    def _idle_candidate(self) -> Key | None:
        for key in self._next:
            token = self._services.tokens.get(key.token)
            if token is not None and token.executor.has_idle_thread:
                return key
        return None

    # -- answers

    def _settled(self, runner: _Runner[Key, Result], job: Job[Result], result: Result | BaseException) -> None:
        del job
        self._running.remove(runner)
        if self._state is not _State.RACING:
            if not self._running and self._end_timer is not None:
                self._end_timer.cancel()
            self._take_late_answer(runner, result)
        elif isinstance(result, BaseException):
            self._failed(runner, result)
        else:
            self._win(runner, result)

    def _win(self, runner: _Runner[Key, Result], result: Result) -> None:
        runner.succeeded(result.seconds)
        late = runner.hedges
        if late is not None:
            runner.token.counters.hedges_won += 1
            if late in self._running and late.job.is_running:
                late.token.outrun(late.limit)
        self._end(_State.WON)
        self._owner.race_won(result)

    def _failed(self, runner: _Runner[Key, Result], error: BaseException) -> None:
        if isinstance(error, CrowdedOut):
            self._loss = RaceLoss.BUSY
        if not isinstance(error, GivenUp):
            fault = self._owner.judge(error)
            if fault is not None:
                self._end(_State.REFUSED)
                self._owner.race_refused(fault)
                return
            runner.failed()
        if self._ask_next():
            runner.token.counters.failovers += 1
        if not self._running:
            self._lose()
        elif runner.key in self._asked_once:  # what is asked now may hang, while this one is healed by a login
            self._asked_once.remove(runner.key)
            self._await_recovery([runner.key])

    def _take_late_answer(self, runner: _Runner[Key, Result], result: Result | BaseException) -> None:
        """Take an answer after the end of the race: it only tells how its token is."""
        if isinstance(result, GivenUp):
            return
        left_early = self._state is _State.LEFT and self._services.clock() < self._deadline
        if not isinstance(result, BaseException):
            if left_early:  # the client left, and the token was in time
                runner.succeeded(result.seconds)
            else:
                runner.came_late()
        elif self._state is _State.WON:
            runner.failed()  # another one could do it for the same client
        elif left_early and self._owner.judge(result) is None:
            runner.failed()

    # -- tokens that may be healed

    def _await_recovery(self, keys: Sequence[Key]) -> bool:
        until = self._services.clock() + _RECOVERY_SECONDS
        for key in keys:
            token = self._services.tokens.get(key.token)
            if token is not None and token.await_recovery(self._began, until, partial(self._recovered, key, token)):
                self._recovering.append(key)
        if self._recovering and self._recovery_timer is None:
            self._recovery_timer = self._services.loop.call_later(_RECOVERY_SECONDS, self._unrecovered)
        return bool(self._recovering)

    def _recovered(self, key: Key, token: SigningToken) -> None:
        if self._state is not _State.RACING:
            return
        if key in self._recovering:
            self._recovering.remove(key)
        if token.is_well:
            self._next.append(key)
        if self._running:  # it is asked as well when they have had the time that it takes, or are late anyway
            first = self._running[0]
            left = first.job.submitted + first.limit - self._services.clock()
            self._watch(first, max(0.0, min(left, _TIMES_TYPICAL * token.latencies.typical)))
        elif not self._ask_next() and not self._recovering:
            self._lose()

    def _unrecovered(self) -> None:
        self._recovering.clear()
        if not self._running:
            self._lose()

    # -- the end

    def _out_of_time(self) -> None:
        now = self._services.clock()
        for runner in self._running:
            began = runner.job.started
            # one with less time than its limit gets no blame: it is the client's time that is over
            if began is not None and now - began >= runner.limit:
                runner.failed()
        if self._state is _State.RACING:
            self._end_lost(RaceLoss.TIMEOUT)

    def _lose(self) -> None:
        again, self._asked_once = self._asked_once, []
        if self._await_recovery(again):
            return  # even if another token was busy: a token that hangs looks the same
        for token in self._tokens:
            token.wanted()
        self._end_lost(self._loss)

    def _end_lost(self, loss: RaceLoss) -> None:
        self._end(_State.LOST)
        self._owner.race_lost(loss)

    def _end(self, state: _State) -> None:
        """End the race, and take its jobs out of the queues."""
        self._state = state
        for timer in (self._late_timer, self._end_timer, self._recovery_timer):
            if timer is not None:
                timer.cancel()
        for runner in list(self._running):
            if runner.token.executor.cancel(runner.job):
                self._running.remove(runner)
