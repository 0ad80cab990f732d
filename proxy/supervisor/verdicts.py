"""The findings of the active checks about servers, and the servers that were asked to drain.

The parent tells every worker, also workers that join later or that serve by another edition.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from proxy.processes.messages.questions import Verdict


class Verdicts:
    """All verdicts, by upstream and server."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` is CLOCK_MONOTONIC, which all processes of a machine share."""
        self._clock = clock
        self._known: dict[tuple[str, str], Verdict] = {}

    def adopt(self, verdicts: Iterable[Verdict]) -> None:
        self._known.update({(one.upstream, one.server): one for one in verdicts})

    @property
    def all(self) -> tuple[Verdict, ...]:
        return tuple(self._known.values())

    def follow(self, servers: Mapping[tuple[str, str], bool]) -> None:
        """Forget servers that are gone. The values tell whether a server is still checked."""
        self._known = {
            key: one if servers[key] else replace(one, is_up=None) for key, one in self._known.items() if key in servers
        }

    def is_draining(self, upstream: str, server: str) -> bool:
        """Whether a server was asked to drain, and was not told to take requests again."""
        return self._get(upstream, server).drains_until is not None

    def takes_requests(self, upstream: str, server: str) -> bool:
        """Whether a server gets requests: a failed check or an operator takes it out."""
        known = self._get(upstream, server)
        return known.is_up is not False and known.drains_until is None

    @property
    def health(self) -> dict[tuple[str, str], bool]:
        """What the checks have found, by upstream and server."""
        return {key: one.is_up for key, one in self._known.items() if one.is_up is not None}

    def checked(self, upstream: str, server: str, *, is_up: bool) -> Verdict:
        """Keep the finding of a check. Returns the verdict for the workers."""
        return self._keep(Verdict(upstream, server, is_up, self._get(upstream, server).drains_until))

    def draining(self, upstream: str, server: str, seconds: float) -> Verdict:
        """Keep that a server drains. Its WebSockets end within `seconds`."""
        return self._keep(Verdict(upstream, server, self._get(upstream, server).is_up, self._clock() + seconds))

    def undrained(self, upstream: str, server: str) -> Verdict:
        """Keep that a server gets requests again."""
        return self._keep(Verdict(upstream, server, self._get(upstream, server).is_up))

    def _get(self, upstream: str, server: str) -> Verdict:
        return self._known.get((upstream, server)) or Verdict(upstream, server)

    def _keep(self, verdict: Verdict) -> Verdict:
        self._known[verdict.upstream, verdict.server] = verdict
        return verdict
