"""How long we wait for a client that owes us something: the paces of one connection, made when they are needed first."""

from typing import Final

from proxy.deadlines import NEVER
from proxy.downstream.service import HttpService
from proxy.limits.pace import Backlog, BodyPace, ReaderPace


class Patience:
    """Turns what a client does into deadlines."""

    __slots__ = ("_backlog", "_body", "_reader", "_service")

    def __init__(self, service: HttpService, backlog: Backlog) -> None:
        """`backlog` is what waits for the client."""
        self._service: Final = service
        self._backlog: Final = backlog
        self._body: BodyPace | None = None
        self._reader: ReaderPace | None = None

    def for_body(self, deadline: float, received: int) -> float:
        """When the next piece of a body is due, after so many bytes that came before `deadline`; if it ran, that is."""
        now, body = self._service.clock(), self._body
        if body is not None and received and deadline is not NEVER:
            return body.proceed(deadline, received, now)
        limits = self._service.runtime.limits
        self._body = body = BodyPace(limits.body_bytes_per_second, limits.body_idle_seconds)
        return body.begin(now)

    @property
    def body_reason(self) -> str:
        """What to call it that a body did not come in time."""
        assert self._body is not None  # it had a deadline
        return self._body.reason

    def for_reader(self, now: float) -> float:
        """Until when a client that blocks has time; `now` when it is over."""
        if self._reader is None:
            limits = self._service.runtime.limits
            self._reader = ReaderPace(self._backlog, limits.response_bytes_per_second, limits.write_idle_seconds)
        return self._reader.look(now)

    def reader_took_all(self) -> None:
        """It does not block any more."""
        if self._reader is not None:
            self._reader.end(self._service.clock())

    @property
    def reader_reason(self) -> str:
        """What to say when a client took too little for too long."""
        assert self._reader is not None  # it had a deadline
        return self._reader.reason
