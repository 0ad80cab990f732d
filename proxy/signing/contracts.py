"""By what a token is tried, and who wants to know what becomes of it."""

from typing import Protocol

from proxy.signing.breaker import BreakerState


class Probe(Protocol):
    """Tries a token by real signatures; runs in a thread."""

    @property
    def missing(self) -> frozenset[str]:
        """The keys that cannot be asked for signatures, by their URIs."""

    def __call__(self) -> float:
        """Load every key anew, which logs in where that is needed, and sign with each; seconds of the slowest signature.

        What is loaded takes the place of what handshakes have used so far. Raises `PinRefused`, or any other exception for a
        token with which nothing works.
        """

    def anew(self) -> float:
        """The same; where nothing works, with the module loaded anew in this process, which is kept if the token works then."""

    def check(self) -> float:
        """Sign with each key as it is loaded; seconds of the slowest signature. Raises any exception where one fails."""


class Watcher(Protocol):
    """Whoever wants to know what becomes of tokens."""

    def breaker_changed(self, token: str, state: BreakerState) -> None:
        """Say so in the log."""

    def keys_missing(self, token: str, keys: frozenset[str]) -> None:
        """Exactly these, by their URIs, are not found in a token that works, or do not sign."""
