"""What all pools of connections to one server are given, tell and report."""

from dataclasses import dataclass
from typing import Protocol

from proxy.http.chunked import ChunkLimits
from proxy.http.head import HeadLimits
from proxy.net.deadlines import Deadlines
from proxy.net.shared_io import SharedIo
from proxy.net.tasks import Tasks
from proxy.upstream.pooling.dial import DialSettings
from proxy.upstream.pooling.failures import UpstreamFailure, UpstreamFault


@dataclass(frozen=True, slots=True)
class ResponseLimits:
    """Limits on what a server may send, and on how long it may take."""

    head_bytes: int
    head: HeadLimits
    chunks: ChunkLimits
    informational: int
    first_byte_seconds: float
    stall_seconds: float
    idle_seconds: float


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """How many connections a server may have, how many requests may wait for one, and how long."""

    connections: int
    waiting: int
    wait_seconds: float


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How a server is reached, and what it and its connections are held to."""

    dialling: DialSettings
    responses: ResponseLimits
    limits: ServerLimits


@dataclass(frozen=True, slots=True)
class PoolFigures:
    """Open connections, idle ones of them, dials in progress, waiting requests, streams."""

    open: int
    idle: int
    dialling: int
    waiting: int
    streams: int
    """Streams of HTTP/2 that are lent."""

    def __str__(self) -> str:
        streams = f" streams={self.streams}" if self.streams else ""
        return f"open={self.open} idle={self.idle} dialling={self.dialling} waiting={self.waiting}{streams}"


@dataclass(frozen=True, slots=True)
class PoolResources:
    """What the pools of a loop share."""

    io: SharedIo
    tasks: Tasks
    deadlines: Deadlines


class PoolOwner(Protocol):
    """The server that a pool belongs to."""

    @property
    def keeps_idle(self) -> bool:
        """Whether a connection that is not needed now may be needed again."""

    def dialled(self, fault: UpstreamFault | None) -> None:
        """A connection was made, or there was a fault."""


def dial_failure(owner: PoolOwner, name: str, error: BaseException) -> UpstreamFailure:
    """Tell the owner why a dial failed. Returns what borrowers are told.

    `name` is that of the server. An unexpected error is not a fault of the server.
    """
    if isinstance(error, UpstreamFailure):
        owner.dialled(error.fault)
        return error
    return UpstreamFailure(UpstreamFault.UNREACHABLE, name)
