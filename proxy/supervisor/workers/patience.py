"""How long the parent waits for its workers. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerTimeouts:
    """Each is in seconds."""

    stuck: float = 1.0
    """How long a worker may take to answer before another one accepts on its slot too: a stall of a
    second is a failure.
    """
    given_up: float = 3.0
    """How long until a reload gives a worker up and starts another one in its place.

    A busy machine alone delays no answer for so long.
    """
    hopeless: float = 30.0
    """How long until a silent worker is killed and replaced.

    That loses its connections, so the time is long.
    """
    ping: float = 0.5
    """Between two questions whether it still answers."""
    healthy: float = 60.0
    """A worker that lived for so long did not fail at its start: its successor starts at once."""
    back_off: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
    """Before each restart in a row; the last one is kept."""
    other_version: float = 30.0
    """Between two attempts to start a worker while the files of Plexigate are of another version than this process."""
    goodbye: float = 5.0
    """After the time to drain, for a worker to say goodbye."""

    def before_restart(self, failures: int) -> float:
        """How long to wait after so many failures in a row."""
        return self.back_off[min(failures, len(self.back_off) - 1)]
