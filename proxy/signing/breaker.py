"""When a token is out of use, and when it is trusted again. Pure: time comes in.

Theory of operation. While the breaker is closed, handshakes use the token. It opens in two degrees.
A token that fails, by errors or by not answering, is not asked: handshakes go to another token or
are refused at once. A token that is always slower than another one is passed over as well, but
still asked if there is nothing better: late is better than never.

Only probes, signatures made for this purpose, close it again. The first probe comes at once, as a
new login heals most lost sessions. Further ones come after 1, 2, 4 ... 30 seconds, but every second
while clients are refused because the token is missing. The parent probes too, from outside of the
TLS library. Both must find the token well; a parent that says nothing for some seconds does not
object. A token whose PIN is refused is not tried again: each attempt brings it nearer to being
locked.

The first failure already causes a probe, while handshakes continue using the token. A probe that
fails opens the breaker. If it fails while the parent finds the token well, the fault is in this
process: some of the next probes, a second later and more, load the module again.

`_TRANSITIONS` has every change of state.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Final

from proxy.signing.track_record import TrackRecord

NEVER: Final = math.inf
BACK_OFF_SECONDS: Final = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""The waits before the probes of an open breaker; the last one counts for all further probes."""

# A breaker that opens again so soon after it closed, and after so few good signatures, continues
# where its back-off was.
_RELAPSE_SECONDS: Final = 30.0
_RELAPSE_SIGNATURES: Final = 20
# The time between probes that failures cause while the breaker is closed.
_SUSPICION_SECONDS: Final = 1.0
# The time between probes while clients are refused.
_WANTED_SECONDS: Final = 1.0
# A good probe of ours counts for so long while the parent's is missing.
_PROOF_SECONDS: Final = 10.0
# A good probe of ours waits for so long for a parent that has said nothing since the breaker
# opened.
_PARENT_SECONDS: Final = 5.0
# The number of probes that load the module again. After them the parent decides whether to replace
# this process.
_PROBES_ANEW: Final = 3


class BreakerState(StrEnum):
    """The values are stable: they stand in logs and metrics."""

    CLOSED = "closed"
    SLOW = "slow"
    """Passed over, but used where there is nothing better."""
    OPEN = "open"
    HALF_OPEN = "half_open"
    """A probe is in progress."""
    PROVED = "proved"
    """A good probe of ours waits for the parent's."""
    STOPPED = "stopped"
    """The PIN was refused: for good, until `resume`."""


class Step(Enum):
    """What moves a breaker to another state."""

    FAIL = auto()
    """Too many signatures of handshakes failed, or a probe did."""
    FALL_BEHIND = auto()
    """Another token was quicker too often."""
    PROBE = auto()
    """A probe begins."""
    PROVE = auto()
    """A probe was good, and the parent's word is missing."""
    TRUST = auto()
    """A probe was good, and the parent has nothing against it."""
    STOP = auto()
    """The token refuses the PIN."""
    RESUME = auto()
    """There may be another PIN."""


_S = BreakerState
_TRANSITIONS: Final[Mapping[tuple[BreakerState, Step], BreakerState]] = {
    (_S.CLOSED, Step.FAIL): _S.OPEN,
    (_S.CLOSED, Step.FALL_BEHIND): _S.SLOW,
    (_S.CLOSED, Step.STOP): _S.STOPPED,
    (_S.SLOW, Step.FAIL): _S.OPEN,
    (_S.SLOW, Step.PROVE): _S.PROVED,
    (_S.SLOW, Step.TRUST): _S.CLOSED,
    (_S.SLOW, Step.STOP): _S.STOPPED,
    (_S.OPEN, Step.FAIL): _S.OPEN,
    (_S.OPEN, Step.PROBE): _S.HALF_OPEN,
    (_S.OPEN, Step.PROVE): _S.PROVED,  # by a probe that was in progress when it opened
    (_S.OPEN, Step.TRUST): _S.CLOSED,
    (_S.OPEN, Step.STOP): _S.STOPPED,
    (_S.HALF_OPEN, Step.FAIL): _S.OPEN,
    (_S.HALF_OPEN, Step.PROVE): _S.PROVED,
    (_S.HALF_OPEN, Step.TRUST): _S.CLOSED,
    (_S.HALF_OPEN, Step.STOP): _S.STOPPED,
    (_S.PROVED, Step.FAIL): _S.OPEN,
    (_S.PROVED, Step.PROBE): _S.HALF_OPEN,
    (_S.PROVED, Step.TRUST): _S.CLOSED,
    (_S.PROVED, Step.STOP): _S.STOPPED,
    (_S.STOPPED, Step.STOP): _S.STOPPED,
    (_S.STOPPED, Step.RESUME): _S.OPEN,
}
"""Every change of state. A step that is not here for a state changes nothing in it."""


