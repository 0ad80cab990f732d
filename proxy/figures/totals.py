"""The totals in the last event of a process (`stopped`), from the counts of all workers. Pure."""

from collections import Counter
from typing import TypedDict

from proxy.figures.snapshot import FailureRow, ListenerRequestRow, Snapshot


class HandshakeTotals(TypedDict):
    listener: str
    identity: str
    outcome: str
    count: int


class Totals(TypedDict):
    handshakes: list[HandshakeTotals]
    failures: list[FailureRow]
    requests: list[ListenerRequestRow]


def totals(counted: Snapshot) -> Totals:
    """Handshakes by outcome, failures by reason, requests by class of status, of each listener."""
    handshakes: Counter[tuple[str, str, str]] = Counter()
    for row in counted.get("handshakes", ()):
        handshakes[row["listener"], row["identity"], row["outcome"]] += row["count"]
    return {
        "handshakes": [
            {"listener": listener, "identity": identity, "outcome": outcome, "count": count}
            for (listener, identity, outcome), count in sorted(handshakes.items())
        ],
        "failures": list(counted.get("failures", ())),
        "requests": list(counted.get("listener_requests", ())),
    }


def how_many(count: int, noun: str) -> str:
    """Format a number of things: 1 worker, 2 workers."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
