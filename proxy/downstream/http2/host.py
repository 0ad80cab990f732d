"""The connection of HTTP/2 or HTTP/3 streams, as a stream sees it."""

from typing import Final

from proxy.downstream.http2.credit import Held
from proxy.downstream.http2.requests import StreamRequests, start_of
from proxy.downstream.pipeline.contracts import ClientStream
from proxy.downstream.pipeline.request_log import RequestLog
from proxy.downstream.requests.client import ClientFacts
from proxy.downstream.requests.refusals import bad_head
from proxy.downstream.service.service import HttpService
from proxy.http.head import Header, MalformedMessage
from proxy.http2.session.served_session import ServedSession
from proxy.http2.streams.stream import SessionStream, StreamSide
from proxy.net.byte_stream import StreamOwner
from proxy.observe.counts.listener_counters import StreamCounters

BAD_REQUEST: Final = 400


class StreamHost(StreamOwner[bytes]):
    """What a stream needs of its connection.

    It is a class and not a protocol: a stream reads ten attributes of it, and each takes compiled
    code 2 instructions instead of 125.
    """

    def __init__(
        self,
        service: HttpService,
        stream: ClientStream,
        facts: ClientFacts,
        session: ServedSession,
        counters: StreamCounters,
    ) -> None:
        """`stream` is that of the client, which is established."""
        limits = service.runtime.limits.http2
        self.service: Final = service
        self.stream: Final = stream
        self.facts: Final = facts
        self.session: Final = session
        self.counters: Final = counters
        self.log: Final = RequestLog(service, facts)
        self.requests: Final = StreamRequests()
        self.held: Final = Held(limits.connection_window_bytes)

    def log_malformed(self, reason: str, fields: list[Header]) -> None:
        """Write down a request with these fields, which has no single meaning."""
        refusal = bad_head(MalformedMessage(BAD_REQUEST, reason), start_of(fields))
        self.log.refused(refusal, self.service.stamps.new_request_id(), 0)

    @property
    def is_write_paused(self) -> bool:
        """Whether the transport takes no more."""
        raise NotImplementedError

    def send(self) -> None:
        """Send what waits, as far as the client takes it."""
        raise NotImplementedError

    def flush_soon(self) -> None:
        """Something waits to be sent."""
        raise NotImplementedError

    def await_sent(self, stream: StreamSide) -> None:
        """Call `sent` of this stream when the end of its answer was sent."""
        raise NotImplementedError

    def await_request(self, stream: SessionStream) -> None:
        """The answer was sent before the end of its request: give the rest a moment to come."""
        raise NotImplementedError

    def stream_over(self, stream: StreamSide) -> None:
        """The stream has ended, and everything of it was let go."""
        raise NotImplementedError
