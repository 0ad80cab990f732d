"""One token as a process uses it: threads, breaker, and the probes that close the breaker."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from proxy.signing.breaker import NEVER, Breaker, BreakerState
from proxy.signing.contracts import Probe, SigningThreads, Watcher
from proxy.signing.executor import CrowdedOut, GivenUp, Job, JobRefusal
from proxy.signing.latency import Latencies
from proxy.signing.token_counters import TokenCounters

# A probe makes a round trip for each attribute of each key: sixty of 50 ms fit. A token that needs
# longer is no use.
_PROBE_SECONDS: Final = 5.0
# How soon a missing key of a token that works is looked for again.
_MISSING_SECONDS: Final = 30.0
_IDLE_SECONDS: Final = 10.0
# One key may be used all the time, and another one, which only stands in, never.
_ALL_KEYS_SECONDS: Final = 60.0
_OURS: Final = b""
"""The network of our own jobs, for which no client has asked."""


class TokenPinRefused(Exception):
    """The token refuses the PIN. It must not get the same one again."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The loop and the clock of a process; the clock is that of the loop."""

    loop: asyncio.AbstractEventLoop
    clock: Callable[[], float]


class _Trial:
    """A probe that is in progress."""

    def __init__(self, probe: Probe, *, is_first: bool) -> None:
        self.probe: Final = probe
        self.is_first = is_first
        """Whether it is the one that follows the first failures."""
        self.is_given_up = False
        """Whether it did not come in time; it is still awaited, and keeps its thread."""


class _Used:
    """The probe with the keys of now."""

    def __init__(self, probe: Probe, now: float) -> None:
        self.probe: Final = probe
        self.missing_due_at = now
        """When those that are missing are looked for: at once until the probe has tried all."""


