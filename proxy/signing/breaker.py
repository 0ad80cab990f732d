"""When a token is left alone, and when it is trusted again. Pure: time comes in.

Theory of operation. While the breaker is closed, handshakes use the token. It opens in two degrees. A token that fails, by errors
or by not answering, is not asked by anybody: handshakes go elsewhere or are refused at once. A token that is only outrun by
another one all the time is passed over as well, but still asked where there is nothing better: late is better than never.

Only signatures made for the purpose (probes) close it again. One is tried at once, as most of what happens to a session is
healed by logging in again, then after 1, 2, 4 ... 30 seconds; but every second while clients are refused for want of it. Both this
process and the parent, whose probes come from outside of the TLS library, must find the token well; a parent that says nothing for some
seconds has nothing against it. A token whose PIN is refused is not tried again: each attempt brings it nearer to being locked.

The first failure already has the token probed, while handshakes go on using it: a probe that fails opens the breaker. One that fails
while the parent finds the token well shows a fault of this process: some of the next ones, a second later and more, load the module
anew.
"""

import math
from collections import deque
from enum import StrEnum
from typing import Final

NEVER: Final = math.inf
BACK_OFF_SECONDS: Final = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Before each probe after the breaker has opened; the last one counts for all further ones."""

_FAILURES_IN_A_ROW: Final = 3
# Of the last signatures so many: a token that fails every second time is no use either.
_WINDOW: Final = 20
_FAILURES_IN_WINDOW: Final = 10
# A race is lost now and then by chance.
_RACES_LOST_IN_A_ROW: Final = 5
# A breaker that opens again so soon after it was closed, and after so few good signatures, goes on where its back-off was.
_RELAPSE_SECONDS: Final = 30.0
_RELAPSE_SIGNATURES: Final = 20
# Between probes that failures cause while the breaker is closed.
_SUSPICION_SECONDS: Final = 1.0
# Between probes while clients are refused.
_WANTED_SECONDS: Final = 1.0
# So long a good probe of ours counts while the parent's is missing.
_PROOF_SECONDS: Final = 10.0
# So long a good probe of ours waits for a parent that has said nothing since the breaker opened.
_PARENT_SECONDS: Final = 5.0
# Probes that load the module anew before it is left to the parent what becomes of this process.
_PROBES_ANEW: Final = 3


class BreakerState(StrEnum):
    """The values are stable: they stand in logs and metrics."""

    CLOSED = "closed"
    SLOW = "slow"
    """Passed over, but used where there is nothing better."""
    OPEN = "open"
    HALF_OPEN = "half_open"
    """A probe is under way."""
    PROVED = "proved"
    """A good probe of ours waits for the parent's."""
    STOPPED = "stopped"
    """The PIN was refused: for good, until `resume`."""


