"""The few figures that the last line of a process tells, out of what all workers counted. Pure."""

from collections import Counter
from collections.abc import Mapping
from typing import Any


def totals(counted: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Handshakes by outcome, failures by reason, requests by class of status, each by listener."""
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
    """A number of things, as people say it: 1 worker, 2 workers."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
