"""What a worker tells its parent by itself: a type for each piece of news. Pure."""

from dataclasses import dataclass

from proxy.processes.messages.answers import Done
from proxy.processes.messages.questions import Question
from proxy.signing.breaker import BreakerState


@dataclass(frozen=True, slots=True)
class RetirementAsked(Question[Done]):
    """A signal asks this worker alone to end: the parent replaces it."""


@dataclass(frozen=True, slots=True)
class BreakerChanged(Question[Done]):
    """The worker trusts a token more, or less, than before."""

    token: str
    state: BreakerState


@dataclass(frozen=True, slots=True)
class KeysMissing(Question[Done]):
    """The worker misses exactly these keys, by their URIs, in a token that works."""

    token: str
    missing: tuple[str, ...]


WorkerNews = RetirementAsked | BreakerChanged | KeysMissing
