"""Whether the proxy is ready: the one definition, for `/readyz`, for `plexigate status` and for the metrics. Pure.

Ready is a proxy that serves all that it was meant to: each worker turns, each identity can prove itself to a usual client, and each
route has a server that takes its requests. What an operator took out on purpose was not meant to serve: that is a doubt, not a reason. So
is what may go wrong later, but is served now.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final


class ReadinessSubject(StrEnum):
    """What a reason is about."""

    PROXY = "proxy"
    WORKER = "worker"
    IDENTITY = "identity"
    UPSTREAM = "upstream"


@dataclass(frozen=True, slots=True)
class NotReadyReason:
    """Who is not able, and why, by a verb and its rest; `routes` are those that lead to an upstream."""

    subject: ReadinessSubject
    name: str
    detail: str
    routes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One sentence."""
        whose = f" (routes {', '.join(self.routes)})" if self.routes else ""
        name = f" {self.name}" if self.name else ""
        return f"{self.subject}{name}{whose} {self.detail}"

    def as_json(self) -> dict[str, Any]:
        """For `/readyz` and `--json`."""
        rest = {"routes": list(self.routes)} if self.routes else {}
        return {"subject": str(self.subject), "name": self.name, "detail": self.detail, **rest}


@dataclass(frozen=True, slots=True)
class Readiness:
    """Ready is a proxy without reasons; `doubts` do not count."""

    reasons: tuple[NotReadyReason, ...] = ()
    doubts: tuple[NotReadyReason, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether there is nothing that cannot serve."""
        return not self.reasons

    def __str__(self) -> str:
        """The first reason, and how many more there are."""
        if self.is_ready:
            return "ready"
        more = f"; and {len(self.reasons) - 1} more" if len(self.reasons) > 1 else ""
        return f"{self.reasons[0]}{more}"

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "ready": self.is_ready,
            "reasons": [one.as_json() for one in self.reasons],
            "doubts": [one.as_json() for one in self.doubts],
        }


@dataclass(frozen=True, slots=True)
class ServerView:
    """How one worker sees a server: by its state (`upstream.statistics.ServerState`), and whether it could not connect to it of late."""

    state: str
    is_unreachable: bool


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """A server as the parent knows it: `is_up` of the active checks, None where there are none (yet)."""

    address: str
    is_up: bool | None
    is_drained: bool
    views: Sequence[ServerView] = ()


@dataclass(frozen=True, slots=True)
class UpstreamFacts:
    """The servers of an upstream, and the routes that lead there."""

    name: str
    routes: tuple[str, ...]
    servers: Sequence[ServerFacts]


@dataclass(frozen=True, slots=True)
class ReadinessFacts:
    """All that counts: what is wrong with the proxy as a whole, with slots of workers and with identities, by a verb and its rest."""

    proxy: str | None = None
    workers: Mapping[str, str] = field(default_factory=dict)
    identities: Mapping[str, str] = field(default_factory=dict)
    upstreams: Sequence[UpstreamFacts] = ()
    unmade_checks: Mapping[str, str] = field(default_factory=dict)
    """By upstream: why checks of its servers cannot be made."""


READY: Final = Readiness()
_DRAINED: Final = "drained"
_DOWN: Final = "down"
_UNREACHABLE: Final = "unreachable"
_EJECTED: Final = "ejected"
_SERVES: Final = ""


def readiness(facts: ReadinessFacts) -> Readiness:
    """Judge."""
    reasons = [] if facts.proxy is None else [NotReadyReason(ReadinessSubject.PROXY, "", facts.proxy)]
    reasons += [NotReadyReason(ReadinessSubject.WORKER, name, fault) for name, fault in facts.workers.items()]
    reasons += [NotReadyReason(ReadinessSubject.IDENTITY, name, fault) for name, fault in facts.identities.items()]
    doubts: list[NotReadyReason] = []
    for upstream in facts.upstreams:
        reason, is_meant = _judged(upstream)
        if reason is not None:
            (reasons if is_meant else doubts).append(reason)
    for name, why in facts.unmade_checks.items():
        detail = f"has health checks that cannot be made ({why}): what they found before counts"
        doubts.append(NotReadyReason(ReadinessSubject.UPSTREAM, name, detail))
    return Readiness(tuple(reasons), tuple(doubts))


def _judged(upstream: UpstreamFacts) -> tuple[NotReadyReason | None, bool]:
    """What is wrong with an upstream, and whether its routes cannot serve although they were meant to."""
    faults = {one.address: _fault(one) for one in upstream.servers}
    found = set(faults.values())
    if _SERVES in found or not upstream.routes:
        return None, False
    if found == {_DRAINED}:
        detail, is_meant = "has only servers that are drained, as was asked for: clients get 503", False
    elif found <= {_EJECTED, _DRAINED}:
        # strangers who find a request that fails must not take the whole proxy out of service
        detail, is_meant = (
            "has only servers that failed requests of late: they are asked all the same",
            False,
        )
    else:
        said = ", ".join(f"{address} is {fault}" for address, fault in faults.items())
        detail, is_meant = f"has no server that takes requests: {said}", True
    return NotReadyReason(ReadinessSubject.UPSTREAM, upstream.name, detail, upstream.routes), is_meant


def _fault(server: ServerFacts) -> str:
    """What keeps a server from its requests, in all workers that have told."""
    if server.is_drained:
        return _DRAINED
    if server.is_up is False:
        return _DOWN
    if not server.views or any(one.state != _EJECTED for one in server.views):
        return _SERVES
    # checks that find it well know better than the requests of some clients
    is_gone = server.is_up is None and all(one.is_unreachable for one in server.views)
    return _UNREACHABLE if is_gone else _EJECTED
