"""Histograms with fixed buckets, and quantiles of them. Pure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from proxy.figures.snapshot import HistogramRow

if TYPE_CHECKING:
    from mypy_extensions import i64

Bounds: TypeAlias = tuple[float, ...]
"""The inclusive upper bounds of the buckets, ascending.

Constants name this type: mypyc 2.4 takes a Final tuple that begins with a float for one that was
never set.
"""

# From a handshake on the same machine to the deadline of handshakes.
HANDSHAKE_SECONDS: Final[Bounds] = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# An ECDSA key in memory signs in 0.05 ms, RSA in 1 ms; keys in a token take from 1 ms to their
# deadline.
SIGNING_SECONDS: Final[Bounds] = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
# From a cached answer to a slow report.
REQUEST_SECONDS: Final[Bounds] = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# Below a millisecond a timer is on time; a delay of seconds makes clients give up.
LAG_SECONDS: Final[Bounds] = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Histogram:
    """Counts of values by bucket, and their sum. The last bucket has the values above all
    bounds."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> int:
        """Count a value. Returns the number of its bucket."""
        bucket: i64 = 0
        # A loop, as it is compiled: most values are in the first buckets. `bisect` is slow to call.
        for bound in self.bounds:
            if value <= bound:
                break
            bucket += 1
        self.counts[bucket] += 1
        self.sum += value
        return bucket

    def row(self, **labels: str) -> HistogramRow:
        """Return counts and sum with these labels, for a snapshot."""
        return cast("HistogramRow", {**labels, "counts": list(self.counts), "sum": self.sum})


def quantile(bounds: Sequence[float], counts: Sequence[int], share: float) -> float | None:
    """Return the smallest bound that `share` (0 to 1) of the values do not exceed.

    None if there are no values, infinity above the last bound. It does not interpolate: the answer
    is exact, but only as fine as the buckets.
    """
    total = sum(counts)
    if total == 0:
        return None
    seen = 0
    for bound, count in zip(bounds, counts, strict=False):
        seen += count
        if seen >= share * total:
            return bound
    return float("inf")
