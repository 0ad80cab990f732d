"""The pause before the next worker of a slot starts, and the log line if the start fails.

A worker that ends soon, or that cannot be started, has a fault. The pause before the next one grows
with each failure in a row.

A worker of another version has no fault: the files of Plexigate were replaced, and the next worker
will be of that version too. The log says this once. The pause stays the same, so that workers start
again once the old files are back.
"""

from proxy.observe.events.event import Tell
from proxy.observe.events.workers import WorkerFailed
from proxy.processes.messages.refusals import OtherVersion, QuestionRefused
from proxy.supervisor.workers.timeouts import WorkerTimeouts


class Restarts:
    """Counts the failures of each slot in a row."""

    def __init__(self, patience: WorkerTimeouts, tell: Tell) -> None:
        self._patience = patience
        self._tell = tell
        self._failures: dict[int, int] = {}
        self._of_other_version: set[int] = set()
        """Slots whose last worker was of another version."""

    def pause(self, slot: int) -> float:
        """Seconds to wait before the next worker of a slot is started."""
        if slot in self._of_other_version:
            return self._patience.other_version
        return self._patience.before_restart(self._failures.get(slot, 0))

    def ended(self, slot: int, lived: float) -> None:
        """A worker that served has ended. It lived for `lived` seconds."""
        is_healthy = lived >= self._patience.healthy
        self._failures[slot] = 0 if is_healthy else self._failures.get(slot, -1) + 1

    def joined(self, slot: int) -> None:
        self._of_other_version.discard(slot)

    def failed(self, slot: int, error: Exception) -> None:
        """A worker could not be started."""
        if isinstance(error, QuestionRefused) and isinstance(error.reason, OtherVersion):
            is_known = bool(self._of_other_version)
            self._of_other_version.add(slot)
            if is_known:
                return
        else:
            self._of_other_version.discard(slot)
            self._failures[slot] = self._failures.get(slot, 0) + 1
        self.report(slot, error)

    def report(self, slot: int, error: Exception) -> None:
        """Log why a worker could not be started."""
        self._tell(WorkerFailed(slot, str(error) or "it was not ready in time (reload_timeout)"))
