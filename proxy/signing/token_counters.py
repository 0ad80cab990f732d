"""The counters of one token in one process. Pure."""

from typing import Final

from proxy.figures.histogram import SIGNING_SECONDS, Bounds, Histogram
from proxy.figures.snapshot import KeySignaturesRow, TokenCountsRow

# From a free thread to a queue that only deadlines empty.
WAIT_SECONDS: Final[Bounds] = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class TokenCounters:
    """Numbers that only grow."""

    def __init__(self) -> None:
        self.signing_seconds = Histogram(SIGNING_SECONDS)
        self.wait_seconds = Histogram(WAIT_SECONDS)
        self.errors = 0
        """Signatures that failed, or did not come within their deadline."""
        self.failovers = 0
        """Handshakes that went on to another token after an error of this one."""
        self.hedges = 0
        """Handshakes that asked another token as well, as this one took too long."""
        self.hedges_won = 0
        """Handshakes for which this token was the one asked as well, and answered first."""
        self.refusals = 0
        """Signatures that were not tried, as the queue was too long."""
        self.probes = 0
        self.probes_failed = 0
        self._keys: dict[str, list[int]] = {}

    def signed(self, key: str, *, is_good: bool) -> None:
        """Count a signature of a handshake with a key of the configuration."""
        counts = self._keys.get(key)
        if counts is None:
            counts = self._keys[key] = [0, 0]
        counts[not is_good] += 1

    def key_rows(self) -> list[KeySignaturesRow]:
        """How often each key signed, and how often it failed to."""
        return [{"key": key, "done": done, "failed": failed} for key, (done, failed) in self._keys.items()]

    def row(self, token: str) -> TokenCountsRow:
        """The plain numbers, for a snapshot."""
        return {
            "token": token,
            "errors": self.errors,
            "failovers": self.failovers,
            "hedges": self.hedges,
            "hedges_won": self.hedges_won,
            "refusals": self.refusals,
            "probes": self.probes,
            "probes_failed": self.probes_failed,
        }
