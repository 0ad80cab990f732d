"""What all pools of connections to one server are given, tell and report."""

from dataclasses import dataclass
from typing import Protocol

from proxy.net.deadlines import Deadlines
from proxy.net.shared_io import SharedIo
from proxy.net.tasks import Tasks
from proxy.upstream.connection import ResponseLimits
from proxy.upstream.dial import DialSettings
from proxy.upstream.failures import UpstreamFailure, UpstreamFault
from proxy.upstream.waiting import ServerLimits


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How a server is reached, and what it and its connections are held to."""

    dialling: DialSettings
    responses: ResponseLimits
    limits: ServerLimits


@dataclass(frozen=True, slots=True)
class PoolFigures:
    """Open connections, the idle ones among them, dials under way, requests that wait, streams."""

    open: int
    idle: int
    dialling: int
    waiting: int
    streams: int
    """Streams of HTTP/2 that are lent."""

    def __str__(self) -> str:
        """The numbers with their names."""
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

    `name` is that of the server. An unexpected error is no fault of the server.
    """
    if isinstance(error, UpstreamFailure):
        owner.dialled(error.fault)
        return error
    return UpstreamFailure(UpstreamFault.UNREACHABLE, name)
