"""What a connection to a server expects of the exchange that borrowed it, and of its pool."""

from typing import Protocol, TypeVar

from proxy.http.head import Header
from proxy.http.responses import Response
from proxy.net.byte_stream import ByteStream
from proxy.upstream.pooling.failures import UpstreamFailure

Kept = TypeVar("Kept", contravariant=True)
"""The connection that a keeper keeps."""


class ResponseReceiver(Protocol):
    """Takes the response of a request that was sent on a borrowed connection."""

    def never_index(self, names: frozenset[bytes]) -> None:
        """The server marked fields with these names: no table on the way may hold them.

        It comes before the response or the trailers that have them (RFC 7541 6.2.3).
        """

    def informational(self, response: Response) -> None:
        """A 1xx response other than 101 arrived; the final one follows."""

    def switched(self, response: Response, stream: ByteStream, rest: bytes) -> None:
        """The upgrade was accepted and verified. `rest` followed the head.

        From now on the exchange owns the stream.
        """

    def response_started(self, response: Response) -> None:
        """The head of the final response arrived."""

    def response_data(self, data: bytes | memoryview) -> None:
        """A piece of the body, without chunked coding; a view until `response_flushed`."""

    def response_ended(self, trailers: list[Header]) -> None:
        """The response is complete and the connection is the pool's again."""

    def response_flushed(self) -> None:
        """All bytes of one read were handed over: send them on."""

    def upstream_failed(self, failure: UpstreamFailure, *, is_excused: bool) -> None:
        """The response will not be completed.

        `is_excused`: the server is not to blame. It refused the request unprocessed, or it closed
        an idle connection at the moment when that was used again.
        """

    def pause_writing(self) -> None:
        """The server takes no more of the request."""

    def resume_writing(self) -> None:
        """The server takes the request again."""


class Keeper(Protocol[Kept]):
    """Where a connection belongs."""

    def returned(self, connection: Kept) -> None: ...

    def closed(self, connection: Kept) -> None: ...


class Tunnelling(Protocol):
    """A connection to a server that became a WebSocket."""

    def drain(self, seconds: float) -> None:
        """Close it properly, at some moment within `seconds`."""
