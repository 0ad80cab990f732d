"""How often each key signed handshakes since the audit log last said so, from what workers count.

Pure.
"""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

from certs.audit.entries import HandshakeTotal


class SignatureTotals:
    """Remembers what was said of each worker."""

    def __init__(self) -> None:
        """All counts are new at first."""
        self._said: dict[Hashable, dict[str, tuple[int, int]]] = {}

    def take(self, worker: Hashable, actor: str, snapshot: Mapping[str, Any]) -> tuple[HandshakeTotal, ...]:
        """What is new in a worker's snapshot, one total for each key that was used, in the order of
        the keys.
        """
        said = self._said.setdefault(worker, {})
        found = []
        for key, (done, failed) in sorted(_counts(snapshot)):
            done_before, failed_before = said.get(key, (0, 0))
            if (done, failed) != (done_before, failed_before):
                found.append(HandshakeTotal(actor, key, done - done_before, failed - failed_before))
            said[key] = done, failed
        return tuple(found)

    def forget(self, worker: Hashable) -> None:
        """The worker is gone."""
        self._said.pop(worker, None)


def _counts(snapshot: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, int]]]:
    """By key for those in tokens; by identity, of which OpenSSL chooses the key by itself, for
    handshakes that were signed.
    """
    for row in snapshot.get("key_signatures", ()):
        yield row["key"], (row["done"], row["failed"])
    for row in snapshot.get("signing_seconds", ()):
        yield f"identity {row['identity']}", (sum(row["counts"]), 0)
