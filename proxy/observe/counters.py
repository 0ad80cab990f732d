"""Plain counters of one process, under labels that no client can invent."""

from collections import Counter


class Counters:
    """Handshakes by outcome, failures by reason, requests by class of status."""

    def __init__(self) -> None:
        """All at nothing."""
        self._handshakes: Counter[tuple[str, str, str]] = Counter()
        self._failures: Counter[tuple[str, str]] = Counter()
        self._requests: Counter[tuple[str, int]] = Counter()

    def handshake(self, listener: str, identity: str, outcome: str) -> None:
        """Count a handshake; `identity` is the name of a configured identity, `-` where there is none."""
        self._handshakes[listener, identity, outcome] += 1

    def failure(self, listener: str, reason: str) -> None:
        """Count a connection that never came to a request."""
        self._failures[listener, reason] += 1

    def request(self, listener: str, status: int) -> None:
        """Count an answered request."""
        self._requests[listener, status // 100] += 1

    def snapshot(self) -> dict[str, list[dict[str, str | int]]]:
        """All counters, for JSON."""
        return {
            "handshakes": [
                {"listener": listener, "identity": identity, "outcome": outcome, "count": count}
                for (listener, identity, outcome), count in sorted(self._handshakes.items())
            ],
            "failures": [
                {"listener": listener, "reason": reason, "count": count}
                for (listener, reason), count in sorted(self._failures.items())
            ],
            "requests": [
                {"listener": listener, "status": f"{hundreds}xx", "count": count}
                for (listener, hundreds), count in sorted(self._requests.items())
            ],
        }

    def summary(self) -> str:
        """The totals in a sentence, for a terminal."""
        outcomes: Counter[str] = Counter()
        for (_, _, outcome), count in self._handshakes.items():
            outcomes[outcome] += count
        handshakes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())) or "none"
        return f"{self._requests.total()} requests; handshakes: {handshakes}; failures: {self._failures.total()}"