class Breaker:
    """Of one token in one process. All times are of one monotonic clock, in seconds."""

    def __init__(self, *, has_parent: bool = False) -> None:
        """Closed. `has_parent`: somebody calls `parent_says` while it is open."""
        self._has_parent = has_parent
        self._first_proof_at = NEVER
        """The first good probe of ours since it opened."""
        self.state = BreakerState.CLOSED
        self.probe_at = NEVER
        """When the next probe is due."""
        self._recent: deque[bool] = deque(maxlen=_WINDOW)
        self._failures_in_a_row = 0
        self._races_lost = 0
        self._back_off = 0
        self._probes_failed = 0
        self._closed_at = -math.inf
        self._tried_at = -math.inf
        """When the last probe began, or failed."""
        self._waiting_since = -math.inf
        self._proved_at = -math.inf
        self._parent_ok: bool | None = None
        self._parent_ok_since_opening = False
        self._limit = NEVER
        self._failed_beside_parent = 0
        """Probes in a row that failed although the parent finds the token well."""
        self._good_since_closing = 0
        self._is_relapse = False

    @property
    def is_closed(self) -> bool:
        """Whether handshakes use the token without a second thought."""
        return self.state is BreakerState.CLOSED

    @property
    def is_last_resort(self) -> bool:
        """Whether handshakes use it if there is no better one: it is slow, or a probe of ours has found it well."""
        return self.state is BreakerState.SLOW or self.is_proved

    @property
    def is_at_odds(self) -> bool:
        """Whether the fault may be in this process: the parent finds the token well, and a probe of ours has failed since."""
        return 1 <= self._failed_beside_parent <= _PROBES_ANEW

    def is_tried_by(self, then: float) -> bool:
        """Whether the probe that follows the first failures is due then: most of what happens to a session is healed by it."""
        return self.probe_at <= then and self._probes_failed == 0

    @property
    def is_proved(self) -> bool:
        """Whether a probe of ours has found the token well, and the parent has not said otherwise."""
        return self.state is BreakerState.PROVED and self._parent_ok is not False

    # -- what handshakes find

    def succeeded(self) -> None:
        """A signature came in time."""
        self._good_since_closing += 1
        self._recent.append(True)
        self._failures_in_a_row = self._races_lost = 0

    def failed(self, now: float) -> None:
        """A signature failed, or never came."""
        if self.state is BreakerState.SLOW:
            self._open(BreakerState.OPEN, now)
        if self.state is not BreakerState.CLOSED:
            return  # begun before it opened; probes decide now
        self._recent.append(False)
        self._failures_in_a_row += 1
        in_window = self._recent.count(False)
        if self._failures_in_a_row >= _FAILURES_IN_A_ROW or in_window >= _FAILURES_IN_WINDOW:
            self._open(BreakerState.OPEN, now)
        else:
            self.suspect(max(now, self._tried_at + _SUSPICION_SECONDS))

    def suspect(self, at: float) -> None:
        """Have a closed breaker's token probed at that time."""
        if self.state is BreakerState.CLOSED:
            self.probe_at = min(self.probe_at, at)

    def outrun(self, now: float, limit: float) -> None:
        """Another token was asked after `limit` seconds, and answered first."""
        if self.state is not BreakerState.CLOSED:
            return
        self._races_lost += 1
        if self._races_lost >= _RACES_LOST_IN_A_ROW:
            self._limit = limit
            self._open(BreakerState.SLOW, now)

    def alive(self, now: float) -> None:
        """A signature that nobody waits for any more came after all: worth a look at once, which takes nothing of the back-off."""
        if self.state in (BreakerState.OPEN, BreakerState.SLOW) and now < self.probe_at < NEVER:
            self.probe_at = now
            self._back_off -= 1

    def wanted(self, now: float) -> None:
        """A client was refused as nothing can sign for it: do not let the next one wait for a long back-off."""
        if self.state is BreakerState.OPEN:
            self.probe_at = min(self.probe_at, max(now, self._waiting_since + _WANTED_SECONDS))

    def begin_open(self, now: float) -> None:
        """Trust a token only when a probe has found it well."""
        self._open(BreakerState.OPEN, now)

    def _open(self, state: BreakerState, now: float) -> None:
        since = now
        if self.state is BreakerState.CLOSED:
            is_soon = now - self._closed_at < _RELAPSE_SECONDS
            self._is_relapse = is_soon and self._good_since_closing < _RELAPSE_SIGNATURES
            if self._is_relapse:
                since = self._tried_at
            else:
                self._back_off = 0
            self._probes_failed = 0
            self._parent_ok_since_opening = False
            self._failed_beside_parent = 0
            if self._has_parent:
                self._parent_ok = None  # it looks at the token anew
            self._first_proof_at = NEVER
            self._recent.clear()
            self._failures_in_a_row = self._races_lost = 0
        self.state = state
        self._wait(now, since)

    def _wait(self, now: float, since: float) -> None:
        self._waiting_since = now
        self.probe_at = max(now, since + BACK_OFF_SECONDS[min(self._back_off, len(BACK_OFF_SECONDS) - 1)])
        self._back_off += 1

    # -- probes

    def probe_begins(self, now: float) -> None:
        """A probe is under way; one of `probe_succeeded`, `probe_failed` and `stop` follows."""
        self._tried_at = now
        self.probe_at = NEVER
        if self.state in (BreakerState.OPEN, BreakerState.PROVED):
            self.state = BreakerState.HALF_OPEN

    def probe_succeeded(self, now: float, seconds: float) -> None:
        """It brought a good signature within so many seconds; also one that was under way when the breaker opened."""
        if self.state is BreakerState.SLOW and seconds > self._limit:
            self._wait(now, now)
        elif self.state in (BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.SLOW):
            self._first_proof_at = min(self._first_proof_at, now)
            if self._parent_ok is False:
                self._prove(now, NEVER)
            elif self._is_awaiting_parent(now):
                self._prove(now, now + _PARENT_SECONDS)
            else:
                self._close(now)

    def _prove(self, now: float, probe_at: float) -> None:
        self.state = BreakerState.PROVED
        self._proved_at = now
        self.probe_at = probe_at

    def _is_awaiting_parent(self, now: float) -> bool:
        has_waited = now - self._first_proof_at >= _PARENT_SECONDS
        is_open = self.state is not BreakerState.SLOW
        return self._has_parent and is_open and not self._parent_ok_since_opening and not has_waited

    def probe_failed(self, now: float) -> None:
        """It failed, or never came."""
        if self.state is BreakerState.STOPPED:
            return
        self._tried_at = now
        was_closed = self.state is BreakerState.CLOSED
        if self._parent_ok_since_opening and not was_closed:
            self._failed_beside_parent += 1
            if self._failed_beside_parent == 1:
                self._back_off = 1  # what the token has brought about says nothing of this process
        self._open(BreakerState.OPEN, now)
        if was_closed and self._back_off == 1:
            self._wait(now, now)  # this one was the try at once
        self._probes_failed += 1

    def parent_says(self, now: float, *, ok: bool) -> None:
        """What the parent's latest probe has found."""
        # of a token that comes and goes its good word is none: it was good the last time, too
        is_news = ok and (self._parent_ok is False or (self._parent_ok is None and not self._is_relapse))
        self._parent_ok = ok
        if self.state in (BreakerState.CLOSED, BreakerState.STOPPED):
            return
        self._parent_ok_since_opening = ok
        if not ok:
            self._failed_beside_parent = 0
        if self.state is BreakerState.PROVED and ok:
            if now - self._proved_at <= _PROOF_SECONDS:
                self._close(now)
            else:
                self.probe_at = now
        elif is_news and self.state is BreakerState.OPEN:
            self.probe_at = now

    def _close(self, now: float) -> None:
        self.state = BreakerState.CLOSED
        self._closed_at = now
        self._good_since_closing = 0
        self._probes_failed = self._failed_beside_parent = 0
        self.probe_at = NEVER

    # -- PINs

    def stop(self) -> None:
        """The token refuses the PIN: it is not tried any more."""
        self.state = BreakerState.STOPPED
        self.probe_at = NEVER

    def resume(self, now: float) -> None:
        """There may be another PIN: try it once, at once."""
        if self.state is BreakerState.STOPPED:
            self.state = BreakerState.OPEN
            self._back_off = 1
            self.probe_at = now
