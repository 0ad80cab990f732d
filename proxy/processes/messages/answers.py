"""The answers of a worker to its parent, and of the parent to a worker. Pure."""

from dataclasses import dataclass

from config.values.problems import Problem
from proxy.figures.snapshot import ServerCounts, Snapshot
from proxy.observe.startup import Offers


@dataclass(frozen=True, slots=True)
class Done:
    """The question was an order, and it is carried out."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The worker is set up; it speaks this `version` of the messages."""

    version: str


@dataclass(frozen=True, slots=True)
class PreparedToServe:
    """The worker can serve by a configuration: what it offers then, and the warnings."""

    offers: Offers
    warnings: tuple[Problem, ...]
    blind: tuple[str, ...]
    """Names of tokens that the parent finds well and this worker cannot use."""


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """What a worker has counted. `observe.counts.merging` adds up its rows, and judges them."""

    generation: int
    """The number of the configuration that it serves by; 0 before the first."""
    snapshot: Snapshot
    servers: tuple[ServerCounts, ...]


@dataclass(frozen=True, slots=True)
class ServerSeen:
    """How a worker sees one server of an upstream."""

    upstream: str
    server: str
    state: str
    """A `ServerState`."""
    is_unreachable: bool


@dataclass(frozen=True, slots=True)
class ServersSeen:
    """How a worker sees the servers of all upstreams."""

    servers: tuple[ServerSeen, ...]


@dataclass(frozen=True, slots=True)
class RingUse:
    """How many messages were encrypted with one version of the key of a ring."""

    ring: str
    version: int
    count: int


@dataclass(frozen=True, slots=True)
class RingUses:
    """What was encrypted since the parent asked last."""

    uses: tuple[RingUse, ...]


@dataclass(frozen=True, slots=True)
class KeyTried:
    """Whether a worker serves by a key of a token, and whether it could sign with it."""

    is_used: bool
    signs: bool
