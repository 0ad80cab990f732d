"""How long a token takes for a signature, and from when on another one is asked as well. Pure."""

from bisect import bisect_left, insort
from collections import deque
from typing import Final

# Enough for a 95th percentile, few enough to follow a token that changes its pace within seconds.
_KEPT: Final = 128
_SHARE: Final = 0.95
_FEW: Final = 8
_TIMES: Final = 2.0
# A pause of the machine is as long. To ask earlier would make two tokens work for nothing.
_LEAST_SECONDS: Final = 0.020
# A handshake has five seconds. Another token needs its time too, and may have to be healed first.
_MOST_SECONDS: Final = 1.0
# For a token that has not signed yet: as slow as devices are.
_UNKNOWN_SECONDS: Final = 0.100


class Latencies:
    """The last signatures of one token, in seconds each."""

    def __init__(self) -> None:
        self._kept: deque[float] = deque()
        self._sorted: list[float] = []

    def add(self, seconds: float) -> None:
        if len(self._kept) == _KEPT:
            del self._sorted[bisect_left(self._sorted, self._kept.popleft())]
        self._kept.append(seconds)
        insort(self._sorted, seconds)

    @property
    def typical(self) -> float:
        return self._quantile(0.5)

    @property
    def median(self) -> float:
        """The same; 0 as long as it says little, after few signatures."""
        return self.typical if len(self._sorted) >= _FEW else 0.0

    @property
    def hedge_after(self) -> float:
        """When a signature is late: after twice the 95th percentile, 20 ms to 1 s."""
        return min(_MOST_SECONDS, max(_LEAST_SECONDS, _TIMES * self._quantile(_SHARE)))

    def _quantile(self, share: float) -> float:
        if not self._sorted:
            return _UNKNOWN_SECONDS
        return self._sorted[min(len(self._sorted) - 1, int(share * len(self._sorted)))]
