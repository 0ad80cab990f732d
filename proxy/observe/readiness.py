"""Whether the proxy is ready: one definition for `/readyz`, `plexigate status` and the metrics.
Pure.

The proxy is ready if each worker answers, each identity can prove itself to a usual client, and
each route has a server that takes requests. A server that an operator took out is a doubt, not a
reason against readiness. A fault that may stop service later, but does not stop it now, is a doubt
too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from proxy.api.status import ReadinessDocument, ReasonRow


class ReadinessSubject(StrEnum):
    PROXY = "proxy"
    WORKER = "worker"
    IDENTITY = "identity"
    UPSTREAM = "upstream"


@dataclass(frozen=True, slots=True)
class NotReadyReason:
    """Why something cannot serve: its name, and a detail that begins with a verb. `routes` lead to
    an upstream."""

    subject: ReadinessSubject
    name: str
    detail: str
    routes: tuple[str, ...] = ()

    def __str__(self) -> str:
        whose = f" (routes {', '.join(self.routes)})" if self.routes else ""
        name = f" {self.name}" if self.name else ""
        return f"{self.subject}{name}{whose} {self.detail}"

    def as_json(self) -> ReasonRow:
        row: ReasonRow = {"subject": str(self.subject), "name": self.name, "detail": self.detail}
        return {**row, "routes": list(self.routes)} if self.routes else row


@dataclass(frozen=True, slots=True)
class Readiness:
    """The judgement: `reasons` keep the proxy from being ready, `doubts` do not."""

    reasons: tuple[NotReadyReason, ...] = ()
    doubts: tuple[NotReadyReason, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether no reason speaks against it."""
        return not self.reasons

    def __str__(self) -> str:
        """The first reason, and how many more there are."""
        if self.is_ready:
            return "ready"
        more = f"; and {len(self.reasons) - 1} more" if len(self.reasons) > 1 else ""
        return f"{self.reasons[0]}{more}"

    def as_json(self) -> ReadinessDocument:
        return {
            "ready": self.is_ready,
            "reasons": [one.as_json() for one in self.reasons],
            "doubts": [one.as_json() for one in self.doubts],
        }


@dataclass(frozen=True, slots=True)
class ServerView:
    """How one worker sees a server: its `upstream.pooling.statistics.ServerState`, and whether the
    latest connects failed.
    """

    state: str
    is_unreachable: bool


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """A server as the parent knows it. `is_up` is None without a result of a health check."""

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
    """What is judged. A fault of the proxy, of a worker (by slot) or of an identity is a text that
    begins with a verb."""

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
    reasons = [] if facts.proxy is None else [NotReadyReason(ReadinessSubject.PROXY, "", facts.proxy)]
    reasons += [NotReadyReason(ReadinessSubject.WORKER, name, fault) for name, fault in facts.workers.items()]
    reasons += [NotReadyReason(ReadinessSubject.IDENTITY, name, fault) for name, fault in facts.identities.items()]
    doubts: list[NotReadyReason] = []
    for upstream in facts.upstreams:
        reason, is_meant = _judged(upstream)
        if reason is not None:
            (reasons if is_meant else doubts).append(reason)
    for name, why in facts.unmade_checks.items():
        detail = f"has health checks that cannot be made ({why}): the previous results count"
        doubts.append(NotReadyReason(ReadinessSubject.UPSTREAM, name, detail))
    return Readiness(tuple(reasons), tuple(doubts))


def _judged(upstream: UpstreamFacts) -> tuple[NotReadyReason | None, bool]:
    """What is wrong with an upstream, and whether that is a reason (true) or a doubt (false)."""
    faults = {one.address: _fault(one) for one in upstream.servers}
    found = set(faults.values())
    if _SERVES in found or not upstream.routes:
        return None, False
    if found == {_DRAINED}:
        detail = "has only servers that an operator drained: clients get 503"
        is_meant = False
    elif found <= {_EJECTED, _DRAINED}:
        # a client that knows a failing request must not be able to take the whole proxy out of
        # service
        detail = "has only servers that failed recent requests: they still get requests"
        is_meant = False
    else:
        said = ", ".join(f"{address} is {fault}" for address, fault in faults.items())
        detail = f"has no server that takes requests: {said}"
        is_meant = True
    return NotReadyReason(ReadinessSubject.UPSTREAM, upstream.name, detail, upstream.routes), is_meant


def _fault(server: ServerFacts) -> str:
    """What keeps a server from its requests, as all workers report."""
    if server.is_drained:
        return _DRAINED
    if server.is_up is False:
        return _DOWN
    if not server.views or any(one.state != _EJECTED for one in server.views):
        return _SERVES
    # a successful health check weighs more than failed requests of some clients
    is_gone = server.is_up is None and all(one.is_unreachable for one in server.views)
    return _UNREACHABLE if is_gone else _EJECTED
