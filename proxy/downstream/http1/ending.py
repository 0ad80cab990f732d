"""How the process ends a client's connection: in a drain, by a new configuration, to make room."""

from typing import Protocol

from proxy.downstream.pipeline.contracts import ClientStream
from proxy.downstream.requests.client import ClientFacts
from proxy.downstream.requests.standing import NoLongerWelcome
from proxy.downstream.service.client_deadlines import for_last_request
from proxy.downstream.service.service import HttpService
from proxy.limits.idleness import Idle


class Endable(Protocol):
    deadline: float
    is_new: bool
    """Whether its first request is still to come."""
    wants_end: bool
    """Whether it ends after the request in flight."""

    @property
    def facts(self) -> ClientFacts: ...

    @property
    def stream(self) -> ClientStream: ...

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a request, and nothing of it was received."""

    @property
    def waits_since(self) -> float | None:
        """Since when the client owes a request, or the rest of it.

        None if it owes nothing, or if a server has the request already.
        """

    def end(self) -> None:
        """Close after what was written."""

    def abandon(self, reason: str) -> None:
        """Give up the request in flight, if there is one."""


class ClientEnding:
    """The service's view of a connection: a `Sheddable`.

    The connection has no reference to it, so both are freed at once.
    """

    def __init__(self, service: HttpService, connection: Endable) -> None:
        self._service = service
        self._connection = connection

    def drain(self, seconds: float, *, gently: bool = False) -> None:
        """End after the exchange in flight, or now if there is none.

        A new connection gets time for one more exchange: its client made a whole handshake to ask
        something, and would take an earlier end for a failure. If gently, each connection gets it.
        """
        connection = self._connection
        connection.wants_end = True
        if connection.is_idle and (gently or connection.is_new):
            last = self._service.clock() + for_last_request(seconds, gently=gently)
            connection.deadline = min(connection.deadline, last)
        elif connection.is_idle:
            connection.end()

    def configuration_changed(self, seconds: float) -> None:
        """Go on, or end behind the request in flight if the listener would refuse this client."""
        facts = self._connection.facts
        try:
            facts.stand(self._service.runtime.policies)
        except NoLongerWelcome:
            self._connection.is_new = False  # nothing more is asked on it
            self.drain(seconds)

    def give_up(self, reason: str) -> None:
        """End now. If an exchange is in flight, the client sees that it is cut."""
        self._connection.abandon(reason)
        self._connection.stream.cut()

    @property
    def idle(self) -> Idle | None:
        connection = self._connection
        since = connection.waits_since
        return None if since is None else connection.facts.idle(since, is_new=connection.is_new)

    def shed(self) -> None:
        """End at once, to make room for others. The connection is `idle`."""
        self._connection.abandon("closed at a connection limit before the request was complete")
        self._connection.stream.end_at_once()
