"""How the process ends an HTTP/2 connection: in a drain, by a new configuration, to make room."""

from typing import Protocol

from proxy.downstream.requests.client import ClientFacts
from proxy.downstream.requests.standing import NoLongerWelcome
from proxy.downstream.service.service import HttpService
from proxy.limits.idleness import Idle


class Leaving(Protocol):
    @property
    def facts(self) -> ClientFacts: ...

    @property
    def is_new(self) -> bool:
        """Whether it has had no request yet."""

    @property
    def waits_since(self) -> float | None:
        """Since when the client owes a request; None while one is in flight."""

    def drain(self, seconds: float) -> None:
        """Leave behind the answers of the requests in flight, or after a part of `seconds`."""

    def leave(self) -> None:
        """Take up no more streams, and end after those that are open (RFC 9113 6.8)."""

    def give_up(self, reason: str) -> None:
        """End at once."""

    def shed(self) -> None:
        """End at once, to make room for others."""


class Http2Ending:
    """The service's view of a connection: a `Sheddable`.

    The connection has no reference to it, so both are freed at once.
    """

    def __init__(self, service: HttpService, connection: Leaving) -> None:
        self._service = service
        self._connection = connection

    def drain(self, seconds: float, *, gently: bool = False) -> None:
        """End. GOAWAY tells it, so no request is lost on its way.

        The service drains the WebSockets of the connection by itself.
        """
        del gently  # GOAWAY is gentle
        self._connection.drain(seconds)

    def configuration_changed(self, seconds: float) -> None:
        """Go on, unless the listener would refuse this client now.

        Even then the requests in flight are answered, but it gets no time for more.
        """
        del seconds
        facts = self._connection.facts
        try:
            facts.stand(self._service.runtime.policies)
        except NoLongerWelcome:
            self._connection.leave()

    def give_up(self, reason: str) -> None:
        """End now. Clients see that their answers are cut."""
        self._connection.give_up(reason)

    @property
    def idle(self) -> Idle | None:
        connection = self._connection
        since = connection.waits_since
        return None if since is None else connection.facts.idle(since, is_new=connection.is_new)

    def shed(self) -> None:
        self._connection.shed()