class SigningToken:
    """Everything about one token in this process, on the event loop."""

    def __init__(
        self,
        name: str,
        executor: SigningThreads,
        timing: Timing,
        counters: TokenCounters,
        watcher: Watcher,
        *,
        has_parent: bool = False,
    ) -> None:
        """Begin with a closed breaker and an untried token.

        `use` comes before the first signature. `has_parent`: see `Breaker`.
        """
        self.name: Final = name
        self.executor: Final = executor
        self.counters: Final = counters
        self.latencies: Final = Latencies()
        self._used: _Used | None = None
        self._breaker: Final = Breaker(has_parent=has_parent)
        self._timing = timing
        self._watcher = watcher
        self._good_at: float | None = None
        self._told: BreakerState = BreakerState.CLOSED
        self._told_missing: frozenset[str] | None = None
        """It is None while nothing is known."""
        self._timer: asyncio.TimerHandle | None = None
        self._trial: _Trial | None = None
        self._has_ended = False
        self._healed_at = -math.inf
        """When a probe last loaded all keys again."""
        self._all_signed_at = timing.clock()
        """When each key last signed for a probe or a check, or was loaded at the start."""
        self._waiting: list[Callable[[], None]] = []
        self._is_checking = False

    @property
    def state(self) -> BreakerState:
        return self._breaker.state

    @property
    def is_closed(self) -> bool:
        """Whether handshakes use it like any other."""
        return self._breaker.is_closed

    @property
    def is_well(self) -> bool:
        """Whether a handshake that waits for it may use it: its breaker is closed, or proved."""
        return self._breaker.is_closed or self._breaker.is_proved

    @property
    def is_last_resort(self) -> bool:
        return self._breaker.is_last_resort

    @property
    def expected_seconds(self) -> float:
        """How long a signature takes that begins now; 0 if nothing is known of it yet."""
        figures = self.executor.figures()
        return self.latencies.median * (1 + (figures.queued + figures.running) / max(1, figures.threads))

    @property
    def seconds_since_good(self) -> float | None:
        """Age of the last good signature; None before the first."""
        return None if self._good_at is None else self._timing.clock() - self._good_at

    # -- signatures of handshakes

    def sign(
        self, network: bytes, deadline: float, work: Callable[[], Any], settled: Callable[[Job[Any], Any], None]
    ) -> Job[Any] | JobRefusal:
        """Have `work` done in a thread; `settled` gets its result or its exception, on the loop."""
        job: Job[Any] = Job(work, partial(self._settled, settled), network, deadline, self._timing.clock())
        refusal = self.executor.submit(job, self.latencies.typical)
        if refusal is None:
            return job
        self.counters.refusals += 1
        return refusal

    def _settled(self, settled: Callable[[Job[Any], Any], None], job: Job[Any], result: Any) -> None:
        if job.started is not None:
            self.counters.wait_seconds.observe(job.started - job.submitted)
        elif isinstance(result, CrowdedOut):
            self.counters.refusals += 1
        settled(job, result)

    def succeeded(self, seconds: float) -> None:
        """A signature came, and was used."""
        self.counters.signing_seconds.observe(seconds)
        self.latencies.add(seconds)
        self._good_at = self._timing.clock()
        self._breaker.succeeded()

    def failed(self, began: float | None) -> None:
        """A signature failed by the token's fault, or did not come in time.

        `began` is in loop time. A signature that began before all keys were last loaded again does
        not count against the token: its session is gone.
        """
        self.counters.errors += 1
        if began is None or began >= self._healed_at:
            self._breaker.failed(self._timing.clock())
            self._arrange()

    def outrun(self, limit: float) -> None:
        """Another token was quicker, though it was asked `limit` seconds later."""
        self._breaker.outrun(self._timing.clock(), limit)
        self._arrange()

    def wanted(self) -> None:
        """A client was refused, and the token could have signed for it."""
        self._breaker.wanted(self._timing.clock())
        self._arrange()

    def came_late(self) -> None:
        """A signature came after its client was gone."""
        self._breaker.alive(self._timing.clock())
        self._arrange()

    def await_recovery(self, since: float, until: float, tell: Callable[[], None]) -> bool:
        """Have `tell` called after the probe that follows the first failures; then see `is_well`.

        A handshake that began at `since` may wait for it, because that probe heals most lost
        sessions within milliseconds. If it is over already, `tell` is called in the next turn.
        False, and no call, if no such probe begins by `until`, or if threads hang in the token.
        """
        if self._breaker.is_proved or (self.is_closed and self._healed_at >= since):
            self._timing.loop.call_soon(tell)
        elif self.executor.figures().lost or not (self._breaker.is_tried_by(until) or self._is_tried_first):
            return False
        else:
            self._waiting.append(tell)
        return True

    @property
    def _is_tried_first(self) -> bool:
        trial = self._trial
        return trial is not None and trial.is_first and not trial.is_given_up

    # -- probes

    def begin_open(self) -> None:
        """Begin with an open breaker, until a probe is good; call it before `use`."""
        self._breaker.begin_open(self._timing.clock())

    def use(self, probe: Probe, *, is_refused: bool = False) -> None:
        """Use this probe from now on; keys that are not loaded yet are looked for at once.

        A refused PIN is forgotten only if something has changed: each further try brings a token
        nearer to being locked. `is_refused`: the parent knows of a refused PIN, and nothing is
        tried here.
        """
        now = self._timing.clock()
        has_changed = self._used is None or probe != self._used.probe
        self._used = _Used(probe, now)
        if is_refused:
            self._breaker.stop()
        elif has_changed:
            self._breaker.resume(now)
        if not probe.missing:
            self._tell_missing(probe)
        self._arrange()

    def check_if_idle(self) -> None:
        """Have each key sign once if handshakes have not used the token for long.

        So the state of a spare token is known before it is needed, and no session ends for lack of
        use. If handshakes use some of its keys only, all keys sign now and then.
        """
        now = self._timing.clock()
        is_idle = self._good_at is None or now - self._good_at >= _IDLE_SECONDS
        is_due = is_idle or now - self._all_signed_at >= _ALL_KEYS_SECONDS
        used = self._used
        if is_due and self.is_closed and self._trial is None and not self._is_checking and used is not None:
            job: Job[float] = Job(used.probe.check, self._checked, _OURS, now + _PROBE_SECONDS, now)
            self._is_checking = self.executor.submit_urgent(job) is None

    def _checked(self, job: Job[float], result: float | BaseException) -> None:
        self._is_checking = False
        if isinstance(result, float):
            self._all_signed_at = self._timing.clock()
            self.succeeded(result)
        elif not isinstance(result, GivenUp):
            self.failed(job.started)

    def parent_says(self, *, ok: bool) -> None:
        self._breaker.parent_says(self._timing.clock(), ok=ok)
        self._arrange()

    def pin_refused(self) -> None:
        """Stop all logins: the parent, or another process, was refused."""
        self._breaker.stop()
        self._arrange()

    def pin_may_be_tried(self) -> None:
        """Log in again: the PIN was good elsewhere."""
        self._breaker.resume(self._timing.clock())
        self._arrange()

    def _arrange(self) -> None:
        """Do what a change of the breaker asks for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._has_ended:
            return
        used = self._used
        if self._trial is None and used is not None and used.probe.missing:
            self._breaker.suspect(used.missing_due_at)
        state = self._breaker.state
        if state is not self._told:
            self._told = state
            if state in (BreakerState.OPEN, BreakerState.STOPPED):
                self.executor.give_up_waiting()
            self._watcher.breaker_changed(self.name, state)
        if self._breaker.probe_at != NEVER:
            delay = max(0.0, self._breaker.probe_at - self._timing.clock())
            self._timer = self._timing.loop.call_later(delay, self._begin_probe)

    def _begin_probe(self) -> None:
        now = self._timing.clock()
        is_first = self._breaker.is_tried_by(now)
        self._breaker.probe_begins(now)
        trial = self._trial
        if trial is not None and not trial.is_given_up:
            trial.is_first = is_first
            self._arrange()  # the one in flight tells as much as another one
            return
        self.counters.probes += 1
        if trial is not None or not self._try(now, is_first=is_first):
            self._probe_failed()  # one that hangs already says enough, and keeps its thread
        else:
            self._arrange()

    def _try(self, now: float, *, is_first: bool) -> bool:
        """Begin a probe; whether a thread takes it."""
        assert self._used is not None  # set by `use`, before the first probe is due
        probe = self._used.probe
        trial = _Trial(probe, is_first=is_first)
        work = probe.anew if self._breaker.is_at_odds else probe
        job: Job[float] = Job(work, partial(self._probed, trial), _OURS, now + _PROBE_SECONDS, now)
        if self.executor.submit_urgent(job) is not None:
            return False
        self._trial = trial
        self._timing.loop.call_later(_PROBE_SECONDS, self._probe_is_late, trial)
        return True

    def _probe_is_late(self, trial: _Trial) -> None:
        if self._trial is trial:
            trial.is_given_up = True
            self._probe_failed()

    def _probed(self, trial: _Trial, job: Job[float], result: float | BaseException) -> None:
        del job
        self._trial = None
        self._judge_probe(trial, result)
        self._end_waiting()

    def _judge_probe(self, trial: _Trial, result: float | BaseException) -> None:
        used = self._used
        assert used is not None  # the probe was that of one
        is_outdated = trial.probe != used.probe
        now = self._timing.clock()
        if trial.is_given_up:
            if not isinstance(result, BaseException):
                self._breaker.alive(now)
                self._arrange()
        elif isinstance(result, TokenPinRefused):
            self.counters.probes_failed += 1
            self._breaker.stop()
            if is_outdated:
                self._breaker.resume(now)
            self._arrange()
        elif isinstance(result, BaseException):
            self._probe_failed()
        else:
            self.counters.signing_seconds.observe(result)
            self.latencies.add(result)
            self._good_at = now
            self._healed_at = now
            self._all_signed_at = now
            self._breaker.probe_succeeded(now, result)
            if not is_outdated:
                used.missing_due_at = now + _MISSING_SECONDS
                self._tell_missing(used.probe)
            self._arrange()

    def _tell_missing(self, probe: Probe) -> None:
        """Say which keys a token does not have although it works."""
        missing = probe.missing
        if missing != self._told_missing:
            self._told_missing = missing
            self._watcher.keys_missing(self.name, missing)

    def _probe_failed(self) -> None:
        self.counters.probes_failed += 1
        self._breaker.probe_failed(self._timing.clock())
        self._arrange()
        self._end_waiting()

    def _end_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for tell in waiting:
            tell()

    def close(self) -> None:
        """End its use; only what is in progress continues."""
        self._has_ended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._end_waiting()
        self.executor.close()
