"""What signs for a token, what tries a token, and what follows its state."""

from typing import Any, Protocol

from proxy.signing.breaker import BreakerState
from proxy.signing.executor import ExecutorFigures, Job, JobRefusal


class SigningThreads(Protocol):
    """The threads of one token: a `SigningExecutor`."""

    def submit(self, job: Job[Any], typical_seconds: float) -> JobRefusal | None:
        """Have `job` done; None if it was taken. `typical_seconds` is what such a job takes."""

    def submit_urgent(self, job: Job[Any]) -> JobRefusal | None:
        """Have `job` done before all others."""

    def cancel(self, job: Job[Any]) -> bool:
        """Take a job out of the queue; whether it was still in it."""

    def give_up_waiting(self) -> None:
        """Tell each job in the queue that its turn will not come (`GivenUp`)."""

    @property
    def has_idle_thread(self) -> bool:
        """Whether a job would begin at once."""

    def figures(self) -> ExecutorFigures:
        """Count threads and jobs."""

    def close(self) -> None: ...


class Probe(Protocol):
    """Tries a token by real signatures; runs in a thread."""

    @property
    def missing(self) -> frozenset[str]:
        """The keys that cannot be asked for signatures, by their URIs."""

    def __call__(self) -> float:
        """Load every key again, sign with each, and return the seconds of the slowest signature.

        Loading logs in if that is needed, and the new keys replace those that handshakes have used
        so far. Raises `TokenPinRefused`, or any other exception for a token with which nothing
        works.
        """

    def anew(self) -> float:
        """The same; if no key works, load the module again, and keep it if the token works then."""

    def check(self) -> float:
        """Sign with each key as it is loaded, and return the seconds of the slowest signature.

        Raises any exception if one fails.
        """


class Watcher(Protocol):
    """Follows the state of tokens."""

    def breaker_changed(self, token: str, state: BreakerState) -> None: ...

    def keys_missing(self, token: str, keys: frozenset[str]) -> None:
        """Exactly these, by their URIs, are not found in a token that works, or do not sign."""
