"""How often each key signed handshakes since the last entry in the audit log. Pure."""

from collections.abc import Hashable, Iterator

from certs.audit.entries import HandshakeTotal
from proxy.figures.snapshot import Snapshot


class SignatureTotals:
    """Remembers the counts of each worker that are in the log already."""

    def __init__(self) -> None:
        self._said: dict[Hashable, dict[str, tuple[int, int]]] = {}

    def take(self, worker: Hashable, actor: str, snapshot: Snapshot) -> tuple[HandshakeTotal, ...]:
        """The new signatures in a worker's snapshot: one total for each used key, sorted by key."""
        said = self._said.setdefault(worker, {})
        found = []
        for key, (done, failed) in sorted(_counts(snapshot)):
            done_before, failed_before = said.get(key, (0, 0))
            if (done, failed) != (done_before, failed_before):
                found.append(HandshakeTotal(actor, key, done - done_before, failed - failed_before))
            said[key] = done, failed
        return tuple(found)

    def forget(self, worker: Hashable) -> None:
        self._said.pop(worker, None)


def _counts(snapshot: Snapshot) -> Iterator[tuple[str, tuple[int, int]]]:
    """Signatures by key for keys in tokens, and by identity for the others.

    OpenSSL itself chooses among the file keys of an identity.
    """
    for row in snapshot.get("key_signatures", ()):
        yield row["key"], (row["done"], row["failed"])
    for seconds in snapshot.get("signing_seconds", ()):
        yield f"identity {seconds['identity']}", (sum(seconds["counts"]), 0)
