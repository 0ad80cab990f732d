"""How long the parent waits for its workers. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerTimeouts:
    """Seconds each."""

    stuck: float = 1.0
    """How long a worker may take to answer before its slot is accepted on by another one: a stall of a second is a failure."""
    given_up: float = 3.0
    """How long until a reload goes on without it, and prepares a new one in its place: a busy machine makes nobody silent for so long."""
    hopeless: float = 30.0
    """How long until it is ended and replaced: its connections are lost by that, so it gets every chance."""
    ping: float = 0.5
    """Between two questions whether it still answers."""
    healthy: float = 60.0
    """A worker that lived for so long did not end because of its start: the next one comes at once again."""
    back_off: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
    """Before each restart in a row; the last one is kept."""
    goodbye: float = 5.0
    """After the time to drain, for a worker to say goodbye."""

    def before_restart(self, failures: int) -> float:
        """How long to wait after so many failures in a row."""
        return self.back_off[min(failures, len(self.back_off) - 1)]