@dataclass(slots=True)
class _Opening:
    """What has happened since the breaker was last closed."""

    is_relapse: bool = False
    """Whether it had been closed only for a moment."""
    limit: float = NEVER
    """The seconds within which a slow token has to sign to be trusted again."""
    probes_failed: int = 0
    first_proof_at: float = NEVER
    """When the first good probe of ours came."""
    proved_at: float = -math.inf
    """When the last one did that waits for the parent."""
    is_parent_content: bool = False
    """Whether the parent has found the token well, at last."""
    failed_beside_parent: int = 0
    """Probes in a row that failed although the parent finds the token well."""


class Breaker:
    """The breaker of one token in one process. All times are of one monotonic clock, in seconds."""

    def __init__(self, *, has_parent: bool = False) -> None:
        """Begin closed. `has_parent`: `parent_says` is called while it is open."""
        self.state = BreakerState.CLOSED
        self.probe_at = NEVER
        """When the next probe is due."""
        self._record = TrackRecord()
        self._opening = _Opening()
        self._has_parent = has_parent
        self._parent_ok: bool | None = None
        """The parent's latest word; None if it has not looked since the breaker opened."""
        self._back_off = 0
        self._closed_at = -math.inf
        self._tried_at = -math.inf
        """When the last probe began, or failed."""
        self._waiting_since = -math.inf

    @property
    def is_closed(self) -> bool:
        """Whether handshakes use the token like any other."""
        return self.state is BreakerState.CLOSED

    @property
    def is_last_resort(self) -> bool:
        """Whether handshakes use it if there is no better one: it is slow, or proved."""
        return self.state is BreakerState.SLOW or self.is_proved

    @property
    def is_at_odds(self) -> bool:
        """Whether the fault may be in this process: a probe failed after the parent's was good."""
        return 1 <= self._opening.failed_beside_parent <= _PROBES_ANEW

    def is_tried_by(self, then: float) -> bool:
        """Whether the probe after the first failures is due: it heals most lost sessions."""
        return self.probe_at <= then and self._opening.probes_failed == 0

    @property
    def is_proved(self) -> bool:
        """Whether a probe of ours was good, and the parent has not said otherwise."""
        return self.state is BreakerState.PROVED and self._parent_ok is not False

    def _take(self, step: Step) -> bool:
        """Go to the next state; whether there is one for this step."""
        following = _TRANSITIONS.get((self.state, step))
        if following is None:
            return False
        self.state = following
        return True

    # -- what handshakes find

    def succeeded(self) -> None:
        """A signature came in time."""
        self._record.succeeded()

    def failed(self, now: float) -> None:
        """A signature failed, or never came."""
        if self.state is BreakerState.SLOW:
            self._open(Step.FAIL, now)
        elif self.state is BreakerState.CLOSED:  # else it was begun before the breaker opened, and probes decide now
            if self._record.failed():
                self._open(Step.FAIL, now)
            else:
                self.suspect(max(now, self._tried_at + _SUSPICION_SECONDS))

    def suspect(self, at: float) -> None:
        """Have a token that is closed or proved probed at that time; others have their probes."""
        if self.state in (BreakerState.CLOSED, BreakerState.PROVED):
            self.probe_at = min(self.probe_at, at)

    def outrun(self, now: float, limit: float) -> None:
        """Another token was asked after `limit` seconds, and answered first."""
        if self.state is BreakerState.CLOSED and self._record.outrun():
            self._open(Step.FALL_BEHIND, now)
            self._opening.limit = limit

    def alive(self, now: float) -> None:
        """A signature came after its client was gone: probe at once, apart from the back-off."""
        if self.state in (BreakerState.OPEN, BreakerState.SLOW) and now < self.probe_at < NEVER:
            self.probe_at = now
            self._back_off -= 1

    def wanted(self, now: float) -> None:
        """A client was refused for want of a token: probe soon, in spite of the back-off."""
        if self.state is BreakerState.OPEN:
            self.probe_at = min(self.probe_at, max(now, self._waiting_since + _WANTED_SECONDS))

    def begin_open(self, now: float) -> None:
        """Trust a token only when a probe has found it well."""
        self._open(Step.FAIL, now)

    def _open(self, step: Step, now: float) -> None:
        since = now
        if self.state is BreakerState.CLOSED:
            is_soon = now - self._closed_at < _RELAPSE_SECONDS
            self._opening = _Opening(is_relapse=is_soon and self._record.good < _RELAPSE_SIGNATURES)
            self._record = TrackRecord()
            if self._opening.is_relapse:
                since = self._tried_at
            else:
                self._back_off = 0
            if self._has_parent:
                self._parent_ok = None  # it looks at the token again
        self._take(step)
        self._wait(now, since)

    def _wait(self, now: float, since: float) -> None:
        self._waiting_since = now
        self.probe_at = max(now, since + BACK_OFF_SECONDS[min(self._back_off, len(BACK_OFF_SECONDS) - 1)])
        self._back_off += 1

    # -- probes

    def probe_begins(self, now: float) -> None:
        """A probe is in progress; one of `probe_succeeded`, `probe_failed` and `stop` follows."""
        self._tried_at = now
        self.probe_at = NEVER
        self._take(Step.PROBE)

    def probe_succeeded(self, now: float, seconds: float) -> None:
        """The probe brought a good signature after `seconds`.

        It may have been in flight already when the breaker opened.
        """
        opening = self._opening
        if self.state is BreakerState.SLOW and seconds > opening.limit:
            self._wait(now, now)
        elif (self.state, Step.PROVE) in _TRANSITIONS:
            opening.first_proof_at = min(opening.first_proof_at, now)
            if self._parent_ok is False:
                self._prove(now, NEVER)
            elif self._is_awaiting_parent(now):
                self._prove(now, now + _PARENT_SECONDS)
            else:
                self._close(now)

    def _prove(self, now: float, probe_at: float) -> None:
        self._take(Step.PROVE)
        self._opening.proved_at = now
        self.probe_at = probe_at

    def _is_awaiting_parent(self, now: float) -> bool:
        opening = self._opening
        has_waited = now - opening.first_proof_at >= _PARENT_SECONDS
        is_open = self.state is not BreakerState.SLOW
        return self._has_parent and is_open and not opening.is_parent_content and not has_waited

    def probe_failed(self, now: float) -> None:
        """The probe failed, or never came."""
        if self.state is BreakerState.STOPPED:
            return
        self._tried_at = now
        was_closed = self.state is BreakerState.CLOSED
        if self._opening.is_parent_content and not was_closed:
            self._opening.failed_beside_parent += 1
            if self._opening.failed_beside_parent == 1:
                self._back_off = 1  # the failures before were the token's, and say nothing of this process
        self._open(Step.FAIL, now)
        if was_closed and self._back_off == 1:
            self._wait(now, now)  # this one was the try at once
        self._opening.probes_failed += 1

    def parent_says(self, now: float, *, ok: bool) -> None:
        """What the parent's latest probe has found."""
        opening = self._opening
        # a good probe says little of a token that comes and goes: the last one was good too
        is_news = ok and (self._parent_ok is False or (self._parent_ok is None and not opening.is_relapse))
        self._parent_ok = ok
        if self.state in (BreakerState.CLOSED, BreakerState.STOPPED):
            return
        opening.is_parent_content = ok
        if not ok:
            opening.failed_beside_parent = 0
        if self.state is BreakerState.PROVED and ok:
            if now - opening.proved_at <= _PROOF_SECONDS:
                self._close(now)
            else:
                self.probe_at = now
        elif is_news and self.state is BreakerState.OPEN:
            self.probe_at = now

    def _close(self, now: float) -> None:
        self._take(Step.TRUST)
        self._closed_at = now
        self._record.good = 0
        self._opening.probes_failed = 0
        self._opening.failed_beside_parent = 0
        self.probe_at = NEVER

    # -- PINs

    def stop(self) -> None:
        """The token refuses the PIN: it is not tried any more."""
        self._take(Step.STOP)
        self.probe_at = NEVER

    def resume(self, now: float) -> None:
        """There may be another PIN: try it once, at once."""
        if self._take(Step.RESUME):
            self._back_off = 1
            self.probe_at = now
