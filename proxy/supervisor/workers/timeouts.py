"""How long the parent waits for its workers. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerTimeouts:
    """All values are seconds."""

    stuck: float = 1.0
    """How long a worker may take to answer before another worker accepts on its slot too.

    A stall of a second is a failure.
    """
    given_up: float = 3.0
    """How long until a reload gives a worker up and starts another one in its place.

    A busy machine alone delays no answer for so long.
    """
    hopeless: float = 30.0
    """How long until a silent worker is killed: long, as that loses its connections."""
    ping: float = 0.5
    """The time between two questions whether a worker still answers."""
    healthy: float = 60.0
    """A worker that lived for so long did not fail at its start: its successor starts at once."""
    back_off: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
    """The pauses before the restarts in a row. The last value is used for all further ones."""
    other_version: float = 30.0
    """The pause between two starts while the files are of another version than this process."""
    goodbye: float = 5.0
    """How long a worker may take to say goodbye after the time to drain."""

    def before_restart(self, failures: int) -> float:
        """How long to wait after `failures` in a row."""
        return self.back_off[min(failures, len(self.back_off) - 1)]
