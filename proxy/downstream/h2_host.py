"""The connection of HTTP/2 streams, as a stream sees it."""

from typing import Protocol

from proxy.downstream.client import ClientFacts
from proxy.downstream.h2_credit import Held
from proxy.downstream.h2_requests import StreamRequests
from proxy.downstream.own_answers import OwnAnswers
from proxy.downstream.request_log import RequestLog
from proxy.downstream.service import HttpService
from proxy.http2.session import ServerSession
from proxy.http2.streams import StreamSide
from proxy.observe.counters import Http2Counters


class StreamHost(Protocol):
    """What a stream needs of its connection."""

    @property
    def service(self) -> HttpService:
        """What all connections share."""

    @property
    def session(self) -> ServerSession:
        """The session of the connection."""

    @property
    def counters(self) -> Http2Counters:
        """Where streams and their ends are counted."""

    @property
    def facts(self) -> ClientFacts:
        """What is known about the client."""

    @property
    def log(self) -> RequestLog:
        """Where requests are logged."""

    @property
    def answers(self) -> OwnAnswers:
        """Writes the errors of the proxy."""

    @property
    def requests(self) -> StreamRequests:
        """Reads requests."""

    @property
    def held(self) -> Held:
        """What is kept of all bodies."""

    def flush_soon(self) -> None:
        """Something waits to be sent."""

    def await_sent(self, stream: StreamSide) -> None:
        """Call `sent` of this stream when the end of its answer was sent."""

    def stream_over(self, stream: StreamSide) -> None:
        """The stream has ended, and everything of it was let go."""
